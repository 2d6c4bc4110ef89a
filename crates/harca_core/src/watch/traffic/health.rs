//! How one model is, whatever part it takes: its latency bound, its failures, and the windows of its answers.

use std::sync::atomic::{
    AtomicI64, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use super::answers::{Answers, SharedAnswers};
use super::block::{Block, Tag};
use crate::watch::breaker::Breaker;

/// Why a model did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Reason {
    /// It could not be loaded.
    Load = 1,
    /// It ran and gave no answer.
    Inference = 2,
}

/// How one model of a database is, whatever part it takes: the [`Breaker`], failures, and the windows by which drift is
/// seen.
#[derive(Default)]
#[repr(C, align(64))]
pub struct Health {
    tag: Tag,
    /// The latency bound.
    pub breaker: Breaker,
    failures: AtomicU64,
    failed_at: AtomicI64,
    reason: AtomicU64,
    windows: Windows,
}

impl Block for Health {
    fn tag(&self) -> &Tag {
        &self.tag
    }

    fn clear(&self) {
        self.breaker.reset();
        self.failures.store(0, Relaxed);
        self.failed_at.store(0, Relaxed);
        self.reason.store(0, Relaxed);
        self.windows.reset();
    }
}

impl Health {
    /// Counts a failure.
    pub fn fail(&self, reason: Reason, now: i64) {
        self.failures.fetch_add(1, Relaxed);
        self.reason.store(reason as u64, Relaxed);
        self.failed_at.store(now, Relaxed);
    }

    /// How often it has failed, and when and why last; 0 where it never has.
    #[must_use]
    pub fn failures(&self) -> (u64, i64, Option<Reason>) {
        let reason = match self.reason.load(Relaxed) {
            1 => Some(Reason::Load),
            2 => Some(Reason::Inference),
            _ => None,
        };
        (self.failures.load(Relaxed), self.failed_at.load(Relaxed), reason)
    }

    /// Adds answers to the windows, which are of `window` answers each.
    pub fn add(&self, answers: &Answers, window: u64) {
        self.windows.add(answers, window);
    }

    /// The answers of the reference window, once it is full, and those of the recent ones: of the latest full window and
    /// of what has come since, but none of the reference.
    #[must_use]
    pub fn windows(&self) -> (Option<Answers>, Answers) {
        self.windows.load()
    }

    /// Forgets the windows: the next one is the reference.
    pub fn reset_windows(&self) {
        self.windows.reset();
    }
}

/// Answers from the beginning, and copies of that number where windows have ended: nothing is ever set to zero while it
/// is counted, so no answer is lost at a border.
#[derive(Default)]
#[repr(C)]
struct Windows {
    total: SharedAnswers,
    /// Answers at which the present window ends; 0 before the first.
    end: AtomicU64,
    /// Windows that have ended.
    ended: AtomicU64,
    first: SharedAnswers,
    /// `total` at the end of the latest windows, the one with number n at n mod 2.
    ends: [SharedAnswers; 2],
}

impl Windows {
    fn add(&self, answers: &Answers, window: u64) {
        self.total.add(answers);
        let _ = self.end.compare_exchange(0, window, Relaxed, Relaxed);
        let end = self.end.load(Relaxed);
        let total = self.total.load();
        let over = total.count() >= end;
        if over && self.end.compare_exchange(end, total.count() + window, Relaxed, Relaxed).is_ok() {
            let number = self.ended.load(Relaxed) + 1;
            if number == 1 {
                self.first.store(&total);
            }
            self.ends[(number % 2) as usize].store(&total);
            self.ended.store(number, Release);
        }
    }

    fn load(&self) -> (Option<Answers>, Answers) {
        let ended = self.ended.load(Acquire);
        if ended == 0 {
            return (None, self.total.load());
        }
        let former = self.ends[(ended.saturating_sub(1).max(1) % 2) as usize].load();
        (Some(self.first.load()), self.total.load().since(&former))
    }

    fn reset(&self) {
        self.end.store(0, Relaxed);
        self.ended.store(0, Relaxed);
        self.total.store(&Answers::default());
    }
}
