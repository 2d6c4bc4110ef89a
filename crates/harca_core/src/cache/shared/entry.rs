//! An entry outside shared memory, and the eight words that it has in memory and in a dump.
//!
//! | word | content |
//! |---|---|
//! | 0 | low half, from its lowest byte: [`Language::number`], the label or [`NO_LABEL`], the number of scores, 0 |
//! | 1, 2 | the key, its low half first |
//! | 3 | when the answer was stored, in microseconds |
//! | 4–7 | eight scores as the bits of `f32`, two in a word, the first in the low half; zeros behind the last |
//!
//! The confidence is not stored: it is the score of the label, or 1 without a label.

use std::array;

use crate::classify::classification::{Classification, Scores};
use crate::model::manifest::MAX_LABELS;
use crate::text::key::Key;
use crate::text::language::Language;

/// Words of an entry.
pub(crate) const WORDS: usize = 8;

/// Where the scores begin.
const SCORES: usize = 4;

const _: () = assert!(MAX_LABELS == 2 * (WORDS - SCORES));

/// For each number of scores, the bits of words 4 to 7 that are zero.
const BEHIND: [[u64; WORDS - SCORES]; MAX_LABELS + 1] = {
    let (mut masks, mut count) = ([[0; WORDS - SCORES]; MAX_LABELS + 1], 0);
    while count <= MAX_LABELS {
        let mut score = count;
        while score < MAX_LABELS {
            masks[count][score / 2] |= 0xffff_ffff << (32 * (score % 2));
            score += 1;
        }
        count += 1;
    }
    masks
};

/// The label of an answer that has none.
const NO_LABEL: u8 = u8::MAX;

/// What the cache keeps of one answered query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    /// Which text it is, under which model.
    pub key: Key,
    /// When the answer was stored, in microseconds of the clock that the look-ups use.
    pub stored_at: i64,
    /// The answer.
    pub answer: Classification,
}

impl Entry {
    /// The words of the entry; the high half of word 0 is 0.
    ///
    /// `None` for an answer that [`Classification`]'s constructors do not make: one without scores, or whose confidence
    /// is not what the words imply. A model that computes NaN gives such an answer.
    pub(crate) fn to_words(self) -> Option<[u64; WORDS]> {
        let Classification { label, confidence, scores, language } = self.answer;
        let count = scores.as_slice().len();
        let implied = label.map_or(Some(&1.0), |label| scores.as_slice().get(usize::from(label)))?;
        if count == 0 || confidence.to_bits() != implied.to_bits() {
            return None;
        }
        let metadata = [language.number(), label.unwrap_or(NO_LABEL), count as u8, 0];
        let [low, high] = self.key.halves();
        let mut words = [u64::from(u32::from_le_bytes(metadata)), low, high, self.stored_at as u64, 0, 0, 0, 0];
        for (word, pair) in words[SCORES..].iter_mut().zip(scores.padded().chunks_exact(2)) {
            *word = u64::from(pair[0].to_bits()) | u64::from(pair[1].to_bits()) << 32;
        }
        Some(words)
    }

    /// The entry that [`Self::to_words`] makes these words of, whatever the high half of word 0 is; `None` when there is
    /// none.
    #[inline]
    pub(crate) fn from_words(words: &[u64; WORDS]) -> Option<Self> {
        Some(Self { key: Key::from_halves([words[1], words[2]]), stored_at: stored_at(words), answer: answer(words)? })
    }
}

/// When the answer in these words was stored.
pub(super) fn stored_at(words: &[u64; WORDS]) -> i64 {
    words[3] as i64
}

/// The answer in these words, as [`Entry::from_words`] gives it.
#[inline]
pub(super) fn answer(words: &[u64; WORDS]) -> Option<Classification> {
    let [language, label, count, reserved] = (words[0] as u32).to_le_bytes();
    let behind = BEHIND.get(usize::from(count))?;
    let stray = behind.iter().zip(&words[SCORES..]).fold(0, |stray, (mask, word)| stray | word & mask);
    if count == 0 || u64::from(reserved) | stray != 0 {
        return None;
    }
    let score = |i: usize| f32::from_bits((words[SCORES + i / 2] >> (32 * (i % 2))) as u32);
    let (label, confidence) = match label {
        NO_LABEL => (None, 1.0),
        label if label < count => (Some(label), score(usize::from(label))),
        _ => return None,
    };
    let scores = Scores::from_padded(array::from_fn(score), count);
    Some(Classification { label, confidence, scores, language: Language::from_number(language)? })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::classify::rules;

    fn survives(answer: Classification) -> bool {
        let entry = Entry { key: Key::new(b"text", 1), stored_at: -5, answer };
        entry.to_words().and_then(|words| Entry::from_words(&words)) == Some(entry)
    }

    #[test]
    fn what_a_broken_model_computes_is_not_kept() {
        let nan = Scores::softmax(&[f32::NAN, 1.0], 1.0);
        let none = Scores::new(&[]);
        let sure =
            Classification { confidence: 0.9, ..Classification::from_scores(Scores::uniform(2), Language::English) };
        let beyond =
            Classification { label: Some(2), ..Classification::from_scores(Scores::uniform(2), Language::English) };
        for answer in [
            Classification::from_scores(nan, Language::English),
            Classification::from_scores(none, Language::English),
            sure,
            beyond,
        ] {
            assert_eq!(Entry { key: Key::new(b"text", 1), stored_at: 0, answer }.to_words(), None, "{answer:?}");
        }
    }

    proptest! {
        #[test]
        fn every_answer_of_a_model_survives(
            logits in prop::collection::vec(-100f32..100.0, 1..=MAX_LABELS),
            temperature in 0.1f32..10.0,
            language in 1u8..=9,
        ) {
            let language = Language::from_number(language).unwrap();
            prop_assert!(survives(Classification::from_scores(Scores::softmax(&logits, temperature), language)));
        }

        #[test]
        fn every_answer_without_a_model_survives(text in any::<String>(), labels in 1..=MAX_LABELS, unknown in 0..=MAX_LABELS) {
            prop_assert!(survives(rules::classify(&text)));
            let mut labels: Vec<String> = (0..labels).map(|i| i.to_string()).collect();
            if let Some(label) = labels.get_mut(unknown) {
                *label = "unknown".into();
            }
            prop_assert!(survives(Classification::unsearchable(&labels, Language::Korean)));
        }

        /// Any words give no entry, or one with these words; nothing panics.
        #[test]
        fn any_words_are_an_entry_or_none(
            mut words in any::<[u64; WORDS]>(),
            plausible in any::<[u8; 3]>(),
            tidy in any::<bool>(),
        ) {
            prop_assert!(Entry::from_words(&words).is_none_or(|e| e.answer.scores.as_slice().len() <= MAX_LABELS));
            let [language, label, count] = [plausible[0] % 11, plausible[1] % 10, plausible[2] % 10];
            words[0] = u64::from(u32::from_le_bytes([language, label, count, 0]));
            let mut stray = false;
            for score in usize::from(count)..MAX_LABELS {
                let bits = 0xffff_ffff << (32 * (score % 2));
                let word = &mut words[SCORES + score / 2];
                *word &= if tidy { !bits } else { !0 };
                stray |= *word & bits != 0;
            }
            let possible = (1..=9).contains(&language) && (1..=8).contains(&count) && label < count && !stray;
            let read = Entry::from_words(&words);
            prop_assert_eq!(read.is_some(), possible);
            prop_assert!(read.is_none_or(|entry| entry.to_words() == Some(words)));
        }
    }
}
