//! The figures of a classifier on labelled queries: how often it is right, how well it knows that, and how fast it is.
//!
//! The calibration error is the expected one of M. P. Naeini et al., "Obtaining Well Calibrated Probabilities Using
//! Bayesian Binning" (2015), over the 15 bins of C. Guo et al., "On Calibration of Modern Neural Networks" (2017).

use std::time::Duration;

/// Steps of the confidence for the calibration error, each a fifteenth.
const BINS: usize = 15;

/// What a classifier has said to labelled queries; see the [module documentation](self).
///
/// It takes 4 bytes per query and 8 per field of the confusion matrix.
#[derive(Debug, Clone)]
pub struct Evaluation {
    labels: usize,
    confusion: Vec<u64>,
    bins: [Bin; BINS],
    nanoseconds: Vec<u32>,
    elapsed: Duration,
}

/// Answers of about the same confidence.
#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    right: u64,
    confidence: f64,
}

impl Evaluation {
    /// Nothing yet, of a model with so many labels, which are few.
    ///
    /// A class is the place of a label, and `labels` stands for anything else, such as a label that the model lacks.
    #[must_use]
    pub fn new(labels: usize) -> Self {
        Self {
            labels,
            confusion: vec![0; (labels + 1) * (labels + 1)],
            bins: [Bin::default(); BINS],
            nanoseconds: Vec::new(),
            elapsed: Duration::ZERO,
        }
    }

    /// Adds the answer to a query: the class it should have got, the class it got, how sure the model was of that, from
    /// 0 to 1, and the time it took.
    ///
    /// A class above `labels` counts as `labels`, a confidence beyond its range as the end of that, and one that is not
    /// a number as 0. The answer is right when both classes are the same, `labels` among them.
    pub fn add(&mut self, expected: usize, predicted: usize, confidence: f32, elapsed: Duration) {
        let (expected, predicted) = (expected.min(self.labels), predicted.min(self.labels));
        self.confusion[expected * (self.labels + 1) + predicted] += 1;
        let confidence = if confidence.is_nan() { 0.0 } else { confidence.clamp(0.0, 1.0) };
        // A step includes its upper end, as with Guo et al.
        let bin = &mut self.bins[((confidence * BINS as f32).ceil() as usize).saturating_sub(1)];
        bin.right += u64::from(expected == predicted);
        bin.confidence += f64::from(confidence);
        self.nanoseconds.push(u32::try_from(elapsed.as_nanos()).unwrap_or(u32::MAX));
        self.elapsed = self.elapsed.saturating_add(elapsed);
    }

    /// The number of queries.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.nanoseconds.len() as u64
    }

    /// The share of right answers, from 0 to 1; `None` without queries.
    #[must_use]
    pub fn accuracy(&self) -> Option<f64> {
        let right: u64 = (0..=self.labels).map(|class| self.pairs(class, class)).sum();
        self.share(right as f64)
    }

    /// The mean F1 of the classes that occur among the expected ones, from 0 to 1, each of the same weight; `None`
    /// without queries.
    #[must_use]
    pub fn macro_f1(&self) -> Option<f64> {
        let (mut sum, mut classes) = (0.0, 0);
        for class in 0..=self.labels {
            let expected: u64 = (0..=self.labels).map(|other| self.pairs(class, other)).sum();
            let predicted: u64 = (0..=self.labels).map(|other| self.pairs(other, class)).sum();
            if expected > 0 {
                sum += 2.0 * self.pairs(class, class) as f64 / (expected + predicted) as f64;
                classes += 1;
            }
        }
        (classes > 0).then(|| sum / f64::from(classes))
    }

    /// How far confidence and accuracy are apart in answers of about the same confidence, on average, from 0 to 1;
    /// `None` without queries.
    #[must_use]
    pub fn calibration_error(&self) -> Option<f64> {
        self.share(self.bins.iter().map(|bin| (bin.right as f64 - bin.confidence).abs()).sum())
    }

    /// The numbers of queries by expected and predicted class: a square of `labels` + 1 rows, row by row, a row for
    /// each expected class.
    #[must_use]
    pub fn confusion(&self) -> &[u64] {
        &self.confusion
    }

    /// The time that a share `q` of all queries does not exceed: the shortest one with at least `q` ×
    /// [`count`](Self::count) times up to it. `None` without queries; `q` is taken to be between 0 and 1.
    ///
    /// It is one of the times as they were added, but none is kept as more than 4.29 s.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let count = self.nanoseconds.len();
        let rank = ((q.clamp(0.0, 1.0) * count as f64).ceil() as usize).clamp(1, count.max(1));
        let mut times = self.nanoseconds.clone();
        times.sort_unstable();
        times.get(rank - 1).map(|nanoseconds| Duration::from_nanos(u64::from(*nanoseconds)))
    }

    /// Queries a second, one after the other; `None` when no time has passed.
    #[must_use]
    pub fn throughput(&self) -> Option<f64> {
        (!self.elapsed.is_zero()).then(|| self.count() as f64 / self.elapsed.as_secs_f64())
    }

    fn pairs(&self, expected: usize, predicted: usize) -> u64 {
        self.confusion[expected * (self.labels + 1) + predicted]
    }

    fn share(&self, part: f64) -> Option<f64> {
        (self.count() > 0).then(|| part / self.count() as f64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TICK: Duration = Duration::from_micros(1);

    fn evaluation(labels: usize, answers: &[(usize, usize, f32)]) -> Evaluation {
        let mut evaluation = Evaluation::new(labels);
        for (expected, predicted, confidence) in answers {
            evaluation.add(*expected, *predicted, *confidence, TICK);
        }
        evaluation
    }

    fn close(found: Option<f64>, expected: f64) -> bool {
        found.is_some_and(|found| (found - expected).abs() < 1e-7)
    }

    #[test]
    fn nothing_has_no_figures() {
        let none = Evaluation::new(2);
        assert_eq!(none.count(), 0);
        assert_eq!((none.accuracy(), none.macro_f1(), none.calibration_error()), (None, None, None));
        assert_eq!((none.quantile(0.5), none.throughput()), (None, None));
        assert_eq!(none.confusion(), [0; 9]);
    }

    #[test]
    fn accuracy_and_f1_by_hand() {
        let answers = [(0, 0), (0, 0), (0, 1), (1, 1), (1, 0), (1, 1), (1, 1)].map(|(e, p)| (e, p, 0.5));
        let found = evaluation(3, &answers);
        assert_eq!(found.confusion(), [2, 1, 0, 0, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(close(found.accuracy(), 5.0 / 7.0));
        // The other two classes do not occur.
        assert!(close(found.macro_f1(), (4.0 / 6.0 + 6.0 / 8.0) / 2.0));
    }

    #[test]
    fn a_class_that_is_only_predicted_costs_precision_elsewhere() {
        let found = evaluation(2, &[(0, 0, 0.5), (0, 1, 0.5)]);
        assert!(close(found.macro_f1(), 2.0 / 3.0));
    }

    #[test]
    fn what_the_model_lacks_is_a_class_of_its_own() {
        let found = evaluation(2, &[(0, 0, 0.5), (2, 0, 0.5), (2, 2, 0.5), (7, 9, 0.5)]);
        assert_eq!(found.confusion(), [1, 0, 0, 0, 0, 0, 1, 0, 2]);
        assert!(close(found.accuracy(), 0.75));
        assert!(close(found.macro_f1(), (2.0 / 3.0 + 4.0 / 5.0) / 2.0));
    }

    #[test]
    fn calibration_error_by_hand() {
        // 0.9 is in one bin with 0.92: 1 of 2 right at 0.91 on average. 0.3 is alone and right, 0.7 alone and wrong.
        let found = evaluation(2, &[(0, 0, 0.9), (0, 1, 0.92), (1, 1, 0.3), (1, 0, 0.7)]);
        assert!(close(found.calibration_error(), (2.0 * 0.41 + 0.7 + 0.7) / 4.0));
        assert!(close(evaluation(2, &[(0, 0, 1.0), (1, 0, 0.0)]).calibration_error(), 0.0));
        // Nine of ten right at 0.9.
        let mut answers = [(0, 0, 0.9); 10];
        answers[4].1 = 1;
        assert!(close(evaluation(2, &answers).calibration_error(), 0.0));
    }

    #[test]
    fn a_step_includes_its_upper_end() {
        // 0.2 is the end of the third step: apart from 0.21, together with 0.19.
        assert!(close(evaluation(1, &[(0, 0, 0.2), (0, 1, 0.21)]).calibration_error(), (0.8 + 0.21) / 2.0));
        assert!(close(evaluation(1, &[(0, 0, 0.2), (0, 1, 0.19)]).calibration_error(), (1.0 - 0.39) / 2.0));
    }

    #[test]
    fn confidences_out_of_range_count_at_its_ends() {
        let odd = [(0, 0, f32::INFINITY), (0, 1, f32::NEG_INFINITY), (0, 1, f32::NAN), (0, 0, 1.5)];
        assert_eq!(evaluation(1, &odd).calibration_error(), Some(0.0));
    }

    #[test]
    fn times_by_nearest_rank() {
        let mut found = Evaluation::new(1);
        for milliseconds in [50, 15, 40, 20, 35] {
            found.add(0, 0, 1.0, Duration::from_millis(milliseconds));
        }
        let quantiles = [0.0, 0.05, 0.3, 0.4, 0.5, 1.0, -1.0, 2.0].map(|q| found.quantile(q).unwrap().as_millis());
        assert_eq!(quantiles, [15, 15, 20, 20, 35, 50, 15, 50]);
        assert!(close(found.throughput(), 5.0 / 0.160));
    }

    #[test]
    fn long_times_are_cut_but_add_up() {
        let mut found = Evaluation::new(1);
        found.add(0, 0, 1.0, Duration::from_secs(10));
        assert_eq!(found.quantile(0.5), Some(Duration::from_nanos(u64::from(u32::MAX))));
        assert!(close(found.throughput(), 0.1));
        found.add(0, 0, 1.0, Duration::MAX);
        assert!(found.throughput().is_some());
    }

    #[test]
    fn no_time_gives_no_throughput() {
        let mut found = Evaluation::new(1);
        found.add(0, 0, 1.0, Duration::ZERO);
        assert_eq!((found.throughput(), found.quantile(1.0)), (None, Some(Duration::ZERO)));
    }

    proptest! {
        #[test]
        fn figures_are_shares(
            labels in 0usize..9,
            answers in prop::collection::vec((0usize..10, 0usize..10, any::<f32>(), 0u64..10_000_000_000), 1..200),
            q in 0.0f64..=1.0,
        ) {
            let mut found = Evaluation::new(labels);
            for (expected, predicted, confidence, nanoseconds) in &answers {
                found.add(*expected, *predicted, *confidence, Duration::from_nanos(*nanoseconds));
            }
            prop_assert_eq!(found.count(), answers.len() as u64);
            prop_assert_eq!(found.confusion().iter().sum::<u64>(), found.count());
            for figure in [found.accuracy(), found.macro_f1(), found.calibration_error()] {
                prop_assert!((0.0..=1.0).contains(&figure.unwrap()), "{figure:?}");
            }
            let at = found.quantile(q).unwrap();
            let limit = Duration::from_nanos(u64::from(u32::MAX));
            let up_to = |end: Duration| answers.iter().filter(|a| Duration::from_nanos(a.3).min(limit) <= end).count();
            let wanted = q * answers.len() as f64;
            prop_assert!(up_to(at) as f64 >= wanted);
            let below = at.checked_sub(Duration::from_nanos(1)).map_or(0, up_to);
            prop_assert!(below == 0 || (below as f64) < wanted);
        }

        #[test]
        fn right_answers_of_a_sure_model_are_perfect(classes in prop::collection::vec(0usize..5, 1..50)) {
            let found = evaluation(4, &classes.iter().map(|class| (*class, *class, 1.0)).collect::<Vec<_>>());
            prop_assert_eq!((found.accuracy(), found.macro_f1()), (Some(1.0), Some(1.0)));
            prop_assert_eq!(found.calibration_error(), Some(0.0));
        }
    }
}
