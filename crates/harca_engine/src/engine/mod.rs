//! The engine as a whole: what all its threads share.
//!
//! # Threads
//!
//! | thread | how many | what it does |
//! |---|---|---|
//! | connection | one each | reads requests, tokenizes their texts, and lets them wait; one text alone, where nothing waits or runs and the run is short, it runs itself ([`Engine::run`]) |
//! | runner | one for each run that may go on at once | runs batches and sends the replies (`runner`) |
//! | loader | one | loads models, while others answer (`loader`) |
//! | watcher | one | looks at memory and processors, and lets models go (`pressure`) |
//!
//! Runs share the processors: with n of them, about √n runs of √n threads go on at once. More threads make one run faster, the
//! shorter the texts the less; more runs make the requests of several sessions faster.
//!
//! # Locks
//!
//! All that changes lies under one lock, [`Engine::state`], which is held for moments only: never while a model is read, run,
//! loaded or freed, nor while a reply goes out. The settings have a lock of their own, which is never taken under that one.

mod counts;
mod loader;
mod models;
mod pressure;
mod runner;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use harca_core::error::{Error, Result};
use harca_core::model::session::private_memory;
use harca_core::protocol::digest::Digest;
use harca_core::protocol::message::{Failure, Texts};
use harca_core::protocol::priority::Priority;
use harca_core::protocol::settings::{EngineSettings, Event, Level};
use harca_core::protocol::status::{EngineStatus, ModelStatus, PriorityStatus};

use crate::model::{Loader, Reading};
use crate::process::at_work::AtWork;
use crate::process::processors;
use crate::reply::ticket::Ticket;
use crate::schedule::lane::Item;
use crate::schedule::scheduler::{self, Scheduler};
use models::{Entry, Loaded, Stage};
use pressure::Pressure;

/// A text on its way to the model.
struct Text {
    ticket: Arc<Ticket>,
    /// Its number in the request.
    place: usize,
    reading: Reading,
}

/// A request whose model is not there yet.
struct Pending {
    ticket: Arc<Ticket>,
    texts: Option<Texts>,
}

/// What changes while the engine works.
struct State {
    scheduler: Scheduler<Digest, Text>,
    models: HashMap<Digest, Entry>,
    pressure: Pressure,
    cancelled: u64,
}

/// Models that are remembered; those that are not there are forgotten first, the longest unused before the others.
const MAX_MODELS: usize = 256;

/// Microseconds for which a connection may be left unread: a run that takes no longer is worth its thread.
const SPARE: u32 = 20_000;

impl State {
    /// What is known of a model; nothing yet of one that nobody has asked for.
    fn entry(&mut self, model: Digest) -> &mut Entry {
        if self.models.len() >= MAX_MODELS && !self.models.contains_key(&model) {
            let idle = self.models.iter().filter(|(_, entry)| entry.is_idle());
            if let Some((&forgotten, _)) = idle.min_by_key(|(_, entry)| entry.used_at) {
                self.models.remove(&forgotten);
                self.scheduler.forget(forgotten);
            }
        }
        self.models.entry(model).or_default()
    }
}

/// What all threads share.
pub struct Engine {
    began: Instant,
    began_at: SystemTime,
    settings: Mutex<EngineSettings>,
    state: Mutex<State>,
    /// Something was put into the queue.
    queued: Condvar,
    /// A model is there to be loaded.
    arrived: Condvar,
    connections: AtomicI64,
    loader: Box<dyn Loader>,
    at_work: AtWork,
    events: Box<dyn Fn(&Event) + Send + Sync>,
}

impl Engine {
    /// An engine that follows `settings`, loads models by `loader` and tells `events` what has happened.
    ///
    /// # Errors
    /// When the file that says what is at work cannot be written.
    pub fn new(
        settings: EngineSettings,
        loader: Box<dyn Loader>,
        events: Box<dyn Fn(&Event) + Send + Sync>,
    ) -> std::io::Result<Arc<Self>> {
        let at_work = AtWork::open(&settings.at_work)?;
        let pressure = Pressure::new(processors::count(), threads(&settings));
        let mut scheduler = Scheduler::new(scheduling(&settings, false, pressure.runs()));
        scheduler.suspect(settings.suspected.iter().copied());
        let state = State { scheduler, models: HashMap::new(), pressure, cancelled: 0 };
        Ok(Arc::new(Self {
            began: Instant::now(),
            began_at: SystemTime::now(),
            settings: Mutex::new(settings),
            state: Mutex::new(state),
            queued: Condvar::new(),
            arrived: Condvar::new(),
            connections: AtomicI64::new(0),
            loader,
            at_work,
            events,
        }))
    }

    /// Starts the threads that run, load and watch.
    ///
    /// # Errors
    /// When the system has none.
    pub fn start(self: &Arc<Self>) -> std::io::Result<()> {
        for _ in 0..processors::count().min(runner::MAX_RUNNERS) {
            self.spawn("runner", runner::run)?;
        }
        self.spawn("loader", loader::run)?;
        self.spawn("watcher", pressure::run)
    }

    fn spawn(self: &Arc<Self>, name: &str, work: impl FnOnce(&Arc<Self>) + Send + 'static) -> std::io::Result<()> {
        let engine = Arc::clone(self);
        std::thread::Builder::new().name(name.into()).spawn(move || work(&engine))?;
        Ok(())
    }

    /// Microseconds since the engine began.
    #[must_use]
    pub fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// What it follows.
    #[must_use]
    pub fn settings(&self) -> EngineSettings {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asked for each request, and so without a copy of all settings.
    fn is_quarantined(&self, model: Digest) -> bool {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).quarantined.contains(&model)
    }

    /// Follows other settings; socket, folder and library stay what they were at the beginning.
    pub fn set(&self, settings: EngineSettings) {
        let mut kept = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let former = std::mem::replace(&mut *kept, settings.clone());
        drop(kept);
        let mut state = self.state();
        state.pressure.allow(threads(&settings));
        let pressed = state.scheduler.settings().pressed;
        let schedule = scheduling(&settings, pressed, state.pressure.runs());
        state.scheduler.set(schedule);
        state.scheduler.suspect(settings.suspected.iter().copied());
        // Whoever was released is tried again, and so is what may have failed for a setting.
        let released = former.quarantined.iter().filter(|model| !settings.quarantined.contains(model));
        for model in released {
            state.models.remove(model);
        }
        for entry in state.models.values_mut() {
            if matches!(entry.stage, Stage::Broken { .. }) {
                entry.stage = Stage::Gone;
            }
        }
        drop(state);
        self.queued.notify_all();
    }

    /// Says something in the server's log.
    pub fn log(&self, message: &str) {
        self.say(Level::Log, message);
    }

    fn say(&self, level: Level, message: &str) {
        (self.events)(&Event { level, message: message.into(), listening: false });
    }

    /// Counts a connection that was opened (1) or closed (−1).
    pub fn count_connection(&self, change: i64) {
        self.connections.fetch_add(change, Relaxed);
    }

    /// Takes in a request: its texts wait for their turn, or it waits for its model, or is answered at once.
    pub fn run(&self, model: Digest, ticket: &Arc<Ticket>, texts: Texts) {
        if let Some((loaded, texts)) = self.admit(model, ticket, Some(texts))
            && let Some(texts) = texts
        {
            self.submit(model, &loaded, ticket, &texts, Some(SPARE));
        }
    }

    /// Takes in a request that only wants a model to be there.
    pub fn load(&self, model: Digest, ticket: &Arc<Ticket>) {
        if self.admit(model, ticket, None).is_some() {
            ticket.finish_empty();
        }
    }

    /// The model of a request, if it is there; otherwise the request waits or is answered.
    fn admit(&self, model: Digest, ticket: &Arc<Ticket>, texts: Option<Texts>) -> Option<(Arc<Loaded>, Option<Texts>)> {
        if self.is_quarantined(model) {
            let reason = "the model has brought the engine down and is quarantined";
            self.refuse(model, ticket, Failure::Quarantined, reason);
            return None;
        }
        let now = self.now();
        let mut state = self.state();
        let entry = state.entry(model);
        entry.used_at = now;
        match entry.admit(ticket, texts, now) {
            models::Admission::Run(loaded, texts) => Some((loaded, texts)),
            models::Admission::Wait => None,
            models::Admission::Want => {
                drop(state);
                ticket.want();
                None
            }
            models::Admission::Refuse(reason) => {
                drop(state);
                self.refuse(model, ticket, Failure::Model, &reason);
                None
            }
        }
    }

    /// Reads the texts of a request and lets them wait; a text that is alone it may run itself if that takes no longer than so many
    /// microseconds, as waking another thread for it takes longer than all else here.
    fn submit(&self, model: Digest, loaded: &Arc<Loaded>, ticket: &Arc<Ticket>, texts: &Texts, spare: Option<u32>) {
        let readings = match guarded(|| loaded.model.read(texts)) {
            Ok(readings) => readings,
            Err(error) => return self.refuse(model, ticket, Failure::Input, &error.to_string()),
        };
        let tokens = readings.iter().map(|reading| reading.length).fold(0_u32, u32::saturating_add);
        let truncated = readings.iter().filter(|reading| reading.truncated).count();
        ticket.read(tokens, u32::try_from(truncated).unwrap_or(u32::MAX));
        let text = |(place, reading): (usize, Reading)| Item {
            arrived: ticket.arrived(),
            length: reading.length,
            work: Text { ticket: Arc::clone(ticket), place, reading },
        };
        let items = readings.into_iter().enumerate().map(text).collect();
        let mut state = self.state();
        let refused = state.scheduler.submit(model, ticket.priority(), items).err();
        // What was refused is not in the queue: the text that is alone there is then another session's.
        let alone = match (&refused, spare) {
            (None, Some(most)) if texts.len() == 1 => state.scheduler.next_alone(model, tokens, self.now(), most),
            _ => None,
        };
        let (queued, bound) = (state.scheduler.queued(), state.scheduler.settings().bound);
        drop(state);
        match (refused, alone) {
            (None, Some(batch)) => self.run_batch(batch),
            (None, None) if texts.len() == 1 => self.queued.notify_one(),
            (None, None) => self.queued.notify_all(),
            (Some(items), _) => {
                let reason = format!("{queued} texts wait already, and {} more than {bound} do not fit", items.len());
                self.refuse(model, ticket, Failure::Busy, &reason);
            }
        }
    }

    fn refuse(&self, model: Digest, ticket: &Ticket, failure: Failure, reason: &str) {
        if ticket.fail(failure, reason) {
            self.state().entry(model).counts.of(ticket.priority()).failed += 1;
        }
    }

    /// Takes what nobody waits for any more out of the queue.
    pub fn drop_given_up(&self) {
        let mut state = self.state();
        state.cancelled += state.scheduler.remove(|text| text.ticket.is_given_up()) as u64;
    }

    /// Whether a model that was offered is to be sent: not if it is there, or on its way already.
    #[must_use]
    pub fn expect(&self, model: Digest) -> bool {
        !self.is_quarantined(model) && self.state().entry(model).expect()
    }

    /// Name and version of a model that is coming in.
    pub fn name(&self, model: Digest, name: &str) {
        name.clone_into(&mut self.state().entry(model).name);
    }

    /// A model has come in as a whole: it is loaded next.
    pub fn arrived(&self, model: Digest, files: crate::model::files::ModelFiles) {
        self.state().entry(model).arrive(files);
        self.arrived.notify_one();
    }

    /// A model cannot be used.
    pub fn broken(&self, model: Digest, error: &Error) {
        let (reason, now) = (error.to_string(), self.now());
        let (waiting, name) = {
            let mut state = self.state();
            let entry = state.entry(model);
            (entry.fail(&reason, now), entry.name.clone())
        };
        self.say(Level::Warning, &format!("model \"{name}\" cannot be used: {reason}"));
        for pending in waiting {
            self.refuse(model, &pending.ticket, Failure::Model, &reason);
        }
    }

    /// Whoever was bringing a model has gone: another one has to.
    pub fn withdrawn(&self, model: Digest) {
        let waiting = self.state().models.get_mut(&model).map(Entry::withdraw);
        waiting.into_iter().flatten().for_each(|pending| pending.ticket.want());
    }

    /// What it tells of itself.
    #[must_use]
    pub fn status(&self) -> EngineStatus {
        let settings = self.settings();
        let state = self.state();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let mut models: Vec<ModelStatus> = state
            .models
            .iter()
            .map(|(&digest, entry)| {
                let mut status = entry.status(digest, state.scheduler.tokens(digest));
                let by_priority: &mut [PriorityStatus] = &mut status.by_priority;
                for (priority, status) in Priority::ALL.into_iter().zip(by_priority) {
                    status.queued = count(state.scheduler.queued_for(digest, priority));
                }
                if settings.quarantined.contains(&digest) {
                    status.state = harca_core::protocol::status::State::Quarantined;
                }
                status
            })
            .collect();
        models.sort_by(|a, b| (&a.name, a.digest).cmp(&(&b.name, b.digest)));
        models.truncate(harca_core::protocol::status::MAX_MODELS);
        let since = self.began_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        EngineStatus {
            pid: std::process::id(),
            started_at: i64::try_from(since).unwrap_or(i64::MAX),
            runtime: self.loader.runtime().unwrap_or_default(),
            threads: count(state.pressure.threads()),
            memory: private_memory().unwrap_or(0),
            memory_bound: settings.memory,
            connections: u32::try_from(self.connections.load(Relaxed)).unwrap_or(0),
            queued: count(state.scheduler.queued()),
            queue_bound: settings.queue,
            threads_changed: state.pressure.changes(),
            let_go: state.pressure.let_go(),
            cancelled: state.cancelled,
            models,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Threads of a run, by the settings.
fn threads(settings: &EngineSettings) -> usize {
    settings.threads_of_a_run(processors::count())
}

fn scheduling(settings: &EngineSettings, pressed: bool, runs: usize) -> scheduler::Settings {
    scheduler::Settings {
        bound: settings.queue as usize,
        wait: settings.wait.into(),
        strategy: settings.strategy,
        pressed,
        runs,
    }
}

/// What `work` gives; a panic in it, in a library for instance, becomes an error.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let reason = panic.downcast_ref::<String>().map(String::as_str);
        let reason = reason.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a reason");
        Err(Error::Inference(crate::model::one_line(reason)))
    })
}
