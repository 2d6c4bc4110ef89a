//! Takes the traffic away from a model that has become slow, and gives it back when it is fast again: a circuit breaker
//! (M. Nygard, "Release It!", 2007) that all processes of a server share.
//!
//! | state | who answers | goes to |
//! |---|---|---|
//! | closed | the model | open, when more than 5 of 100 runs of a whole window were slower than the bound |
//! | open | somebody else | half-open, when the time to retry has come and there is a query |
//! | half-open | the model | open, at the second slow run; closed, after [`PROBES`] runs |
//!
//! "95 of 100 runs keep the bound" says the same as "their p95 is within it", and needs two counters instead of a
//! histogram. A window begins with the first run after the former one has ended; it is judged by the first run after its
//! own end. So a model that is slow from one moment on is given up at the latest two windows later, if it is asked.
//!
//! # Consistency
//!
//! All numbers are atomics and a block of zeros is a closed breaker. Transitions are compare-and-exchange on the state,
//! so that each is made, and counted, by one process. Runs that end while another process ends the window may be counted
//! in either window or in none.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Runs that a window needs to be judged, and that a half-open breaker looks at.
pub const PROBES: u64 = 20;

/// Slow runs in 100 that are too many.
const SLOW_PERCENT: u64 = 5;

const CLOSED: u64 = 0;
const OPEN: u64 = 1;
const HALF_OPEN: u64 = 2;

/// What a model may cost, and how long it is left alone when it costs more or fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The time of a query that 95 of 100 have to keep; none for as long as it takes.
    pub latency: Option<Duration>,
    /// How long it has to be broken before the model is given up, in microseconds.
    pub window: i64,
    /// How long a model is left alone before it is tried again, in microseconds.
    pub retry: i64,
}

/// The state of one model.
#[derive(Default)]
#[repr(C)]
pub struct Breaker {
    state: AtomicU64,
    /// When it opened last, in microseconds.
    opened_at: AtomicI64,
    /// How often it has opened from closed.
    trips: AtomicU64,
    window_began: AtomicI64,
    runs: AtomicU64,
    slow: AtomicU64,
}

/// What a run has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The model is given up.
    Opened,
    /// The model was on probation and is slow still.
    Reopened,
    /// The model is fast again.
    Closed,
}

impl Breaker {
    /// Whether the model may be asked at the time `now`.
    pub fn admits(&self, now: i64, limits: &Limits) -> bool {
        if self.state.load(Relaxed) != OPEN {
            return true;
        }
        let due = limits.latency.is_none() || now.saturating_sub(self.opened_at.load(Relaxed)) >= limits.retry;
        if due && self.state.compare_exchange(OPEN, HALF_OPEN, Relaxed, Relaxed).is_ok() {
            self.begin_window(now);
        }
        due
    }

    /// Whether the model is given up, or on probation.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.load(Relaxed) == CLOSED
    }

    /// Whether the model is on probation.
    #[must_use]
    pub fn is_half_open(&self) -> bool {
        self.state.load(Relaxed) == HALF_OPEN
    }

    /// When it opened last, in the microseconds that [`Self::record`] was called with, and how often it has.
    #[must_use]
    pub fn opened(&self) -> (i64, u64) {
        (self.opened_at.load(Relaxed), self.trips.load(Relaxed))
    }

    /// Counts one run that ended at `now`, in microseconds from any fixed point, and took `per_query` for each of its
    /// queries; what that has changed.
    pub fn record(&self, now: i64, per_query: Duration, limits: &Limits) -> Option<Change> {
        let bound = limits.latency?;
        if self.state.load(Relaxed) == OPEN {
            return None; // A run that had begun before.
        }
        let half_open = self.is_half_open();
        let ended = !half_open && now.saturating_sub(self.window_began.load(Relaxed)) >= limits.window;
        let change = if ended { self.judge(now) } else { None };
        if change.is_some() {
            return change;
        }
        let runs = self.runs.fetch_add(1, Relaxed) + 1;
        let slow = if per_query > bound { self.slow.fetch_add(1, Relaxed) + 1 } else { self.slow.load(Relaxed) };
        if !half_open {
            return None;
        }
        if slow * 100 > SLOW_PERCENT * PROBES {
            return self.turn(HALF_OPEN, OPEN, now).then_some(Change::Reopened);
        }
        (runs >= PROBES && self.turn(HALF_OPEN, CLOSED, now)).then_some(Change::Closed)
    }

    /// Ends the window, and opens when it was too slow.
    fn judge(&self, now: i64) -> Option<Change> {
        let began = self.window_began.load(Relaxed);
        // One process ends it; a block of zeros has no window to end.
        if self.window_began.compare_exchange(began, now, Relaxed, Relaxed).is_err() {
            return None;
        }
        let (runs, slow) = (self.runs.swap(0, Relaxed), self.slow.swap(0, Relaxed));
        let broken = began != 0 && runs >= PROBES && slow * 100 > SLOW_PERCENT * runs;
        if broken && self.turn(CLOSED, OPEN, now) {
            self.trips.fetch_add(1, Relaxed);
            return Some(Change::Opened);
        }
        None
    }

    fn turn(&self, from: u64, to: u64, now: i64) -> bool {
        let turned = self.state.compare_exchange(from, to, Relaxed, Relaxed).is_ok();
        if turned {
            if to == OPEN {
                self.opened_at.store(now, Relaxed);
            }
            self.begin_window(now);
        }
        turned
    }

    fn begin_window(&self, now: i64) {
        self.window_began.store(now, Relaxed);
        self.runs.store(0, Relaxed);
        self.slow.store(0, Relaxed);
    }

    /// Begins anew, closed.
    pub fn reset(&self) {
        for number in [&self.state, &self.trips, &self.runs, &self.slow] {
            number.store(0, Relaxed);
        }
        self.opened_at.store(0, Relaxed);
        self.window_began.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;
    const START: i64 = 800_000_000 * SECOND;
    const FAST: Duration = Duration::from_micros(50);
    const SLOW: Duration = Duration::from_millis(9);

    fn limits() -> Limits {
        Limits { latency: Some(Duration::from_millis(5)), window: 10 * SECOND, retry: 60 * SECOND }
    }

    /// Runs of one every 100 ms, `slow` of 20 slow; the time after them, and when something changed.
    fn drive(breaker: &Breaker, from: i64, seconds: i64, slow: u64) -> (i64, Vec<(i64, Change)>) {
        let mut changes = Vec::new();
        let mut asked = 0;
        for step in 0..seconds * 10 {
            let now = from + step * SECOND / 10;
            if breaker.admits(now, &limits()) {
                let time = if asked % 20 < slow { SLOW } else { FAST };
                asked += 1;
                changes.extend(breaker.record(now, time, &limits()).map(|change| ((now - from) / SECOND, change)));
            }
        }
        (from + seconds * SECOND, changes)
    }

    #[test]
    fn one_slow_run_in_twenty_is_within_the_bound() {
        let breaker = Breaker::default();
        assert_eq!(drive(&breaker, START, 100, 1).1, []);
        assert!(breaker.is_closed());
    }

    #[test]
    fn a_slow_model_is_given_up_within_two_windows_and_comes_back() {
        let breaker = Breaker::default();
        let (now, changes) = drive(&breaker, START, 25, 0);
        assert_eq!(changes, []);
        let (now, changes) = drive(&breaker, now, 30, 20);
        let [(seconds, Change::Opened)] = changes[..] else { panic!("{changes:?}") };
        assert!(seconds <= 20, "{seconds}");
        assert!(!breaker.admits(now, &limits()));
        // Slow still when it is tried again: two runs tell.
        let (now, changes) = drive(&breaker, now, 61, 20);
        assert_eq!(changes.iter().map(|(_, change)| *change).collect::<Vec<_>>(), [Change::Reopened]);
        let (_, changes) = drive(&breaker, now, 70, 0);
        assert_eq!(changes.iter().map(|(_, change)| *change).collect::<Vec<_>>(), [Change::Closed]);
        assert!(breaker.is_closed());
        assert_eq!(breaker.opened().1, 1);
    }

    #[test]
    fn a_model_that_is_hardly_asked_is_not_judged() {
        let breaker = Breaker::default();
        for second in 0..100 {
            assert_eq!(breaker.record(START + second * SECOND, SLOW, &limits()), None);
        }
    }

    #[test]
    fn no_bound_lets_everything_pass() {
        let breaker = Breaker::default();
        drive(&breaker, START, 30, 20);
        assert!(!breaker.is_closed());
        let none = Limits { latency: None, ..limits() };
        assert!(breaker.admits(START, &none));
        assert_eq!(breaker.record(START, SLOW, &none), None);
        breaker.reset();
        assert!(breaker.is_closed());
    }

    #[test]
    fn processes_count_one_trip_together() {
        let breaker = Breaker::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| drive(&breaker, START, 30, 20));
            }
        });
        assert_eq!(breaker.opened().1, 1);
    }
}
