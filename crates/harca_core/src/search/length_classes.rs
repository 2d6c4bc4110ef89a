//! Classes of documents by their lengths, an eighth of an octave each, and the marks by which an index finds them.
//!
//! A short document can score higher than a long one that has a word as often. Class 0 are the documents of one word;
//! eight classes on, documents are twice as long. A document has the mark of its class and that of its octave, so that an
//! index finds all that are [no longer](no_longer_than) by some dozen marks.

/// Classes in which lengths double.
const PER_OCTAVE: usize = 8;
/// A document of 2^31 words does not fit into a `tsvector`.
const OCTAVES: usize = 31;
/// 2^(n/8): `powf` need not give the same everywhere.
#[allow(clippy::excessive_precision)]
const STARTS: [f64; PER_OCTAVE] = [
    1.0,
    1.090_507_732_665_257_7,
    1.189_207_115_002_721_1,
    1.296_839_554_651_009_6,
    std::f64::consts::SQRT_2,
    1.542_210_825_407_940_7,
    1.681_792_830_507_429_1,
    1.834_008_086_409_342_4,
];

/// The shortest documents of a class, in words; a class may have none of its own below 8 words.
#[must_use]
pub fn shortest(class: usize) -> u64 {
    let octave = (class / PER_OCTAVE).min(OCTAVES);
    (STARTS[class % PER_OCTAVE] * (1_u64 << octave) as f64).ceil() as u64
}

/// The class of a document with so many words.
#[must_use]
pub fn class(length: u64) -> usize {
    let octave = length.max(1).ilog2() as usize;
    let first = octave.min(OCTAVES) * PER_OCTAVE;
    (first..first + PER_OCTAVE).rev().find(|class| shortest(*class) <= length).unwrap_or(first)
}

/// The marks of a document with so many words: those of its octave and of its class.
#[must_use]
pub fn marks(length: u64) -> [Vec<u8>; 2] {
    let class = class(length);
    [octave_mark(class / PER_OCTAVE), class_mark(class)]
}

/// The marks of which every document up to a class has one, and no longer one.
#[must_use]
pub fn no_longer_than(class: usize) -> Vec<Vec<u8>> {
    let whole = (class + 1) / PER_OCTAVE;
    let octaves = (0..whole).map(octave_mark);
    octaves.chain((whole * PER_OCTAVE..=class).map(class_mark)).collect()
}

/// An asterisk, which no configuration leaves in a lexeme, and the number. Where a document has such a lexeme of its own, it
/// is found once too often.
fn octave_mark(octave: usize) -> Vec<u8> {
    format!("*{octave}").into_bytes()
}

fn class_mark(class: usize) -> Vec<u8> {
    format!("*{}.{}", class / PER_OCTAVE, class % PER_OCTAVE).into_bytes()
}

/// Some neighbouring classes, as one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lengths {
    /// What none of its documents is shorter than, in words.
    pub shortest: u64,
    /// The last of the classes; none where it ends with the longest document of all.
    pub last: Option<usize>,
    /// The share of all documents that are probably in it.
    pub share: f64,
}

impl Lengths {
    /// All documents.
    pub const ALL: Self = Self { shortest: 1, last: None, share: 1.0 };

    /// From the shortest documents to the longest, where so many words are the average: narrow where short documents stand
    /// out, and no more than so many.
    #[must_use]
    pub fn around(average: f64, most: usize) -> Vec<Self> {
        // Classes beside that of the average, from the most useful bounds to the least.
        const BOUNDS: [isize; 13] = [-8, -4, -10, -6, 0, -9, -7, -5, -12, -2, -14, 3, 6];
        let middle = class(average.max(1.0) as u64) as isize;
        let chosen = &BOUNDS[..BOUNDS.len().min(most.saturating_sub(1))];
        let mut lasts: Vec<usize> = chosen.iter().filter_map(|beside| usize::try_from(middle + beside).ok()).collect();
        lasts.retain(|last| *last < OCTAVES * PER_OCTAVE);
        lasts.sort_unstable();
        let mut found: Vec<Self> = Vec::with_capacity(lasts.len() + 1);
        let (mut start, mut below) = (1, 0.0);
        for last in lasts.into_iter().map(Some).chain([None]) {
            let end = last.map(|last| shortest(last + 1));
            let up_to = end.map_or(1.0, |end| share_below(end as f64 / average));
            found.push(Self { shortest: start, last, share: up_to - below });
            (start, below) = (end.unwrap_or(start), up_to);
        }
        found
    }
}

/// The share of documents that are shorter than a multiple of the average, if the logarithms of lengths are spread as those
/// of most texts: by a half, here as a logistic distribution, whose variance is (π · scale)² / 3.
fn share_below(multiple: f64) -> f64 {
    const DEVIATION: f64 = 0.5;
    const MEDIAN: f64 = 0.88; // exp(−DEVIATION² / 2)
    const SCALE: f64 = DEVIATION * 0.551_33; // √3 / π
    1.0 / (1.0 + (multiple / MEDIAN).powf(-1.0 / SCALE))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_double_in_eight_classes() {
        assert_eq!([1, 2, 3, 4, 8, 11, 64, 69, 70, 127, 128].map(class), [0, 8, 12, 16, 24, 27, 48, 48, 49, 55, 56]);
        assert_eq!([0, 1, 8, 12, 48, 49, 56].map(shortest), [1, 2, 2, 3, 64, 70, 128]);
        assert_eq!((class(0), class(u64::MAX), shortest(usize::MAX)), (0, 255, 3_938_502_376));
        for (n, start) in STARTS.into_iter().enumerate() {
            assert!((start.log2() * 8.0 - n as f64).abs() < 1e-12);
        }
    }

    #[test]
    fn marks_are_few() {
        assert_eq!(marks(65), [b"*6".to_vec(), b"*6.0".to_vec()]);
        assert_eq!(no_longer_than(class(65)).len(), 7);
        assert_eq!(no_longer_than(class(63)).len(), 6);
        assert_eq!(no_longer_than(class(126)).len(), 7);
    }

    #[test]
    fn all_documents_are_in_one_of_them() {
        for (average, most) in [(130.0, 14), (130.0, 5), (1.0, 14), (0.2, 14), (7.5, 14), (1e12, 14), (50.0, 1)] {
            let classes = Lengths::around(average, most);
            assert!(classes.len() <= most);
            assert!((classes.iter().map(|class| class.share).sum::<f64>() - 1.0).abs() < 1e-9);
            assert!(classes.iter().all(|class| class.share >= 0.0), "{classes:?}");
            assert_eq!((classes[0].shortest, classes[classes.len() - 1].last), (1, None));
            for pair in classes.windows(2) {
                assert_eq!(pair[0].last.map(|last| shortest(last + 1)), Some(pair[1].shortest));
                assert!(pair[0].last < pair[1].last || pair[1].last.is_none());
            }
        }
        assert_eq!(Lengths::around(50.0, 1), [Lengths::ALL]);
    }

    proptest! {
        #[test]
        fn a_document_is_found_by_its_class_and_by_longer_ones(length in 1u64..100_000, other in 0usize..140) {
            let own = class(length);
            prop_assert!(shortest(own) <= length && length < shortest(own + 1));
            let found: HashSet<Vec<u8>> = no_longer_than(other).into_iter().collect();
            prop_assert_eq!(marks(length).iter().any(|mark| found.contains(mark)), own <= other);
        }
    }
}
