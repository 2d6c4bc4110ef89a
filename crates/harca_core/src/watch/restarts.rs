//! When the engine is started again, and which models are to blame for its end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::protocol::digest::Digest;

/// How often a model may bring the engine down before it is quarantined.
pub const STRIKES: u32 = 3;

/// Pauses before the engine is started again: the first, and the longest, which is short enough that it is back within five
/// seconds of any end.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(3)];

/// The longest pause after an engine that could not even begin: what it lacks will not be there soon.
const LONGEST: Duration = Duration::from_secs(60);

/// An engine that has lived so long is not one of a row that fail.
const LONG: Duration = Duration::from_secs(10);

/// How the engine has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was asked to.
    Asked,
    /// Somebody has killed it: an administrator, or the kernel when memory was short.
    Killed,
    /// By a signal that comes of its own errors, SIGSEGV for instance.
    Crashed,
    /// It had more memory than it may have.
    OutOfMemory,
    /// It could not begin.
    CannotBegin,
}

/// What is to be done after an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// How long to wait before it is started again.
    pub pause: Duration,
    /// Models that are not to be run from now on.
    pub quarantine: Vec<Digest>,
}

/// What is remembered of former ends.
#[derive(Debug, Clone, Default)]
pub struct Restarts {
    in_a_row: u32,
    strikes: BTreeMap<Digest, u32>,
}

impl Restarts {
    /// Judges an end: after how long a life it came, and which models were at work.
    ///
    /// Only a crash, and memory beyond the bound, are laid at a model's door.
    pub fn ended(&mut self, end: End, lived: Duration, at_work: &[Digest]) -> Verdict {
        let blamed = matches!(end, End::Crashed | End::OutOfMemory);
        let mut quarantine = Vec::new();
        // Several runs of one model are one strike.
        let at_work: BTreeSet<Digest> = at_work.iter().copied().filter(|_| blamed).collect();
        for model in at_work {
            let strikes = self.strikes.entry(model).or_default();
            *strikes += 1;
            if *strikes >= STRIKES {
                self.strikes.remove(&model);
                quarantine.push(model);
            }
        }
        self.in_a_row = if lived >= LONG || end == End::Asked { 0 } else { self.in_a_row.saturating_add(1) };
        let longest = if end == End::CannotBegin { LONGEST } else { PAUSES[1] };
        let pause = match self.in_a_row {
            0 => Duration::ZERO,
            row => (PAUSES[0] * 2_u32.saturating_pow((row - 1).min(16))).min(longest),
        };
        Verdict { pause, quarantine }
    }

    /// Models that were at work at a crash. They have to run alone: of several that were, one is to blame.
    #[must_use]
    pub fn suspected(&self) -> Vec<Digest> {
        self.strikes.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    #[test]
    fn pauses_grow_and_end() {
        let mut restarts = Restarts::default();
        let pauses: Vec<u128> = (0..8).map(|_| restarts.ended(End::Killed, SHORT, &[]).pause.as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3000, 3000, 3000]);
        assert_eq!(restarts.ended(End::Killed, LONG, &[]).pause, Duration::ZERO);
        assert_eq!(restarts.ended(End::Asked, SHORT, &[]).pause, Duration::ZERO);
        let pauses = (0..99).map(|_| restarts.ended(End::CannotBegin, SHORT, &[]).pause);
        assert_eq!(pauses.max(), Some(LONGEST));
    }

    #[test]
    fn a_model_that_crashes_three_times_is_quarantined() {
        let (mut restarts, bad, good) = (Restarts::default(), Digest([1; 32]), Digest([2; 32]));
        assert_eq!(restarts.suspected(), []);
        assert_eq!(restarts.ended(End::Crashed, SHORT, &[bad, good, bad]).quarantine, []);
        assert_eq!(restarts.suspected(), [bad, good]);
        assert_eq!(restarts.ended(End::Killed, SHORT, &[bad, good]).quarantine, []);
        assert_eq!(restarts.ended(End::OutOfMemory, LONG, &[bad]).quarantine, []);
        assert_eq!(restarts.ended(End::Crashed, SHORT, &[bad]).quarantine, [bad]);
        assert_eq!(restarts.suspected(), [good]);
        // Whoever releases it gives it three more.
        assert_eq!(restarts.ended(End::Crashed, SHORT, &[bad]).quarantine, []);
    }
}
