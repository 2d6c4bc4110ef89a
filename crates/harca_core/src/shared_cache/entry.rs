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

use crate::cache::Key;
use crate::classification::{Classification, Scores};
use crate::language::Language;
use crate::manifest::MAX_LABELS;

/// Words of an entry.
pub(crate) const WORDS: usize = 8;

/// Where the scores begin.
const SCORES: usize = 4;

const _: () = assert!(MAX_LABELS == 2 * (WORDS - SCORES));

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
        if count == 0 || confidence.to_bits() != implied_confidence(label, &scores)?.to_bits() {
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

    /// The entry of these words, whatever the high half of word 0 is; `None` when no entry has such metadata.
    pub(crate) fn from_words(words: &[u64; WORDS]) -> Option<Self> {
        let [language, label, count, reserved] = (words[0] as u32).to_le_bytes();
        if !(1..=MAX_LABELS as u8).contains(&count) || reserved != 0 {
            return None;
        }
        let language = Language::from_number(language)?;
        let label = (label != NO_LABEL).then_some(label);
        let mut values = [0.0; MAX_LABELS];
        for (pair, word) in values.chunks_exact_mut(2).zip(&words[SCORES..]) {
            pair[0] = f32::from_bits(*word as u32);
            pair[1] = f32::from_bits((*word >> 32) as u32);
        }
        let scores = Scores::prefix(values, count);
        let confidence = implied_confidence(label, &scores)?;
        Some(Self {
            key: Key::from_halves([words[1], words[2]]),
            stored_at: words[3] as i64,
            answer: Classification { label, confidence, scores, language },
        })
    }
}

/// `None` for a label without a score.
fn implied_confidence(label: Option<u8>, scores: &Scores) -> Option<f32> {
    label.map_or(Some(1.0), |label| scores.as_slice().get(usize::from(label)).copied())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules;

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

        /// Any words give no entry or one that `to_words` and `from_words` agree on; nothing panics.
        #[test]
        fn any_words_are_an_entry_or_none(mut words in any::<[u64; WORDS]>(), plausible in any::<[u8; 3]>()) {
            prop_assert!(Entry::from_words(&words).is_none_or(|e| e.answer.scores.as_slice().len() <= MAX_LABELS));
            let [language, label, count] = plausible;
            words[0] = u64::from(u32::from_le_bytes([language % 11, label % 10, count % 10, 0]));
            let read = Entry::from_words(&words);
            let possible = (1..=9).contains(&(language % 11)) && (1..=8).contains(&(count % 10)) && label % 10 < count % 10;
            prop_assert_eq!(read.is_some(), possible);
            if let Some(entry) = read {
                let again = entry.to_words().unwrap();
                prop_assert_eq!(again[..SCORES].to_vec(), words[..SCORES].to_vec());
                prop_assert_eq!(Entry::from_words(&again).unwrap().to_words(), Some(again));
            }
        }
    }
}
