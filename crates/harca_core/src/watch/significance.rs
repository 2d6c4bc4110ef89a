//! Tells differences between two models from chance: the p-values of three classical tests.
//!
//! A p-value is the chance to see a difference at least as large if there were none. It holds for one look: of twenty
//! looks at two equal models, one finds a difference at 0.05. The tests are K. Pearson's of homogeneity (1900), with
//! rare classes pooled until every expected count is 5 or more, which is stricter than what W. G. Cochran found to be
//! needed ("Some Methods for Strengthening the Common χ² Tests", 1954); B. L. Welch's of two means (1947); and A. H.
//! Bowker's of symmetry (1948).

use statrs::distribution::{ChiSquared, ContinuousCDF, StudentsT};

/// The least expected count of a bin for which the distribution of χ² holds.
const MIN_EXPECTED: f64 = 5.0;
/// A spread or difference this small beside the values is one of their sums' last digits.
const ROUNDING: f64 = 1e-12;
/// From so many degrees of freedom, the normal distribution stands in for Student's: p-values near 0.05 differ by
/// 0.000003, while the incomplete beta function loses digits.
const MANY_DEGREES: f64 = 1e5;

/// The p-value of a χ² test that two arms have the same mix of classes, given as counts per class: near 0 when the
/// mixes differ, 1 when they are the same.
///
/// Bins that are empty in both arms are skipped. Those with an expected count below 5 in either arm are pooled into
/// one, which takes the smallest other bin in if it is still below 5 itself. `None` when an arm has no counts, the arms
/// differ in their number of bins, or fewer than two bins are left.
#[must_use]
pub fn homogeneity(a: &[u64], b: &[u64]) -> Option<f64> {
    let total = |counts: &[u64]| counts.iter().map(|count| *count as f64).sum::<f64>();
    let (a_n, b_n) = (total(a), total(b));
    if a.len() != b.len() || a_n == 0.0 || b_n == 0.0 {
        return None;
    }
    let n = a_n + b_n;
    let least_expected = |(a, b): (f64, f64)| (a + b) * a_n.min(b_n) / n;
    let mut used: Vec<(f64, f64)> =
        a.iter().zip(b).map(|(a, b)| (*a as f64, *b as f64)).filter(|(a, b)| a + b > 0.0).collect();
    used.sort_unstable_by(|x, y| (x.0 + x.1).total_cmp(&(y.0 + y.1)));
    let mut bins: Vec<(f64, f64)> = Vec::with_capacity(used.len());
    for bin in used {
        match bins.first_mut() {
            Some(pool) if least_expected(bin).min(least_expected(*pool)) < MIN_EXPECTED => {
                *pool = (pool.0 + bin.0, pool.1 + bin.1);
            }
            _ => bins.push(bin),
        }
    }
    let statistic = bins.iter().map(|(a, b)| {
        let (a_expected, b_expected) = ((a + b) * a_n / n, (a + b) * b_n / n);
        (a - a_expected).powi(2) / a_expected + (b - b_expected).powi(2) / b_expected
    });
    chi_squared(statistic.sum(), bins.len().saturating_sub(1))
}

/// What is known of some values, such as the confidences of a model.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Moments {
    /// How many there are.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The sum of their squares.
    pub sum_of_squares: f64,
}

impl Moments {
    fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }

    /// The square of the standard error of the mean, for two values or more.
    fn squared_error(&self) -> f64 {
        let spread = self.sum_of_squares - self.sum * self.mean();
        if spread > self.sum_of_squares * ROUNDING { spread / (self.count - 1) as f64 / self.count as f64 } else { 0.0 }
    }

    fn is_usable(&self) -> bool {
        self.count >= 2 && self.sum.is_finite() && self.sum_of_squares.is_finite()
    }
}

/// The two-sided p-value of Welch's test that two arms have the same mean, with degrees of freedom by Welch and
/// Satterthwaite: near 0 when the means differ, 1 when they are the same.
///
/// When neither arm varies, it is 1 for equal means and 0 for others. `None` when an arm has fewer than two values or
/// its sums are not finite.
#[must_use]
pub fn equal_means(a: &Moments, b: &Moments) -> Option<f64> {
    if !a.is_usable() || !b.is_usable() {
        return None;
    }
    let difference = (a.mean() - b.mean()).abs();
    let (a_error, b_error) = (a.squared_error(), b.squared_error());
    let error = a_error + b_error;
    if error == 0.0 {
        let same = difference <= ROUNDING * a.mean().abs().max(b.mean().abs());
        return Some(if same { 1.0 } else { 0.0 });
    }
    let part = |error_of: f64, moments: &Moments| (error_of / error).powi(2) / (moments.count - 1) as f64;
    let degrees = 1.0 / (part(a_error, a) + part(b_error, b));
    let freedom = if degrees < MANY_DEGREES { degrees } else { f64::INFINITY };
    let distribution = StudentsT::new(0.0, 1.0, freedom).ok()?;
    Some((2.0 * distribution.sf(difference / error.sqrt())).clamp(0.0, 1.0))
}

/// The p-value of Bowker's test that two models, asked the same, differ in both directions alike: near 0 when one says
/// a type where the other says a certain other one, and seldom the reverse.
///
/// `agreement` counts pairs of answers in a square of `labels` rows, row by row: the row is what one model said, the
/// column what the other did. Pairs of types that were never mistaken for each other are skipped. `None` when the
/// models agree on everything or `agreement` is no such square.
#[must_use]
pub fn symmetry(agreement: &[u64], labels: usize) -> Option<f64> {
    if labels.checked_mul(labels) != Some(agreement.len()) {
        return None;
    }
    let (mut statistic, mut pairs) = (0.0, 0);
    for row in 0..labels {
        for column in 0..row {
            let (one, other) = (agreement[row * labels + column] as f64, agreement[column * labels + row] as f64);
            if one + other > 0.0 {
                statistic += (one - other).powi(2) / (one + other);
                pairs += 1;
            }
        }
    }
    chi_squared(statistic, pairs)
}

/// How likely χ² is to be `statistic` or more; `None` without degrees of freedom.
fn chi_squared(statistic: f64, degrees: usize) -> Option<f64> {
    let distribution = ChiSquared::new(degrees as f64).ok()?;
    Some(distribution.sf(statistic).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(found: Option<f64>, expected: f64) -> bool {
        found.is_some_and(|found| (found - expected).abs() <= 1e-9 * expected)
    }

    fn moments(values: &[f64]) -> Moments {
        Moments {
            count: values.len() as u64,
            sum: values.iter().sum(),
            sum_of_squares: values.iter().map(|x| x * x).sum(),
        }
    }

    /// A number from 0 to 1, by the generator of Knuth's MMIX.
    fn draw(seed: &mut u64) -> f64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The share of trials whose p-value is below 0.05.
    fn false_alarms(mut trial: impl FnMut(&mut u64) -> Option<f64>) -> f64 {
        let mut seed = 1;
        let alarms = (0..2000).filter(|_| trial(&mut seed).is_some_and(|p| p < 0.05)).count();
        alarms as f64 / 2000.0
    }

    #[test]
    fn homogeneity_as_published() {
        // Party by gender, General Social Survey (A. Agresti, "An Introduction to Categorical Data Analysis", 2007):
        // χ² = 30.07 with 2 degrees of freedom.
        assert!(close(homogeneity(&[762, 327, 468], &[484, 239, 477]), 2.9535891832117595e-7));
        assert!(close(homogeneity(&[762, 0, 327, 468], &[484, 0, 239, 477]), 2.9535891832117595e-7));
        assert!(close(homogeneity(&[450, 350, 180], &[400, 380, 220]), 0.01856600187849728));
        assert_eq!(homogeneity(&[50, 30, 20], &[100, 60, 40]), Some(1.0));
    }

    #[test]
    fn rare_classes_are_pooled() {
        // Three of 2 each make one of 6.
        assert_eq!(homogeneity(&[90, 4, 0, 2], &[90, 0, 4, 2]), homogeneity(&[90, 6], &[90, 6]));
        // The last two make 4, which is too few by itself.
        assert_eq!(homogeneity(&[60, 30, 4, 0], &[30, 60, 0, 4]), homogeneity(&[60, 34], &[30, 64]));
        // In the larger arm nothing is rare.
        assert_eq!(homogeneity(&[9000, 900, 90], &[90, 9, 1]), homogeneity(&[9000, 990], &[90, 10]));
        assert_eq!(homogeneity(&[2, 1], &[1, 2]), None);
        assert_eq!(homogeneity(&[1000, 0], &[997, 3]), None);
    }

    #[test]
    fn arms_that_cannot_be_compared_have_no_homogeneity() {
        assert_eq!(homogeneity(&[], &[]), None);
        assert_eq!(homogeneity(&[0, 0], &[50, 50]), None);
        assert_eq!(homogeneity(&[50, 50], &[0, 0]), None);
        assert_eq!(homogeneity(&[50, 50], &[50, 50, 50]), None);
        assert_eq!(homogeneity(&[50], &[500]), None);
    }

    #[test]
    fn equal_mixes_seldom_seem_to_differ() {
        let mix = |seed: &mut u64, n: usize| {
            let mut counts = [0; 4];
            (0..n)
                .for_each(|_| counts[[0.45, 0.80, 0.98, 1.0].iter().position(|to| draw(seed) < *to).unwrap_or(0)] += 1);
            counts
        };
        let share = false_alarms(|seed| homogeneity(&mix(seed, 900), &mix(seed, 150)));
        assert!((0.035..0.065).contains(&share), "{share}");
    }

    #[test]
    fn equal_means_as_published() {
        // Hours of sleep gained by two drugs (Student, "The Probable Error of a Mean", 1908): t = -1.8608, 17.776
        // degrees of freedom, p = 0.07939.
        let a = moments(&[0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]);
        let b = moments(&[1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]);
        assert!(close(equal_means(&a, &b), 0.0793941401873583), "{:?}", equal_means(&a, &b));
        assert_eq!(equal_means(&a, &b), equal_means(&b, &a));
        assert_eq!(equal_means(&a, &a), Some(1.0));
    }

    #[test]
    fn many_values_are_exact_enough() {
        // Both arms have n values of variance n, and their means are t √2 apart: 2 n − 2 degrees of freedom.
        let p = |n: u64, t: f64| {
            let (count, mean) = (n as f64, t * 2f64.sqrt());
            let spread = count * (count - 1.0);
            let a = Moments { count: n, sum: 0.0, sum_of_squares: spread };
            let b = Moments { count: n, sum: mean * count, sum_of_squares: spread + mean * mean * count };
            equal_means(&a, &b).unwrap()
        };
        for (n, t, expected) in [
            (501, 2.0, 0.04577034649325166),
            (5_001, 2.0, 0.04552726066143543),
            (5_001, 5.0, 5.830326613662659e-7),
            (50_000, 2.0, 0.04550296345750651),
            (50_000, 5.0, 5.742701678641679e-7),
            (u64::MAX >> 12, 2.0, 0.04550026389635839),
        ] {
            assert!((p(n, t) - expected).abs() < 1e-6 * expected, "{n} {t}: {}", p(n, t));
        }
    }

    #[test]
    fn arms_that_do_not_vary() {
        let constant = |value: f64, n: usize| moments(&vec![value; n]);
        assert_eq!(equal_means(&constant(0.1, 3), &constant(0.1, 5)), Some(1.0));
        assert_eq!(equal_means(&constant(0.0, 3), &constant(0.0, 5)), Some(1.0));
        assert_eq!(equal_means(&constant(0.1, 3), &constant(0.2, 5)), Some(0.0));
        // One arm varies, with a standard error of 1: t = 1 and a single degree of freedom, 1 − 2 atan(1) / π.
        assert!(close(equal_means(&constant(2.0, 9), &moments(&[0.0, 2.0])), 0.5));
    }

    #[test]
    fn sums_that_say_nothing_have_no_p_value() {
        let good = moments(&[0.1, 0.9, 0.4]);
        for bad in [
            Moments::default(),
            moments(&[0.5]),
            Moments { sum: f64::NAN, ..good },
            Moments { sum: f64::INFINITY, ..good },
            Moments { sum_of_squares: f64::NAN, ..good },
        ] {
            assert_eq!((equal_means(&good, &bad), equal_means(&bad, &good)), (None, None));
        }
    }

    #[test]
    fn equal_arms_seldom_seem_to_differ() {
        let values =
            |seed: &mut u64, n: usize| moments(&(0..n).map(|_| 1.0 - draw(seed).powi(3)).collect::<Vec<f64>>());
        let share = false_alarms(|seed| equal_means(&values(seed, 200), &values(seed, 40)));
        assert!((0.035..0.065).contains(&share), "{share}");
    }

    #[test]
    fn symmetry_as_published() {
        // Unaided vision of the right and left eye of 7,477 women (A. Stuart, 1953): χ² = 19.11, 6 degrees of freedom.
        let vision = [1520, 266, 124, 66, 234, 1512, 432, 78, 117, 362, 1772, 205, 36, 82, 179, 492];
        assert!(close(symmetry(&vision, 4), 0.003987419840428568));
        // 4²/8 + 5²/5 with 2 degrees of freedom, whose chance is e^(-7/2).
        assert!(close(symmetry(&[10, 6, 0, 2, 9, 0, 0, 5, 3], 3), (-3.5f64).exp()));
    }

    #[test]
    fn models_that_agree_have_no_symmetry() {
        assert_eq!(symmetry(&[5, 0, 0, 7], 2), None);
        assert_eq!(symmetry(&[], 0), None);
        assert_eq!(symmetry(&[3], 1), None);
        assert_eq!(symmetry(&[1, 2, 3], 2), None);
        assert_eq!(symmetry(&[1], usize::MAX), None);
        assert_eq!(symmetry(&[5, 3, 3, 7], 2), Some(1.0));
    }

    #[test]
    fn symmetric_errors_seldom_seem_lopsided() {
        let share = false_alarms(|seed| {
            let mut agreement = [0; 16];
            (0..600).for_each(|_| agreement[(draw(seed) * 16.0) as usize] += 1);
            symmetry(&agreement, 4)
        });
        assert!((0.035..0.065).contains(&share), "{share}");
    }

    proptest! {
        #[test]
        fn p_values_lie_between_0_and_1(
            bins in prop::collection::vec((0u64..=u64::MAX, 0u64..=u64::MAX, 0u32..=64), 1..30),
        ) {
            let shift = |n: u64, by: u32| n.checked_shr(by).unwrap_or(0);
            let (a, b): (Vec<u64>, Vec<u64>) = bins.iter().map(|(a, b, by)| (shift(*a, *by), shift(*b, *by))).unzip();
            let (one, other) = (homogeneity(&a, &b), homogeneity(&b, &a));
            prop_assert_eq!(one.is_some(), other.is_some());
            if let Some((one, other)) = one.zip(other) {
                prop_assert!((0.0..=1.0).contains(&one) && (one - other).abs() < 1e-9, "{one} {other}");
            }
            let labels = a.len().isqrt();
            if let Some(p) = symmetry(&a[..labels * labels], labels) {
                prop_assert!((0.0..=1.0).contains(&p), "{p}");
            }
        }

        #[test]
        fn no_sums_are_too_odd(
            a in (any::<u64>(), any::<f64>(), any::<f64>()),
            b in (any::<u64>(), any::<f64>(), any::<f64>()),
        ) {
            let of = |(count, sum, sum_of_squares)| Moments { count, sum, sum_of_squares };
            if let Some(p) = equal_means(&of(a), &of(b)) {
                prop_assert!((0.0..=1.0).contains(&p), "{p}");
            }
        }

        #[test]
        fn a_greater_difference_is_less_likely(
            values in prop::collection::vec(0.0f64..1.0, 3..50),
            by in 0.01f64..1.0,
        ) {
            let moved = |by: f64| moments(&values.iter().map(|x| x + by).collect::<Vec<f64>>());
            let (near, far) = (equal_means(&moved(0.0), &moved(by)), equal_means(&moved(0.0), &moved(2.0 * by)));
            prop_assert!(far.unwrap() <= near.unwrap() + 1e-9, "{near:?} {far:?}");
        }
    }
}
