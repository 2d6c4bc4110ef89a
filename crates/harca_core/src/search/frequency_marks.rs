//! Marks that let an index of words find the documents that have a word often.
//!
//! A GIN index over a `tsvector` knows which documents have a word, not how often, and so a search has to take each of them
//! for one that has it many times. [`with_marks`] adds a lexeme for each threshold that the frequency of a word reaches: the
//! word, an asterisk and the threshold; and those of the [class](length_classes) of its length. An index over the result finds
//! what [`MaxScore`](super::max_score) can tell apart.

use super::bm25::{MAX_LEXEME_BYTES, TsVector, encode};
use super::length_classes;

/// Frequencies from which on a document has the mark of a word.
pub const THRESHOLDS: [u32; 3] = [2, 3, 5];

/// What a document has in the place of all marks when these do not fit into a `tsvector`: it may have any word that often, and
/// any length.
pub const UNMARKED: &[u8] = b"*";

/// The mark of a lexeme for a threshold; none for a lexeme that is too long for one.
#[must_use]
pub fn mark(lexeme: &[u8], threshold: u32) -> Option<Vec<u8>> {
    let mark = [lexeme, b"*", threshold.to_string().as_bytes()].concat();
    (mark.len() <= MAX_LEXEME_BYTES).then_some(mark)
}

/// The bytes of a `tsvector`, behind its header, with the lexemes of a document and their marks.
///
/// A document to which not even the mark for those without fits stays as it is: it is within two bytes of the limit that
/// PostgreSQL has for a `tsvector`.
#[must_use]
pub fn with_marks(document: &TsVector<'_>) -> Vec<u8> {
    let mut marks = Vec::from(length_classes::marks(document.length()));
    for (lexeme, frequency) in document.lexemes() {
        let reached = THRESHOLDS.iter().take_while(|threshold| **threshold <= frequency);
        marks.extend(reached.filter_map(|threshold| mark(lexeme, *threshold)));
    }
    let with = |marks: &[Vec<u8>]| encode(document, marks);
    with(&marks).or_else(|| with(&[UNMARKED.to_vec()])).or_else(|| with(&[])).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::bm25::encoded;
    use super::*;

    fn words(bytes: &[u8]) -> Vec<(String, u32)> {
        let document = TsVector::new(bytes).unwrap();
        document.lexemes().map(|(lexeme, often)| (String::from_utf8(lexeme.into()).unwrap(), often)).collect()
    }

    #[test]
    fn what_is_there_often_is_marked() {
        let bytes = encoded(&[("a", Some(1)), ("ab", Some(2)), ("b", None), ("検索", Some(9))]);
        let found = words(&with_marks(&TsVector::new(&bytes).unwrap()));
        let words =
            [("a", 1), ("ab", 2), ("ab*2", 1), ("b", 1), ("検索", 9), ("検索*2", 1), ("検索*3", 1), ("検索*5", 1)];
        // 13 words.
        let expected = [("*3", 1), ("*3.5", 1)].into_iter().chain(words);
        assert_eq!(found, expected.map(|(lexeme, often)| (lexeme.to_owned(), often)).collect::<Vec<_>>());
    }

    #[test]
    fn what_does_not_fit_has_one_mark() {
        let lexemes: Vec<String> = (0..520).map(|n| format!("{n:0>2000}")).collect();
        let all: Vec<(&str, Option<u16>)> = lexemes.iter().map(|lexeme| (lexeme.as_str(), Some(3))).collect();
        let bytes = encoded(&all);
        let found = words(&with_marks(&TsVector::new(&bytes).unwrap()));
        assert_eq!((found.len(), found[0].0.as_str()), (521, "*"));
        let long = "x".repeat(2046);
        let bytes = encoded(&[(long.as_str(), Some(3))]);
        // It has those of its length alone.
        assert_eq!(words(&with_marks(&TsVector::new(&bytes).unwrap())).len(), 3);
    }

    proptest! {
        #[test]
        fn lexemes_stay_and_all_is_sorted(
            words in prop::collection::btree_map("[a-c*2検]{1,4}", prop::option::of(1u16..9), 0..40),
        ) {
            let sorted: Vec<(&str, Option<u16>)> = words.iter().map(|(word, often)| (word.as_str(), *often)).collect();
            let bytes = encoded(&sorted);
            let marked = with_marks(&TsVector::new(&bytes).unwrap());
            let marked = TsVector::new(&marked).unwrap();
            let lexemes: Vec<&[u8]> = marked.lexemes().map(|(lexeme, _)| lexeme).collect();
            prop_assert!(lexemes.windows(2).all(|pair| pair[0] < pair[1]));
            for (word, often) in sorted {
                let often = often.map_or(1, u32::from);
                prop_assert_eq!(marked.frequency(word.as_bytes()), often);
                for threshold in THRESHOLDS {
                    let mark = mark(word.as_bytes(), threshold).unwrap();
                    prop_assert!(often < threshold || marked.frequency(&mark) > 0);
                }
            }
        }

        #[test]
        fn damaged_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(document) = TsVector::new(&bytes) {
                let _ = with_marks(&document);
            }
        }
    }
}
