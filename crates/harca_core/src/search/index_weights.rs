//! What an index that scores by BM25 knows of the words of a query, read off the scores that it gives to small documents.
//!
//! Such an index keeps how many documents have a word, and tells it to nobody; but it scores any document that it is
//! shown, as if that were one of its own:
//!
//! ```text
//! score = Σ (k1 + 1) · weight(t) · occurrences · tf / (tf + k1 · (1 − b) + slope · length)
//! ```
//!
//! A [`Probe`] is a document that is its own query, so that occurrences and tf are the same. `slope` is k1 · b by the
//! average length of the documents, which the index does not tell either: it follows from two probes of different
//! [lengths](Saturation::measured).
//!
//! A probe for each word is a call of the index for each. What they have told is [kept](Learned), and holds as long as nothing
//! at all has been written; after that, one probe for all words of a query tells whether it still does.

use std::num::NonZeroUsize;

use lru::LruCache;

use crate::search::bm25::Parameters;

/// Words of an index whose weights are kept, some hundred bytes each.
const WORDS_KEPT: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
/// By how large a part a score may differ from what the weights tell: an index computes in single precision.
const TOLERANCE: f64 = 2e-6;

/// How the score of a small document hangs on its weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Saturation {
    /// k1 + 1: what all scores are multiplied by.
    scale: f64,
    /// k1 · (1 − b).
    base: f64,
    /// k1 · b by the average length.
    slope: f64,
    /// k1 · b.
    length_part: f64,
}

impl Saturation {
    /// From the score of terms in documents of `short` words, each with one of them, and in one document of `long` words
    /// that has each once; the first ones are summed up.
    ///
    /// Where there is no telling, because no document has the terms or both lengths are the same, lengths do not count.
    #[must_use]
    pub fn measured(parameters: Parameters, (short, score): (u32, f64), (long, together): (u32, f64)) -> Self {
        let Parameters { k1, b } = parameters;
        let base = k1 * (1.0 - b);
        // (1 + base + slope · long) / (1 + base + slope · short), which is below long / short.
        let ratio = if score > 0.0 && together > 0.0 { score / together } else { 1.0 };
        let rest = f64::from(long) - ratio * f64::from(short);
        let slope = if b > 0.0 && rest > 0.0 { ((1.0 + base) * (ratio - 1.0) / rest).max(0.0) } else { 0.0 };
        Self { scale: k1 + 1.0, base, slope, length_part: k1 * b }
    }

    /// Words of a document on average; `None` where lengths do not count.
    #[must_use]
    pub fn average_length(&self) -> Option<f64> {
        (self.slope > 0.0).then(|| self.length_part / self.slope)
    }

    /// What a term of weight 1 adds to the score of a document that is its own query.
    fn factor(&self, occurrences: u32, length: u32) -> f64 {
        let tf = f64::from(occurrences);
        self.scale * tf * tf / (tf + self.base + self.slope * f64::from(length))
    }
}

/// A document that is its own query.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// Its terms by their numbers, and how often it has each.
    pub parts: Vec<(usize, u32)>,
}

impl Probe {
    /// How many words it has.
    #[must_use]
    pub fn length(&self) -> u32 {
        self.parts.iter().map(|(_, occurrences)| occurrences).sum()
    }

    /// The only term, where it has but one, and that once.
    #[must_use]
    pub fn single(&self) -> Option<usize> {
        match self.parts[..] {
            [(term, 1)] => Some(term),
            _ => None,
        }
    }
}

/// The weights of words that an index has told.
///
/// They change with every document that comes or goes, and nobody is told. But where the position of a log of all changes is
/// the same, nothing has changed. And whoever asks for the words of a query can see whether the score of a document of all of
/// them is what the weights make of it: a change that it does not show is none that a search could notice.
#[derive(Debug)]
pub struct Learned {
    saturation: Saturation,
    weights: LruCache<Box<[u8]>, Told>,
}

/// The weight of a word, and where the log stood before the index told it, if there is one.
#[derive(Debug, Clone, Copy)]
struct Told {
    weight: f64,
    position: Option<u64>,
}

/// What is known of the words of a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// Their weights.
    pub weights: Vec<f64>,
    /// How scores hang on them.
    pub saturation: Saturation,
    /// Whether nothing can have changed since all of them were told.
    pub is_current: bool,
}

impl Learned {
    /// Nothing but how scores hang on weights.
    #[must_use]
    pub fn new(saturation: Saturation) -> Self {
        Self { saturation, weights: LruCache::new(WORDS_KEPT) }
    }

    /// Takes the weights of words, and how scores hang on them, as the index has told them, or still tells
    /// them, after `position` of the log.
    pub fn learn<'w>(
        &mut self,
        words: impl IntoIterator<Item = (&'w [u8], f64)>,
        saturation: Saturation,
        position: Option<u64>,
    ) {
        self.saturation = saturation;
        for (word, weight) in words {
            self.weights.put(word.into(), Told { weight, position });
        }
    }

    /// What is known of words while the log stands at `position`, if all of them are known.
    pub fn known<'w>(&mut self, words: impl IntoIterator<Item = &'w [u8]>, position: Option<u64>) -> Option<Known> {
        let told: Option<Vec<Told>> = words.into_iter().map(|word| self.weights.get(word).copied()).collect();
        told.map(|told| Known {
            weights: told.iter().map(|told| told.weight).collect(),
            saturation: self.saturation,
            is_current: position.is_some() && told.iter().all(|told| told.position == position),
        })
    }
}

/// Whether the score of a probe is what these weights of the terms make of it.
#[must_use]
pub fn agree(weights: &[f64], probe: &Probe, score: f64, saturation: Saturation) -> bool {
    let length = probe.length();
    let part = |(term, occurrences): &(usize, u32)| {
        weights.get(*term).map_or(0.0, |weight| weight * saturation.factor(*occurrences, length))
    };
    let expected: f64 = probe.parts.iter().map(part).sum();
    (score - expected).abs() <= TOLERANCE * expected
}

/// The weights of so many terms, from the scores of probes.
///
/// A probe may have several terms: an identifier is read as a whole and in its parts. It tells the weight of one of them
/// when others tell the rest. What is left of a score with several unknown terms is shared by them equally; a term in no
/// probe has no weight.
#[must_use]
pub fn weights(terms: usize, probes: &[(Probe, f64)], saturation: Saturation) -> Vec<f64> {
    let mut known: Vec<Option<f64>> = vec![None; terms];
    let mut unknown = 1;
    while unknown <= terms {
        let found = probes.iter().find_map(|(probe, score)| {
            let open = probe.parts.iter().filter(|(term, _)| known.get(*term).is_some_and(Option::is_none));
            (open.count() == unknown).then(|| (probe, rest(probe, *score, &known, saturation)))
        });
        let Some((probe, (rest, factors))) = found else {
            unknown += 1;
            continue;
        };
        for (term, _) in &probe.parts {
            if let Some(weight @ None) = known.get_mut(*term) {
                *weight = Some((rest / factors).max(0.0));
            }
        }
        // What is known now may leave one unknown term to another probe.
        unknown = 1;
    }
    known.into_iter().map(Option::unwrap_or_default).collect()
}

/// What the unknown terms of a probe add to its score, and would if their weights were 1.
fn rest(probe: &Probe, score: f64, known: &[Option<f64>], saturation: Saturation) -> (f64, f64) {
    let length = probe.length();
    let mut rest = score;
    let mut factors = 0.0;
    for (term, occurrences) in &probe.parts {
        let factor = saturation.factor(*occurrences, length);
        match known.get(*term) {
            Some(Some(weight)) => rest -= factor * weight,
            _ => factors += factor,
        }
    }
    (rest, factors)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::search::bm25::Collection;

    fn probe(parts: &[(usize, u32)]) -> Probe {
        Probe { parts: parts.to_vec() }
    }

    /// As an index scores: with numbers of single precision.
    fn score(weights: &[f64], probe: &Probe, Parameters { k1, b }: Parameters, average: f64) -> f64 {
        let length = f64::from(probe.length());
        let part = |(term, occurrences): &(usize, u32)| {
            let tf = f64::from(*occurrences);
            let saturated = tf * (k1 + 1.0) / (tf + k1 * (1.0 - b + b * length / average));
            f64::from((f64::from(weights[*term] as f32) * saturated * tf) as f32)
        };
        probe.parts.iter().map(part).sum()
    }

    #[test]
    fn a_code_is_known_when_its_parts_are() {
        let parameters = Parameters { k1: 0.9, b: 0.4 };
        let truth = [7.5, 2.0, 4.0];
        let probes = [probe(&[(0, 1), (1, 1), (2, 1)]), probe(&[(1, 1)]), probe(&[(2, 1)])];
        let scored: Vec<_> =
            probes.iter().map(|probe| (probe.clone(), score(&truth, probe, parameters, 60.0))).collect();
        let together = score(&truth, &probe(&[(1, 1), (2, 1)]), parameters, 60.0);
        let saturation = Saturation::measured(parameters, (1, scored[1].1 + scored[2].1), (2, together));
        for (found, weight) in weights(3, &scored, saturation).iter().zip(truth) {
            assert!((found - weight).abs() < 1e-4, "{found} is not {weight}");
        }
        assert!((saturation.average_length().unwrap() - 60.0).abs() < 0.1);
    }

    #[test]
    fn what_cannot_be_told_apart_is_shared() {
        let saturation = Saturation::measured(Parameters { k1: 1.0, b: 0.0 }, (1, 0.0), (1, 0.0));
        assert_eq!(saturation.average_length(), None);
        assert_eq!(weights(3, &[(probe(&[(0, 1), (1, 1)]), 4.0)], saturation), [2.0, 2.0, 0.0]);
        assert_eq!(weights(2, &[], saturation), [0.0, 0.0]);
        assert_eq!(weights(1, &[(probe(&[(0, 1)]), 0.0)], saturation), [0.0]);
    }

    #[test]
    fn what_was_learned_is_known_by_word() {
        let saturation = Saturation::measured(Parameters { k1: 0.9, b: 0.4 }, (1, 1.0), (2, 0.9));
        let mut learned = Learned::new(saturation);
        let known = |weights: &[f64], is_current| Some(Known { weights: weights.into(), saturation, is_current });
        assert_eq!(learned.known([b"one".as_slice()], Some(1)), None);
        learned.learn([(b"one".as_slice(), 1.0), (b"two".as_slice(), 2.0)], saturation, Some(1));
        assert_eq!(learned.known([b"two".as_slice(), b"one"], Some(1)), known(&[2.0, 1.0], true));
        assert_eq!(learned.known([b"two".as_slice(), b"three"], Some(1)), None);
        learned.learn([(b"one".as_slice(), 3.0)], saturation, Some(2));
        assert_eq!(learned.known([b"one".as_slice()], Some(2)), known(&[3.0], true));
    }

    #[test]
    fn what_was_learned_is_current_until_something_is_written() {
        let saturation = Saturation::measured(Parameters { k1: 0.9, b: 0.4 }, (1, 1.0), (2, 0.9));
        let mut learned = Learned::new(saturation);
        let words = [b"one".as_slice(), b"two"];
        let is_current = |learned: &mut Learned, words: &[&'static [u8]], position| {
            learned.known(words.iter().copied(), position).map(|known| known.is_current)
        };
        learned.learn(words.into_iter().zip([1.0, 2.0]), saturation, Some(1));
        assert_eq!(is_current(&mut learned, &words, Some(1)), Some(true));
        assert_eq!(is_current(&mut learned, &words, Some(2)), Some(false));
        // One word told again says nothing of the other.
        learned.learn([(words[0], 1.0)], saturation, Some(2));
        assert_eq!(is_current(&mut learned, &words[..1], Some(2)), Some(true));
        assert_eq!(is_current(&mut learned, &words, Some(2)), Some(false));
        learned.learn(words.into_iter().zip([1.0, 2.0]), saturation, Some(2));
        assert_eq!(is_current(&mut learned, &words, Some(2)), Some(true));
        // Without a log there is no telling.
        learned.learn(words.into_iter().zip([1.0, 2.0]), saturation, None);
        assert_eq!(is_current(&mut learned, &words, None), Some(false));
    }

    proptest! {
        #[test]
        fn a_change_shows_in_the_score_of_all_words(
            counts in prop::collection::vec(1u64..5_000, 1..12),
            changed in any::<prop::sample::Index>(),
            b in 0.0f64..=1.0,
            average in 20.0f64..500.0,
        ) {
            let collection = Collection { documents: 300_000, average_length: None };
            let parameters = Parameters { k1: 0.9, b };
            let mut truth: Vec<f64> = counts.iter().map(|count| collection.weight(*count)).collect();
            let single = |term| probe(&[(term, 1)]);
            let ask = |truth: &[f64], probe: &Probe| score(truth, probe, parameters, average);
            let whole = Probe { parts: (0..truth.len()).map(|term| (term, 1)).collect() };
            let scored: Vec<_> = (0..truth.len()).map(|term| (single(term), ask(&truth, &single(term)))).collect();
            // A query of one word is measured beside a word that nobody has.
            let mut padded = truth.clone();
            padded.push(0.0);
            let long = Probe { parts: (0..padded.len()).map(|term| (term, 1)).collect() };
            let short = scored.iter().map(|(_, score)| score).sum();
            let saturation = Saturation::measured(parameters, (1, short), (long.length(), ask(&padded, &long)));
            let found = weights(truth.len(), &scored, saturation);
            prop_assert!(agree(&found, &whole, ask(&truth, &whole), saturation));
            let term = changed.index(truth.len());
            truth[term] = collection.weight(counts[term] + 1);
            prop_assert!(!agree(&found, &whole, ask(&truth, &whole), saturation) || truth.len() > 1 && counts[term] > 500);
        }

        #[test]
        fn weights_and_counts_come_back(
            counts in prop::collection::vec(1u64..100_000, 1..6),
            k1 in 0.1f64..10.0,
            b in 0.0f64..=1.0,
            average in 3.0f64..500.0,
        ) {
            let collection = Collection { documents: 100_000, average_length: None };
            let parameters = Parameters { k1, b };
            let mut truth: Vec<f64> = counts.iter().map(|count| collection.weight(*count)).collect();
            // One that nobody has, to be the long document of a query of one word.
            truth.push(0.0);
            let scored: Vec<_> = (0..counts.len())
                .map(|term| (probe(&[(term, 1)]), score(&truth, &probe(&[(term, 1)]), parameters, average)))
                .collect();
            let long = Probe { parts: (0..truth.len()).map(|term| (term, 1)).collect() };
            let single = scored.iter().map(|(_, score)| score).sum();
            let together = (long.length(), score(&truth, &long, parameters, average));
            let saturation = Saturation::measured(parameters, (1, single), together);
            for (found, count) in weights(counts.len(), &scored, saturation).iter().zip(&counts) {
                let documents = collection.documents_of(*found) as f64;
                prop_assert!((documents - *count as f64).abs() <= 1.0 + *count as f64 * 1e-3);
            }
        }
    }
}
