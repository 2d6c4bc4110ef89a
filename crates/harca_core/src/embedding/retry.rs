//! When something that has failed is tried again: after pauses that double, and a row not without end.

use std::time::Duration;

/// How often a row is tried before it is left as failed until somebody has it tried again.
pub const ATTEMPTS: u32 = 6;

/// The first pause of a row, and the longest.
const ROW: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(600)];

/// The same when the engine cannot be had, which is no row's fault.
const ENGINE: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(30)];

/// The pause before a row is tried again that has failed so often; none where it is not.
#[must_use]
pub fn after_failure(attempts: u32) -> Option<Duration> {
    (attempts < ATTEMPTS).then(|| doubled(ROW, attempts))
}

/// The pause after so many requests in a row to which the engine had no answer.
#[must_use]
pub fn without_engine(in_a_row: u32) -> Duration {
    doubled(ENGINE, in_a_row)
}

/// The first pause after one failure, twice of it after two, and so on.
fn doubled([first, longest]: [Duration; 2], times: u32) -> Duration {
    let factor = 1_u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_end() {
        let pauses: Vec<_> = (1..=ATTEMPTS).map(after_failure).collect();
        let seconds = [1, 2, 4, 8, 16].map(|seconds| Some(Duration::from_secs(seconds)));
        assert_eq!(pauses[..5], seconds);
        assert_eq!(pauses[5], None);
        assert_eq!(without_engine(1), Duration::from_millis(250));
        assert_eq!(without_engine(u32::MAX), Duration::from_secs(30));
    }
}
