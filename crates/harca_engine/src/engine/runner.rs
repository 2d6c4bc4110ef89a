//! The threads that run batches.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use harca_core::error::{Error, Result};
use harca_core::protocol::digest::Digest;
use harca_core::protocol::message::Failure;
use harca_core::protocol::priority::Priority;

use super::models::Loaded;
use super::{Engine, State, Text, guarded};
use crate::model::{Reading, Values};
use crate::schedule::lane::Item;
use crate::schedule::scheduler::{Batch, Ended, Turn};

/// Most runners.
pub const MAX_RUNNERS: usize = 8;

/// Runs batches as they come, for ever.
pub fn run(engine: &Arc<Engine>) {
    let mut state = engine.state();
    loop {
        let now = engine.now();
        match state.scheduler.next(now) {
            Turn::Run(batch) => {
                drop(state);
                engine.run_batch(batch);
                state = engine.state();
            }
            Turn::Idle => state = engine.queued.wait(state).unwrap_or_else(PoisonError::into_inner),
            Turn::Wait(until) => {
                let rest = Duration::from_micros(until.saturating_sub(now));
                state = engine.queued.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}

impl Engine {
    /// Runs a batch that the scheduler has given, and sends the replies.
    pub(super) fn run_batch(&self, mut batch: Batch<Digest, Text>) {
        let (model, priority) = (batch.model, batch.priority);
        batch.items.retain(|item| !item.work.ticket.is_given_up());
        let loaded = if batch.items.is_empty() { None } else { self.loaded(model) };
        let Some(loaded) = loaded else {
            self.state().scheduler.over(model, priority);
            self.queued.notify_all();
            // It was let go in between: whoever asks brings it again.
            return batch.items.iter().for_each(|item| item.work.ticket.want());
        };
        let tokens = batch.padded();
        let work = self.at_work.begin(model);
        let (began, start) = (self.now(), Instant::now());
        let found = loaded.run(&batch.items);
        let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        drop(work);
        let ended = self.now();
        match found {
            Ok(values) => {
                let run = Ended { model, priority, rows: batch.items.len(), tokens, micros };
                self.count(run, &batch.items, ended);
                self.answer(model, priority, &batch.items, &values, began, ended);
            }
            Err(error) => self.run_failed(batch, &loaded, &error),
        }
    }

    fn count(&self, run: Ended<Digest>, items: &[Item<Text>], ended: u64) {
        let mut state = self.state();
        state.scheduler.finished(run, ended);
        if let Some(entry) = state.models.get_mut(&run.model) {
            entry.used_at = ended;
            let read: u64 = items.iter().map(|item| u64::from(item.length)).sum();
            let truncated = items.iter().filter(|item| item.work.reading.truncated).count();
            entry.counts.run(run.rows, read, truncated, run.micros);
        }
        let others_wait = state.scheduler.queued() > 0;
        drop(state);
        if others_wait {
            // What may begin now is perhaps not for this runner alone.
            self.queued.notify_all();
        }
    }

    fn run_failed(&self, batch: Batch<Digest, Text>, loaded: &Loaded, error: &Error) {
        let Batch { model, priority, items } = batch;
        let mut state = self.state();
        if state.scheduler.failed(model, priority) {
            state.scheduler.give_back(model, priority, items);
            drop(state);
        } else {
            drop(state);
            match items.as_slice() {
                [_] => self.give_up(model, &items, error),
                // One text that the model cannot take must not cost the others their answer.
                _ => items.iter().for_each(|item| self.run_alone(model, priority, loaded, item)),
            }
            self.state().scheduler.over(model, priority);
        }
        self.queued.notify_all();
    }

    fn loaded(&self, model: Digest) -> Option<Arc<Loaded>> {
        self.state().models.get(&model).and_then(|entry| entry.loaded().cloned())
    }

    fn run_alone(&self, model: Digest, priority: Priority, loaded: &Loaded, item: &Item<Text>) {
        let item = std::slice::from_ref(item);
        let work = self.at_work.begin(model);
        let (began, found) = (self.now(), loaded.run(item));
        drop(work);
        match found {
            Ok(values) => self.answer(model, priority, item, &values, began, self.now()),
            Err(error) => self.give_up(model, item, &error),
        }
    }

    fn answer(&self, model: Digest, priority: Priority, items: &[Item<Text>], values: &Values, began: u64, ended: u64) {
        for (item, numbers) in items.iter().zip(values.numbers.chunks(values.width.max(1))) {
            let Text { ticket, place, .. } = &item.work;
            if let Some((times, output)) = ticket.take(*place, numbers, began, ended) {
                // Counted first: whoever has the answer sees it counted.
                if let Some(entry) = self.state().models.get_mut(&model) {
                    entry.counts.answered(priority, times);
                }
                ticket.reply(output);
            }
        }
    }

    fn give_up(&self, model: Digest, items: &[Item<Text>], error: &Error) {
        for item in items {
            self.refuse(model, &item.work.ticket, Failure::Model, &error.to_string());
        }
        // What is left of these requests is not worth running.
        self.drop_given_up();
    }
}

impl Loaded {
    fn run(&self, items: &[Item<Text>]) -> Result<Values> {
        let readings: Vec<&Reading> = items.iter().map(|item| &item.work.reading).collect();
        let values = guarded(|| self.model.run(&readings))?;
        if values.width == 0 || values.numbers.len() != items.len() * values.width {
            let found = values.numbers.len();
            return Err(Error::ModelShape(format!("{found} numbers for {} texts", items.len())));
        }
        Ok(values)
    }
}

impl State {
    /// Whether something waits for a model.
    pub fn is_wanted(&self, model: Digest) -> bool {
        self.scheduler.wants(model)
    }
}
