//! Tells whether what is asked today is still what was asked before, by the population stability index.
//!
//! The index and its bounds of 0.1 and 0.25 are those of credit scoring (N. Siddiqi, "Credit Risk Scorecards", 2006).
//! By chance alone, that of two windows of n and m answers over k bins is (1/n + 1/m) times a χ² of k − 1 degrees of
//! freedom (B. Yurdakul, "Statistical Properties of Population Stability Index", 2018): with ten bins and
//! [`MIN_ANSWERS`] in each window, 0.036 on average and more than 0.1 once in 300 times.

/// With fewer answers in either window, an index says nothing.
pub const MIN_ANSWERS: u64 = 500;

/// The least index of [`Verdict::Shifting`].
const SHIFTING: f64 = 0.1;
/// The least index of [`Verdict::Drifted`].
const DRIFTED: f64 = 0.25;

/// What an index means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A window has fewer than [`MIN_ANSWERS`].
    TooFew,
    /// The index is below 0.1: the windows are alike.
    Stable,
    /// The index is below 0.25: have an eye on it.
    Shifting,
    /// The index is 0.25 or more: the windows are of different populations.
    Drifted,
}

impl Verdict {
    /// What an index of two windows with so many answers means; an index that is not a number passes for a large one.
    #[must_use]
    pub fn of(psi: f64, reference_n: u64, recent_n: u64) -> Self {
        if reference_n.min(recent_n) < MIN_ANSWERS {
            Self::TooFew
        } else if psi < SHIFTING {
            Self::Stable
        } else if psi < DRIFTED {
            Self::Shifting
        } else {
            Self::Drifted
        }
    }

    /// In words: "too few answers", "stable", "shifting" or "drifted".
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooFew => "too few answers",
            Self::Stable => "stable",
            Self::Shifting => "shifting",
            Self::Drifted => "drifted",
        }
    }
}

/// The population stability index of two windows, given as counts per bin: Σ (p − q) ln(p / q) over their shares, 0 or
/// more and the same both ways round.
///
/// Bins that are empty in both are skipped, and half a count is added to each of the others, as the logarithm of an
/// empty one would be infinite. `None` when a window has no counts or the windows differ in their number of bins.
#[must_use]
pub fn psi(reference: &[u64], recent: &[u64]) -> Option<f64> {
    let total = |counts: &[u64]| counts.iter().map(|count| *count as f64).sum::<f64>();
    let (reference_n, recent_n) = (total(reference), total(recent));
    if reference.len() != recent.len() || reference_n == 0.0 || recent_n == 0.0 {
        return None;
    }
    let used: Vec<(u64, u64)> =
        reference.iter().copied().zip(recent.iter().copied()).filter(|bin| *bin != (0, 0)).collect();
    let share = |count: u64, n: f64| (count as f64 + 0.5) / (n + 0.5 * used.len() as f64);
    let index: f64 = used
        .iter()
        .map(|(reference, recent)| (share(*reference, reference_n), share(*recent, recent_n)))
        .map(|(p, q)| (p - q) * (p.ln() - q.ln()))
        .sum();
    // Shares that are all but equal may have logarithms in the wrong order.
    Some(index.max(0.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `n` draws from bins of these weights, by the generator of Knuth's MMIX.
    fn draw(seed: &mut u64, weights: &[u64], n: u64) -> Vec<u64> {
        let mut counts = vec![0; weights.len()];
        let whole: u64 = weights.iter().sum();
        for _ in 0..n {
            *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut place = (*seed >> 33) % whole;
            let bin = weights.iter().position(|weight| {
                let here = place < *weight;
                place = place.wrapping_sub(if here { 0 } else { *weight });
                here
            });
            counts[bin.unwrap()] += 1;
        }
        counts
    }

    fn verdict(reference: &[u64], recent: &[u64]) -> Verdict {
        Verdict::of(psi(reference, recent).unwrap(), reference.iter().sum(), recent.iter().sum())
    }

    #[test]
    fn an_index_by_hand() {
        // Shares of 3/8 and 5/8 against the reverse.
        let expected = 0.5 * (5.0f64 / 3.0).ln();
        assert!((psi(&[1, 2], &[2, 1]).unwrap() - expected).abs() < 1e-15);
        // Half a count beside 9.5, and the bin that nobody uses changes nothing.
        let expected = 1.8 * 19f64.ln();
        assert!((psi(&[0, 9, 0], &[9, 0, 0]).unwrap() - expected).abs() < 1e-12);
        // Without smoothing it is 0.1 ln 1.25 + 0.1 ln 1.2.
        let expected = 0.1 * 1.25f64.ln() + 0.1 * 1.2f64.ln();
        assert!((psi(&[500_000, 500_000], &[400_000, 600_000]).unwrap() - expected).abs() < 1e-5);
    }

    #[test]
    fn windows_without_counts_or_of_different_bins_have_no_index() {
        assert_eq!(psi(&[], &[]), None);
        assert_eq!(psi(&[0, 0], &[1, 2]), None);
        assert_eq!(psi(&[1, 2], &[0, 0]), None);
        assert_eq!(psi(&[1, 2], &[1, 2, 3]), None);
        assert_eq!(psi(&[7], &[900]), Some(0.0));
    }

    #[test]
    fn bounds_belong_to_the_worse_verdict() {
        let of = |psi| Verdict::of(psi, MIN_ANSWERS, MIN_ANSWERS);
        let found = [0.0, 0.0999, 0.1, 0.2499, 0.25, f64::INFINITY, f64::NAN].map(|psi| of(psi).as_str());
        assert_eq!(found, ["stable", "stable", "shifting", "shifting", "drifted", "drifted", "drifted"]);
        assert_eq!(Verdict::of(0.0, MIN_ANSWERS - 1, u64::MAX), Verdict::TooFew);
        assert_eq!(Verdict::of(9.0, u64::MAX, 0).as_str(), "too few answers");
    }

    #[test]
    fn windows_of_one_distribution_are_stable() {
        for weights in [[45, 35, 18, 2], [25, 25, 25, 25], [1, 97, 2, 0], [90, 8, 1, 1]] {
            for start in 0..250 {
                let mut seed = start;
                let reference = draw(&mut seed, &weights, MIN_ANSWERS * (1 + start % 2));
                let recent = draw(&mut seed, &weights, MIN_ANSWERS);
                assert_eq!(verdict(&reference, &recent), Verdict::Stable, "{reference:?} {recent:?}");
            }
        }
    }

    #[test]
    fn chance_moves_the_index_as_published() {
        let mut seed = 7;
        let mut sample = || draw(&mut seed, &[10; 10], MIN_ANSWERS);
        let indexes: Vec<f64> = (0..2000).filter_map(|_| psi(&sample(), &sample())).collect();
        let mean = indexes.iter().sum::<f64>() / 2000.0;
        assert!((mean - 9.0 * 2.0 / MIN_ANSWERS as f64).abs() < 0.002, "{mean}");
        let beyond = indexes.iter().filter(|index| **index >= SHIFTING).count();
        assert!((1..=14).contains(&beyond), "{beyond}");
        assert!(indexes.iter().all(|index| *index < DRIFTED));
    }

    #[test]
    fn nothing_but_questions_is_a_drift() {
        let mut seed = 1;
        let mix = draw(&mut seed, &[45, 35, 18, 2], MIN_ANSWERS);
        let questions = draw(&mut seed, &[1, 97, 2, 0], MIN_ANSWERS);
        assert_eq!(verdict(&mix, &questions), Verdict::Drifted);
        assert_eq!(verdict(&[450, 350, 180, 20], &[10, 970, 20, 0]), Verdict::Drifted);
        assert_eq!(verdict(&[450, 350, 180, 20], &[300, 530, 150, 20]), Verdict::Shifting);
    }

    proptest! {
        #[test]
        fn an_index_is_finite_and_the_same_both_ways(
            bins in prop::collection::vec((0u64..=u64::MAX, 0u64..=u64::MAX, 0u32..=64, 0u32..=64), 1..20),
        ) {
            let shift = |n: u64, by: u32| n.checked_shr(by).unwrap_or(0);
            let (a, b): (Vec<u64>, Vec<u64>) = bins.iter().map(|(a, b, i, j)| (shift(*a, *i), shift(*b, *j))).unzip();
            prop_assert_eq!(psi(&a, &b), psi(&b, &a));
            if let Some(index) = psi(&a, &b) {
                prop_assert!((0.0..f64::INFINITY).contains(&index) && index.is_sign_positive(), "{index}");
                prop_assert_eq!(psi(&a, &a), Some(0.0));
            }
        }
    }
}
