//! The thread that loads models.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use harca_core::error::Error;
use harca_core::model::session::private_memory;
use harca_core::protocol::digest::Digest;

use super::models::{Loaded, Stage};
use super::{Engine, guarded};
use crate::model::Model;
use crate::model::files::ModelFiles;
use crate::model::graph::Options;

/// How long at a time, and how often, the loader waits for runs that have taken the memory: they end, or the engine does.
const WAIT: Duration = Duration::from_millis(50);
const WAITS: usize = 20;

/// What is to be loaded.
enum Work {
    /// A model that has come in.
    New(Digest, ModelFiles),
    /// One that is to have another number of threads.
    Again(Digest, Arc<Loaded>),
}

/// Loads models as they come, for ever.
pub fn run(engine: &Arc<Engine>) {
    loop {
        match engine.next_load() {
            Work::New(model, files) => engine.load_new(model, files),
            Work::Again(model, loaded) => engine.load_again(model, &loaded),
        }
    }
}

impl Engine {
    fn next_load(&self) -> Work {
        let mut state = self.state();
        loop {
            let new = state.models.iter_mut().find_map(|(&model, entry)| Some((model, entry.take_arrived()?)));
            if let Some((model, files)) = new {
                return Work::New(model, files);
            }
            let threads = state.pressure.threads();
            let other = state.models.iter().find_map(|(&model, entry)| {
                let loaded = entry.loaded().filter(|loaded| loaded.threads != threads)?;
                Some((model, Arc::clone(loaded)))
            });
            if let Some((model, loaded)) = other {
                return Work::Again(model, loaded);
            }
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn load_new(&self, model: Digest, files: ModelFiles) {
        let start = Instant::now();
        if let Err(error) = self.make_room(model, files.bytes()) {
            return self.broken(model, &error);
        }
        let options = self.options();
        let threads = options.threads;
        let mut found = self.try_load(model, &files, &options);
        if found.is_err() && self.state().scheduler.is_running() {
            // What it lacked may be what a run has taken.
            for _ in 0..WAITS {
                if !self.state().scheduler.is_running() {
                    break;
                }
                std::thread::sleep(WAIT);
            }
            found = self.try_load(model, &files, &options);
        }
        match found {
            Ok(found) => {
                let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
                let loaded = Arc::new(Loaded { model: found, files, threads });
                let (waiting, name) = {
                    let mut state = self.state();
                    state.scheduler.run_singly(model, !loaded.model.is_shared());
                    let entry = state.entry(model);
                    (entry.ready(Arc::clone(&loaded), micros), entry.name.clone())
                };
                let (provider, detail) = loaded.model.provider();
                self.log(&format!("model \"{name}\" is loaded, in {} ms, provider {provider}", micros / 1000));
                if !detail.is_empty() {
                    self.say(harca_core::protocol::settings::Level::Warning, &format!("model \"{name}\": {detail}"));
                }
                for pending in waiting {
                    match &pending.texts {
                        Some(_) if pending.ticket.is_given_up() => {}
                        Some(texts) => self.submit(model, &loaded, &pending.ticket, texts, None),
                        None => pending.ticket.finish_empty(),
                    }
                }
            }
            Err(error) => self.broken(model, &error),
        }
    }

    fn try_load(&self, model: Digest, files: &ModelFiles, options: &Options) -> Result<Box<dyn Model>, Error> {
        let _work = self.at_work.begin(model);
        guarded(|| self.loader.load(files, options))
    }

    /// Loads a model once more beside the one that answers, then takes its place.
    fn load_again(&self, model: Digest, former: &Arc<Loaded>) {
        let options = self.options();
        let found = self.try_load(model, &former.files, &options);
        let files = former.files.share();
        let mut state = self.state();
        // Taken anew: it may be gone by now.
        let Some(entry) = state.models.get_mut(&model).filter(|entry| entry.loaded().is_some()) else { return };
        match (found, files) {
            (Ok(found), Ok(files)) => {
                let singly = !found.is_shared();
                entry.stage = Stage::Ready(Arc::new(Loaded { model: found, files, threads: options.threads }));
                state.scheduler.run_singly(model, singly);
            }
            // The one that answers goes on.
            _ => state.pressure.keep(former.threads),
        }
    }

    fn options(&self) -> Options {
        let settings = self.settings();
        let threads = self.state().pressure.threads();
        Options { onnxruntime: settings.onnxruntime, threads, providers: settings.providers }
    }

    /// Lets models go, those first that nobody has asked for the longest, until one of so many bytes has room.
    fn make_room(&self, model: Digest, bytes: u64) -> Result<(), Error> {
        let bound = self.settings().memory;
        let mut waits = 0;
        loop {
            let used = private_memory().unwrap_or(0);
            if used.saturating_add(bytes) <= bound {
                return Ok(());
            }
            if used > bound && waits < WAITS {
                waits += 1;
                std::thread::sleep(WAIT);
                continue;
            }
            if !self.let_one_go(model) {
                return Err(Error::Inference(format!(
                    "it has {bytes} bytes and the engine {used}, of {bound} that it may have"
                )));
            }
        }
    }

    /// Lets the model go that nobody has asked for the longest, unless all have something to do.
    fn let_one_go(&self, but: Digest) -> bool {
        let mut state = self.state();
        let idle = state
            .models
            .iter()
            .filter(|(model, entry)| **model != but && entry.loaded().is_some() && !state.is_wanted(**model));
        let Some((&model, _)) = idle.min_by_key(|(_, entry)| entry.used_at) else { return false };
        let freed = state.models.get_mut(&model).map(|entry| std::mem::take(&mut entry.stage));
        drop(state);
        // Outside of the lock: to free a model takes milliseconds.
        drop(freed);
        true
    }
}
