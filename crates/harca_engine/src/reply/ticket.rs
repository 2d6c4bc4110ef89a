//! A request on its way to its reply.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use harca_core::protocol::message::{Failure, Output, Reply};
use harca_core::protocol::priority::Priority;

use super::outgoing::Outgoing;

/// A request that was taken in. Its texts may be run in several batches; the last one completes the answer.
pub struct Ticket {
    id: u64,
    priority: Priority,
    arrived: u64,
    reply_to: Arc<Outgoing>,
    given_up: AtomicBool,
    gathered: Mutex<Gathered>,
}

#[derive(Default)]
struct Gathered {
    values: Vec<f32>,
    missing: usize,
    output: Output,
    began: Option<u64>,
}

/// How long a request has taken, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// From its arrival to its first run.
    pub waited: u64,
    /// From there to the end of its last run.
    pub ran: u64,
}

impl Ticket {
    /// A request of `texts` texts that came at `arrived`.
    #[must_use]
    pub fn new(id: u64, priority: Priority, texts: usize, arrived: u64, reply_to: Arc<Outgoing>) -> Arc<Self> {
        let gathered = Mutex::new(Gathered { missing: texts, ..Gathered::default() });
        Arc::new(Self { id, priority, arrived, reply_to, given_up: AtomicBool::new(false), gathered })
    }

    /// Its number on its connection.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// How urgent it is.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// When it came, in microseconds.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        self.arrived
    }

    /// Whether nobody waits for it any more, or it has failed.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.given_up.load(Relaxed)
    }

    /// Nobody waits for it any more; whether that is new.
    pub fn give_up(&self) -> bool {
        !self.given_up.swap(true, Relaxed)
    }

    /// It has no answer: tells so once.
    pub fn fail(&self, failure: Failure, reason: &str) -> bool {
        let new = self.give_up();
        if new {
            self.reply_to.fail(self.id, failure, reason);
        }
        new
    }

    /// The model is not there: tells so, and forgets the request.
    pub fn want(&self) {
        if self.give_up() {
            self.reply_to.reply(&Reply::Wanted { id: self.id });
        }
    }

    /// What was read of its texts: all tokens, and how many texts were cut.
    pub fn read(&self, tokens: u32, truncated: u32) {
        let mut gathered = self.gathered();
        gathered.output.tokens = tokens;
        gathered.output.truncated = truncated;
    }

    /// Takes the numbers of its text number `place` from a run that began and ended at these times. With the last one the
    /// answer is complete: it is given with its times, for [`Self::reply`].
    pub fn take(&self, place: usize, numbers: &[f32], began: u64, ended: u64) -> Option<(Times, Output)> {
        let mut gathered = self.gathered();
        let width = numbers.len();
        if gathered.values.is_empty() {
            gathered.values = vec![0.0; width * gathered.missing];
            gathered.output.width = u32::try_from(width).unwrap_or(u32::MAX);
        }
        let began = *gathered.began.get_or_insert(began);
        if let Some(line) = gathered.values.get_mut(place * width..(place + 1) * width) {
            line.copy_from_slice(numbers);
        }
        gathered.missing = gathered.missing.saturating_sub(1);
        if gathered.missing > 0 || !self.give_up() {
            return None;
        }
        let times = Times { waited: began.saturating_sub(self.arrived), ran: ended.saturating_sub(began) };
        let micros = |time: u64| u32::try_from(time).unwrap_or(u32::MAX);
        let mut output = std::mem::take(&mut gathered.output);
        output.values = std::mem::take(&mut gathered.values);
        (output.waited, output.ran) = (micros(times.waited), micros(times.ran));
        Some((times, output))
    }

    /// Sends the answer.
    pub fn reply(&self, output: Output) {
        self.reply_to.reply(&Reply::Done { id: self.id, output });
    }

    /// It has no texts, and is done.
    pub fn finish_empty(&self) {
        if self.give_up() {
            self.reply_to.reply(&Reply::Done { id: self.id, output: Output::default() });
        }
    }

    fn gathered(&self) -> std::sync::MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
