//! Answers by type and by confidence: as plain numbers, and as atomics in shared memory.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::classify::classification::Classification;
use crate::model::manifest::MAX_LABELS;
use crate::watch::significance::Moments;

/// Types that are told apart: the labels of a model, and `unknown` where it is none of them.
pub const CLASSES: usize = MAX_LABELS + 1;

/// Steps of the confidence, each a tenth.
pub const BINS: usize = 10;

/// Confidences are added up as whole millionths.
const MILLION: f64 = 1e6;

/// Answers by type and by confidence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answers {
    /// By label, in the order of the model; the last is `unknown` for a model without that label.
    pub classes: [u64; CLASSES],
    /// By confidence, from 0 to 1 in tenths.
    pub bins: [u64; BINS],
    sum: u64,
    squares: u64,
}

impl Answers {
    /// Counts one.
    pub fn add(&mut self, answer: &Classification) {
        let confidence = f64::from(answer.confidence).clamp(0.0, 1.0);
        self.classes[answer.class()] += 1;
        self.bins[((confidence * BINS as f64) as usize).min(BINS - 1)] += 1;
        self.sum += (confidence * MILLION).round() as u64;
        self.squares += (confidence * confidence * MILLION).round() as u64;
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.classes.iter().fold(0, |sum, class| sum.wrapping_add(*class))
    }

    /// Number, sum and sum of squares of the confidences.
    #[must_use]
    pub fn confidences(&self) -> Moments {
        Moments { count: self.count(), sum: self.sum as f64 / MILLION, sum_of_squares: self.squares as f64 / MILLION }
    }

    /// What has come since they were `former`.
    #[must_use]
    pub fn since(&self, former: &Self) -> Self {
        Self::of(|i| self.number(i).wrapping_sub(former.number(i)))
    }

    const NUMBERS: usize = CLASSES + BINS + 2;

    fn number(&self, i: usize) -> u64 {
        match i {
            _ if i < CLASSES => self.classes[i],
            _ if i < CLASSES + BINS => self.bins[i - CLASSES],
            _ if i == CLASSES + BINS => self.sum,
            _ => self.squares,
        }
    }

    fn of(number: impl Fn(usize) -> u64) -> Self {
        Self {
            classes: std::array::from_fn(&number),
            bins: std::array::from_fn(|i| number(CLASSES + i)),
            sum: number(CLASSES + BINS),
            squares: number(CLASSES + BINS + 1),
        }
    }
}

/// [`Answers`] in shared memory.
#[derive(Default)]
#[repr(C)]
pub(super) struct SharedAnswers([AtomicU64; Answers::NUMBERS]);

impl SharedAnswers {
    pub(super) fn add(&self, answers: &Answers) {
        for (i, number) in self.0.iter().enumerate() {
            // Most are zero, and need no line of memory.
            if answers.number(i) != 0 {
                number.fetch_add(answers.number(i), Relaxed);
            }
        }
    }

    pub(super) fn load(&self) -> Answers {
        Answers::of(|i| self.0[i].load(Relaxed))
    }

    pub(super) fn store(&self, answers: &Answers) {
        self.0.iter().enumerate().for_each(|(i, number)| number.store(answers.number(i), Relaxed));
    }
}
