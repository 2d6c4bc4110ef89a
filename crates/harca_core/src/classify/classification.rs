//! What a classifier says of a query: the type, and how probable each type is.

use crate::model::manifest::{MAX_LABELS, UNKNOWN};
use crate::text::language::Language;

/// Probabilities in label order; at most [`MAX_LABELS`] of them, non-negative, with the sum 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    values: [f32; MAX_LABELS],
    len: u8,
}

impl Scores {
    /// Takes probabilities as they are; anything past [`MAX_LABELS`] is dropped.
    #[must_use]
    pub fn new(probabilities: &[f32]) -> Self {
        let len = probabilities.len().min(MAX_LABELS);
        let mut values = [0.0; MAX_LABELS];
        values[..len].copy_from_slice(&probabilities[..len]);
        Self { values, len: len as u8 }
    }

    /// The inverse of [`Self::padded`]: `len` probabilities, at most [`MAX_LABELS`], and zeros behind them.
    pub(crate) fn from_padded(values: [f32; MAX_LABELS], len: u8) -> Self {
        Self { values, len: len.min(MAX_LABELS as u8) }
    }

    /// All probability on one of `len` labels.
    #[must_use]
    pub fn certain(label: usize, len: usize) -> Self {
        let mut scores = Self::new(&[0.0; MAX_LABELS][..len.min(MAX_LABELS)]);
        if label < scores.as_slice().len() {
            scores.values[label] = 1.0;
        }
        scores
    }

    /// The same probability for each of `len` labels.
    #[must_use]
    pub fn uniform(len: usize) -> Self {
        let len = len.clamp(1, MAX_LABELS);
        Self::new(&[1.0 / len as f32; MAX_LABELS][..len])
    }

    /// Softmax of `logits / temperature`, stable for logits of any size.
    #[must_use]
    pub fn softmax(logits: &[f32], temperature: f32) -> Self {
        let mut scores = Self::new(logits);
        let values = &mut scores.values[..usize::from(scores.len)];
        let top = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for value in values.iter_mut() {
            *value = ((*value - top) / temperature).exp();
            sum += *value;
        }
        values.iter_mut().for_each(|v| *v /= sum);
        scores
    }

    /// The probabilities, one per label.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.values[..usize::from(self.len)]
    }

    /// The probabilities with zeros behind them.
    pub(crate) fn padded(&self) -> &[f32; MAX_LABELS] {
        &self.values
    }

    /// Position and probability of the most probable label; the first of equals.
    #[must_use]
    pub fn top(&self) -> (usize, f32) {
        self.as_slice()
            .iter()
            .copied()
            .enumerate()
            .fold((0, f32::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best })
    }
}

/// The answer for one query, in a fixed-size form that a cache can keep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Classification {
    /// Position of the type among the labels; `None` is `unknown` for a model that has no such label.
    pub label: Option<u8>,
    /// How sure the answer is, from 0 to 1: the probability of `label`, or 1 without a label. The shared cache does not
    /// store it and relies on that.
    pub confidence: f32,
    /// The probability of each label.
    pub scores: Scores,
    /// The language the text seems to be in.
    pub language: Language,
}

impl Classification {
    /// Position of the type among the labels; [`MAX_LABELS`] is `unknown` for a model that has no such label.
    #[must_use]
    pub fn class(&self) -> usize {
        self.label.map_or(MAX_LABELS, |label| usize::from(label).min(MAX_LABELS))
    }

    /// The name of the type among `labels`.
    #[must_use]
    pub fn query_type<'a>(&self, labels: &'a [String]) -> &'a str {
        self.label.and_then(|i| labels.get(usize::from(i))).map_or(UNKNOWN, String::as_str)
    }

    /// Position of the type among the labels; none, which is [`UNKNOWN`], when the confidence is below `least`.
    ///
    /// `least` has the precision of the confidence, so that the number under which a confidence is shown is enough for
    /// it: as `f64`, 0.7 is more than the confidence 0.7.
    #[must_use]
    pub fn label_if_sure(&self, least: f32) -> Option<usize> {
        if self.confidence < least { None } else { self.label.map(usize::from) }
    }

    /// The most probable label of `scores`.
    #[must_use]
    pub fn from_scores(scores: Scores, language: Language) -> Self {
        let (label, confidence) = scores.top();
        Self { label: Some(label as u8), confidence, scores, language }
    }

    /// The answer for a text that holds nothing to search for.
    #[must_use]
    pub fn unsearchable(labels: &[String], language: Language) -> Self {
        let label = labels.iter().position(|l| l == UNKNOWN);
        let scores = label.map_or_else(|| Scores::uniform(labels.len()), |i| Scores::certain(i, labels.len()));
        Self { label: label.map(|i| i as u8), confidence: 1.0, scores, language }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unknown_has_a_place_with_and_without_a_label() {
        let three = ["a", "b", "c"].map(String::from);
        let answer = Classification::unsearchable(&three, Language::Undetermined);
        assert_eq!((answer.query_type(&three), answer.label), ("unknown", None));
        let with = ["a", "unknown"].map(String::from);
        let answer = Classification::unsearchable(&with, Language::Undetermined);
        assert_eq!((answer.query_type(&with), answer.scores.as_slice()), ("unknown", &[0.0, 1.0][..]));
    }

    #[test]
    fn a_doubtful_answer_is_unknown_and_keeps_its_numbers() {
        let labels = ["a", "b", "c"].map(String::from);
        let answer = Classification::from_scores(Scores::new(&[0.2, 0.7, 0.1]), Language::English);
        for (least, expected) in [(0.0, Some(1)), (0.699, Some(1)), (0.7, Some(1)), (0.701, None), (1.0, None)] {
            assert_eq!(answer.label_if_sure(least), expected, "{least}");
        }
        assert_eq!((answer.confidence, answer.query_type(&labels)), (0.7, "b"));
        let certain = Classification::from_scores(Scores::certain(2, 3), Language::English);
        assert_eq!(certain.label_if_sure(1.0), Some(2));
        let blank = Classification::unsearchable(&labels, Language::Undetermined);
        assert_eq!(blank.label_if_sure(0.0), None);
    }

    proptest! {
        #[test]
        fn softmax_is_a_distribution(
            logits in prop::collection::vec(-1e30f32..1e30, 1..=MAX_LABELS),
            temperature in 0.01f32..100.0,
        ) {
            let scores = Scores::softmax(&logits, temperature);
            let sum: f32 = scores.as_slice().iter().sum();
            prop_assert!((sum - 1.0).abs() < 1e-5);
            prop_assert!(scores.as_slice().iter().all(|p| (0.0..=1.0).contains(p)));
            let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            prop_assert_eq!(logits[scores.top().0], top);
        }
    }
}
