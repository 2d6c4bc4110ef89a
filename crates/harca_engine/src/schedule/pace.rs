//! How many tokens a run may have so that it takes as long as it should.
//!
//! The time of a run is taken for a line over its padded tokens: what a run costs whatever is in it, and what each token
//! adds. The line is fitted to the runs of late, by least squares with weights that fade.

/// Weight of a run for each that came after it.
const FADE: f64 = 0.97;

/// Tokens of a run as long as nothing is known.
const FIRST: f64 = 512.0;

/// The least and the most that a run may have.
const RANGE: std::ops::RangeInclusive<f64> = 32.0..=65_536.0;

/// How far a run may go beyond the longest that was seen: a line says little of what lies behind its points.
const STRIDE: f64 = 2.0;

/// What the runs of one model took.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    weight: f64,
    tokens: f64,
    micros: f64,
    tokens_squared: f64,
    product: f64,
    most: f64,
}

impl Pace {
    /// Takes note of a run of so many padded tokens that took so many microseconds.
    pub fn record(&mut self, tokens: u32, micros: u64) {
        let (x, y) = (f64::from(tokens), micros as f64);
        for sum in [&mut self.weight, &mut self.tokens, &mut self.micros, &mut self.tokens_squared, &mut self.product] {
            *sum *= FADE;
        }
        self.weight += 1.0;
        self.tokens += x;
        self.micros += y;
        self.tokens_squared += x * x;
        self.product += x * y;
        self.most = (self.most * FADE.sqrt()).max(x);
    }

    /// Padded tokens that a run of `target` microseconds may have.
    #[must_use]
    pub fn tokens(&self, target: u32) -> u32 {
        let found = match self.line() {
            Some((fixed, per_token)) => ((f64::from(target) - fixed) / per_token).min(STRIDE * self.most.max(FIRST)),
            None => FIRST,
        };
        // In range, and so neither negative nor too large.
        found.clamp(*RANGE.start(), *RANGE.end()).round() as u32
    }

    /// Microseconds that a run of so many padded tokens takes; none as long as nothing is known.
    #[must_use]
    pub fn micros(&self, tokens: u32) -> Option<f64> {
        self.line().map(|(fixed, per_token)| fixed + per_token * f64::from(tokens))
    }

    /// Microseconds of a run whatever is in it, and for each token.
    fn line(&self) -> Option<(f64, f64)> {
        if self.weight < 1.0 || self.tokens <= 0.0 {
            return None;
        }
        let variance = self.tokens_squared * self.weight - self.tokens * self.tokens;
        let covariance = self.product * self.weight - self.tokens * self.micros;
        // Runs of one length say nothing of the slope; then all is taken to come from the tokens.
        let flat = variance <= 1e-3 * self.tokens * self.tokens || covariance <= 0.0;
        let steepest = self.micros / self.tokens;
        let per_token = if flat { steepest } else { (covariance / variance).min(steepest) };
        if per_token <= 0.0 {
            return None;
        }
        Some(((self.micros - per_token * self.tokens) / self.weight, per_token))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_found() {
        let mut pace = Pace::default();
        for tokens in [100, 400, 200, 800, 300] {
            pace.record(tokens, 2000 + 50 * u64::from(tokens));
        }
        assert_eq!(pace.tokens(52_000), 1000);
        assert_eq!(pace.tokens(12_000), 200);
        assert_eq!(pace.tokens(1_000), 32);
        assert_eq!(pace.micros(1000).map(f64::round), Some(52_000.0));
        assert_eq!(Pace::default().micros(1000), None);
    }

    #[test]
    fn runs_grow_step_by_step() {
        let mut pace = Pace::default();
        assert_eq!(pace.tokens(1_000_000), 512);
        pace.record(100, 10);
        assert_eq!(pace.tokens(1_000_000), 1024);
        pace.record(1024, 20);
        assert!((1024..=2048).contains(&pace.tokens(1_000_000)));
    }

    #[test]
    fn it_follows_a_machine_that_becomes_slower() {
        let mut pace = Pace::default();
        for tokens in (0..500).map(|i| 100 + 37 * (i % 20)) {
            pace.record(tokens, 10 * u64::from(tokens));
        }
        let before = pace.tokens(8_000);
        for tokens in (0..500).map(|i| 100 + 37 * (i % 20)) {
            pace.record(tokens, 40 * u64::from(tokens));
        }
        assert!(pace.tokens(8_000) < before / 3);
    }

    proptest! {
        #[test]
        fn whatever_it_saw_it_stays_in_range(
            runs in prop::collection::vec((0_u32..100_000, 0_u64..u64::from(u32::MAX)), 0..50),
            target in 0_u32..1_000_000,
        ) {
            let mut pace = Pace::default();
            for (tokens, micros) in runs {
                pace.record(tokens, micros);
            }
            prop_assert!((32..=65_536).contains(&pace.tokens(target)));
        }
    }
}
