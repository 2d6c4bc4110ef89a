//! What one model has done in one part: counted by a process for itself in a [`Tally`], by all together in an [`Arm`].

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::answers::{Answers, CLASSES, SharedAnswers};
use super::block::{Block, Tag};
use crate::classify::classification::Classification;
use crate::watch::histogram::{Histogram, Snapshot};

/// What one model has done in one part.
#[derive(Default)]
#[repr(C, align(64))]
pub struct Arm {
    tag: Tag,
    answers: SharedAnswers,
    runs: SharedAnswers,
    failures: AtomicU64,
    agreement: Agreement,
    latency: Histogram,
}

/// Pairs of types, that of the active model first.
#[repr(transparent)]
struct Agreement([AtomicU64; CLASSES * CLASSES]);

impl Default for Agreement {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; CLASSES * CLASSES])
    }
}

impl Block for Arm {
    fn tag(&self) -> &Tag {
        &self.tag
    }

    fn clear(&self) {
        self.answers.store(&Answers::default());
        self.runs.store(&Answers::default());
        self.failures.store(0, Relaxed);
        self.agreement.0.iter().for_each(|pair| pair.store(0, Relaxed));
        self.latency.reset();
    }
}

impl Arm {
    /// Counts one run over `queries` texts.
    pub fn record(&self, queries: usize, elapsed: Duration) {
        let nanoseconds = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        self.latency.record(nanoseconds / queries.max(1) as u64, queries as u64);
    }

    /// Adds what a process has counted.
    pub fn add(&self, tally: &Tally) {
        self.answers.add(&tally.answers);
        self.runs.add(&tally.runs);
        self.failures.fetch_add(tally.failures, Relaxed);
        for (pair, count) in &tally.agreement {
            self.agreement.0[*pair].fetch_add(*count, Relaxed);
        }
    }

    /// A copy of the numbers; they may be a moment behind each other.
    #[must_use]
    pub fn counts(&self) -> ArmCounts {
        ArmCounts {
            answers: self.answers.load(),
            runs: self.runs.load(),
            failures: self.failures.load(Relaxed),
            agreement: self.agreement.0.each_ref().map(|pair| pair.load(Relaxed)),
            latency: self.latency.snapshot(),
        }
    }
}

/// The numbers of an [`Arm`].
pub struct ArmCounts {
    /// What was answered, from the cache or by a run; of a shadow, what it would have answered.
    pub answers: Answers,
    /// What was answered by a run: each query about once, where the cache is large enough.
    pub runs: Answers,
    /// Runs that gave no answer.
    pub failures: u64,
    /// Of a shadow, [`CLASSES`] rows of the active model's type and as many columns of its own.
    pub agreement: [u64; CLASSES * CLASSES],
    /// Times of one query in a run.
    pub latency: Snapshot,
}

/// What one process has counted for an [`Arm`] since it added that last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    answers: Answers,
    runs: Answers,
    failures: u64,
    agreement: Vec<(usize, u64)>,
}

impl Tally {
    /// Counts an answer, and whether the model ran for it.
    pub fn count(&mut self, answer: &Classification, ran: bool) {
        self.answers.add(answer);
        if ran {
            self.runs.add(answer);
        }
    }

    /// Counts an answer of a shadow beside that of the active model, by their classes among the labels of the latter.
    pub fn compare(&mut self, active: usize, shadow: usize) {
        let pair = active.min(CLASSES - 1) * CLASSES + shadow.min(CLASSES - 1);
        match self.agreement.iter_mut().find(|(known, _)| *known == pair) {
            Some((_, count)) => *count += 1,
            None => self.agreement.push((pair, 1)),
        }
    }

    /// Counts a run that gave no answer.
    pub fn fail(&mut self) {
        self.failures += 1;
    }

    /// The answers so far.
    #[must_use]
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.failures == 0 && self.answers.count() == 0
    }
}
