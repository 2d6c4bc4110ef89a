//! What is counted of a model.

use harca_core::protocol::priority::Priority;
use harca_core::protocol::status::ModelStatus;
use harca_core::watch::histogram::Histogram;

use crate::reply::ticket::Times;

/// What a model has done since the engine began.
#[derive(Default)]
pub struct Counts {
    runs: u64,
    texts: u64,
    tokens: u64,
    truncated: u64,
    busy: u64,
    by_priority: [PriorityCounts; Priority::ALL.len()],
}

/// The same for requests of one priority.
#[derive(Default)]
pub struct PriorityCounts {
    requests: u64,
    /// Requests that failed or were refused.
    pub failed: u64,
    wait: Histogram,
    run: Histogram,
}

impl Counts {
    /// The counts of one priority.
    pub fn of(&mut self, priority: Priority) -> &mut PriorityCounts {
        &mut self.by_priority[priority as usize]
    }

    /// Counts a run.
    pub fn run(&mut self, texts: usize, tokens: u64, truncated: usize, micros: u64) {
        self.runs += 1;
        self.texts += texts as u64;
        self.tokens += tokens;
        self.truncated += truncated as u64;
        self.busy += micros;
    }

    /// Counts a request that was answered.
    pub fn answered(&mut self, priority: Priority, times: Times) {
        let counts = self.of(priority);
        counts.requests += 1;
        counts.wait.record(1000 * times.waited, 1);
        counts.run.record(1000 * times.ran, 1);
    }

    /// Tells all of it.
    pub fn tell(&self, status: &mut ModelStatus) {
        (status.runs, status.texts, status.tokens) = (self.runs, self.texts, self.tokens);
        (status.truncated, status.busy) = (self.truncated, self.busy);
        for (counts, told) in self.by_priority.iter().zip(&mut status.by_priority) {
            (told.requests, told.failed) = (counts.requests, counts.failed);
            if counts.requests == 0 {
                continue;
            }
            for (histogram, quantiles) in [(&counts.wait, &mut told.wait), (&counts.run, &mut told.run)] {
                let snapshot = histogram.snapshot();
                *quantiles = [0.5, 0.95, 0.99].map(|q| snapshot.quantile(q).unwrap_or(0) / 1000);
            }
        }
    }
}
