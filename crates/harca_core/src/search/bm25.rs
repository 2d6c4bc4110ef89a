//! BM25 over a `tsvector`: what a document is worth for the words of a query.
//!
//! The formula is that of Robertson et al., "Okapi at TREC-3" (1995), with the weight of a term as Lucene has it, which
//! is never negative:
//!
//! ```text
//! score  = Σ weight(t) · tf / (tf + k1 · (1 − b + b · length / average length))
//! weight = occurrences in the query · ln(1 + (N − n + ½) / (n + ½))
//! ```
//!
//! where `tf` is how often the document has the term, `length` how many words it has, `N` the number of documents and
//! `n` that of the documents with the term. The factor behind a weight is below 1, so that the sum of the weights is
//! the [bound](Scorer::bound) that no document reaches.
//!
//! A [`Query`] is made once for a search and encoded into bytes that pass through SQL; a [`Scorer`] reads them and
//! scores a row in a fraction of a microsecond, without an allocation.

mod tsvector;

#[cfg(test)]
pub(super) use tsvector::tests::encode as encoded;
pub use tsvector::{TsVector, encode};

/// Most terms of a query; of more, those with the highest weights count.
pub const MAX_TERMS: usize = 1024;

/// Longest lexeme in bytes: `MAXSTRLEN` of PostgreSQL's `tsearch/ts_type.h`.
pub const MAX_LEXEME_BYTES: usize = 2047;

/// The first byte of an encoded query; another form gets another one.
const FORM: u8 = 1;
/// Bytes of the form, and of the parts of the denominator that do not depend on the document's length and that do.
const HEAD_BYTES: usize = 1 + 2 * size_of::<f32>();

/// How fast a repeated term saturates, and how much a long document is held against it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameters {
    /// From 0, where a term counts once, to [`Self::MAX_K1`], where it counts almost as often as it occurs.
    pub k1: f64,
    /// From 0, where the length does not count, to 1.
    pub b: f64,
}

impl Parameters {
    /// Largest `k1`: beyond it scores are proportional to the number of occurrences.
    pub const MAX_K1: f64 = 100.0;

    /// Checked parameters; `None` when one is out of its range or not a number.
    #[must_use]
    pub fn new(k1: f64, b: f64) -> Option<Self> {
        ((0.0..=Self::MAX_K1).contains(&k1) && (0.0..=1.0).contains(&b)).then_some(Self { k1, b })
    }

    /// Those for a query that is so much, from 0 to 1, one for an [exact term](super::weighting::exactness), where meaning
    /// ranks as well. Which of the few documents with the term is the right one, meaning tells better than how often each has it
    /// and how long each is: there a term counts once.
    #[must_use]
    pub fn beside_meaning(self, exactness: f64) -> Self {
        Self { k1: self.k1 * (1.0 - exactness.clamp(0.0, 1.0)), ..self }
    }
}

/// What is known of the documents of a table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Collection {
    /// How many there are.
    pub documents: u64,
    /// Words of a document, on average; `None` where that is not known, and lengths then do not count.
    pub average_length: Option<f64>,
}

impl Collection {
    /// The weight of a term that `with_term` documents have.
    ///
    /// Counts that were taken at different times may contradict each other: a term has no more documents than there
    /// are.
    #[must_use]
    pub fn weight(&self, with_term: u64) -> f64 {
        let with_term = with_term as f64;
        let documents = (self.documents as f64).max(with_term);
        (1.0 + (documents - with_term + 0.5) / (with_term + 0.5)).ln()
    }

    /// How many documents have a term of this weight, to the next whole number: none for no weight, else at least one.
    #[must_use]
    pub fn documents_of(&self, weight: f64) -> u64 {
        if weight <= 0.0 {
            return 0;
        }
        let documents = self.documents as f64;
        ((documents + 1.0) / weight.exp() - 0.5).round().clamp(1.0, documents.max(1.0)) as u64
    }
}

/// The terms of a query with their weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Query<'a> {
    terms: Vec<(&'a [u8], f32)>,
    base: f32,
    slope: f32,
}

impl<'a> Query<'a> {
    /// A query for `terms`: lexeme, how often the query has it, and how many documents do.
    ///
    /// A lexeme that stands there twice counts with the sum. Lexemes that are empty or longer than
    /// [`MAX_LEXEME_BYTES`] are in no `tsvector` and left out.
    #[must_use]
    pub fn new(
        collection: Collection,
        parameters: Parameters,
        terms: impl IntoIterator<Item = (&'a [u8], u32, u64)>,
    ) -> Self {
        let mut terms: Vec<(&[u8], f32)> = terms
            .into_iter()
            .filter(|(lexeme, ..)| (1..=MAX_LEXEME_BYTES).contains(&lexeme.len()))
            .map(|(lexeme, occurrences, documents)| {
                (lexeme, (f64::from(occurrences) * collection.weight(documents)) as f32)
            })
            .collect();
        terms.sort_by_key(|(lexeme, _)| *lexeme);
        terms.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            kept.1 += if same { later.1 } else { 0.0 };
            same
        });
        if terms.len() > MAX_TERMS {
            terms.sort_by(|a, b| b.1.total_cmp(&a.1));
            terms.truncate(MAX_TERMS);
            terms.sort_by_key(|(lexeme, _)| *lexeme);
        }
        let Parameters { k1, b } = parameters;
        let (base, slope) = match collection.average_length {
            Some(average) if average > 0.0 => (k1 * (1.0 - b), k1 * b / average),
            _ => (k1, 0.0),
        };
        Self { terms, base: base as f32, slope: slope as f32 }
    }

    /// The query as bytes for [`Scorer::decode`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORM];
        bytes.extend_from_slice(&self.base.to_le_bytes());
        bytes.extend_from_slice(&self.slope.to_le_bytes());
        for (lexeme, weight) in &self.terms {
            bytes.extend_from_slice(&weight.to_le_bytes());
            bytes.extend_from_slice(&(lexeme.len() as u16).to_le_bytes());
            bytes.extend_from_slice(lexeme);
        }
        bytes
    }
}

/// An encoded query, ready to score documents.
#[derive(Debug, Clone, PartialEq)]
pub struct Scorer {
    bytes: Vec<u8>,
    /// Weight and place in `bytes` of each lexeme.
    terms: Vec<(f64, std::ops::Range<usize>)>,
    base: f64,
    slope: f64,
}

impl Scorer {
    /// Reads what [`Query::encode`] has written; `None` for anything else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| {
            let number = f32::from_le_bytes(bytes.get(at..at + size_of::<f32>())?.try_into().ok()?);
            (number.is_finite() && number >= 0.0).then_some(f64::from(number))
        };
        if *bytes.first()? != FORM {
            return None;
        }
        let (base, slope) = (number(1)?, number(1 + size_of::<f32>())?);
        let mut terms: Vec<(f64, std::ops::Range<usize>)> = Vec::new();
        let mut at = HEAD_BYTES;
        while at < bytes.len() {
            let weight = number(at)?;
            at += size_of::<f32>();
            let length = u16::from_le_bytes(bytes.get(at..at + size_of::<u16>())?.try_into().ok()?);
            at += size_of::<u16>();
            let place = at..at + usize::from(length);
            let lexeme = bytes.get(place.clone())?;
            if terms.last().is_some_and(|(_, former)| bytes[former.clone()] >= *lexeme) || terms.len() == MAX_TERMS {
                return None;
            }
            at = place.end;
            terms.push((weight, place));
        }
        Some(Self { bytes: bytes.into(), terms, base, slope })
    }

    /// The bytes it was decoded from.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What no document's score exceeds: the sum of the weights.
    #[must_use]
    pub fn bound(&self) -> f64 {
        self.terms.iter().map(|(weight, _)| weight).sum()
    }

    /// What a term brings at most to the score of a document that has it no more than so often, none for any frequency, and is
    /// of so many words at least. 0 for a term that the query does not have.
    #[must_use]
    pub fn most(&self, lexeme: &[u8], frequency: Option<u32>, shortest: u64) -> f64 {
        let place = self.terms.binary_search_by(|(_, place)| self.bytes[place.clone()].cmp(lexeme));
        // A document has no fewer words than it has one of them.
        let factor = match frequency.map(f64::from) {
            Some(frequency) => frequency / (frequency + self.base + self.slope * frequency.max(shortest as f64)),
            None => 1.0 / (1.0 + self.slope),
        };
        place.map_or(0.0, |place| self.terms[place].0 * factor)
    }

    /// The score of a document, from 0, where it has none of the terms, to [`Self::bound`].
    #[must_use]
    pub fn score(&self, document: &TsVector<'_>) -> f64 {
        let mut norm = None;
        let mut score = 0.0;
        for (weight, place) in &self.terms {
            let frequency = f64::from(document.frequency(&self.bytes[place.clone()]));
            if frequency > 0.0 {
                let length = || if self.slope > 0.0 { document.length() as f64 } else { 0.0 };
                let norm = *norm.get_or_insert_with(|| self.base + self.slope * length());
                score += weight * frequency / (frequency + norm);
            }
        }
        score
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::tsvector::tests::encode;
    use super::*;

    const USUAL: Parameters = Parameters { k1: 0.9, b: 0.4 };

    fn scorer(collection: Collection, parameters: Parameters, terms: &[(&str, u32, u64)]) -> Scorer {
        let terms = terms.iter().map(|&(lexeme, occurrences, documents)| (lexeme.as_bytes(), occurrences, documents));
        Scorer::decode(&Query::new(collection, parameters, terms).encode()).unwrap()
    }

    #[test]
    fn scores_are_those_of_the_formula() {
        let collection = Collection { documents: 1000, average_length: Some(8.0) };
        let scorer = scorer(collection, USUAL, &[("index", 1, 50), ("slow", 2, 3), ("absent", 1, 0)]);
        let bytes = encode(&[("index", Some(3)), ("rebuilt", Some(1)), ("slow", Some(1)), ("stripped", None)]);
        let document = TsVector::new(&bytes).unwrap();
        let norm = 0.9 * (1.0 - 0.4 + 0.4 * 6.0 / 8.0);
        let index = (1.0_f64 + 950.5 / 50.5).ln() * 3.0 / (3.0 + norm);
        let slow = 2.0 * (1.0_f64 + 997.5 / 3.5).ln() / (1.0 + norm);
        assert!((scorer.score(&document) - index - slow).abs() < 1e-5);
        let bound = (1.0_f64 + 950.5 / 50.5).ln() + 2.0 * (1.0_f64 + 997.5 / 3.5).ln() + (1.0_f64 + 1000.5 / 0.5).ln();
        assert!((scorer.bound() - bound).abs() < 1e-4);
    }

    #[test]
    fn a_term_in_every_document_still_counts_a_little() {
        let collection = Collection { documents: 10, average_length: None };
        assert!(collection.weight(10) > 0.0);
        // More documents with the term than there are, by counts of different times.
        assert!(collection.weight(25) > 0.0 && collection.weight(25) < collection.weight(10));
    }

    #[test]
    fn length_counts_by_b_and_where_an_average_is_known() {
        let short = encode(&[("harbour", Some(1))]);
        let long = encode(&[("harbour", Some(1)), ("zebra", Some(200))]);
        let [short, long] = [&short, &long].map(|bytes| TsVector::new(bytes).unwrap());
        let with = |b, average_length| {
            let collection = Collection { documents: 100, average_length };
            let scorer = scorer(collection, Parameters { k1: 1.2, b }, &[("harbour", 1, 5)]);
            (scorer.score(&short), scorer.score(&long))
        };
        let (near, far) = with(0.75, Some(50.0));
        assert!(near > far);
        for (near, far) in [with(0.0, Some(50.0)), with(0.75, None), with(0.75, Some(0.0))] {
            assert_eq!(near, far);
        }
    }

    #[test]
    fn a_term_that_is_given_twice_counts_twice_and_impossible_ones_not_at_all() {
        let collection = Collection { documents: 100, average_length: None };
        let twice = scorer(collection, USUAL, &[("b", 1, 5), ("a", 1, 9), ("b", 1, 5)]);
        let long = "x".repeat(MAX_LEXEME_BYTES + 1);
        let once = scorer(collection, USUAL, &[("", 1, 0), ("a", 1, 9), ("b", 2, 5), (&long, 1, 0)]);
        assert_eq!(twice, once);
    }

    #[test]
    fn of_too_many_terms_the_heaviest_stay() {
        let names: Vec<String> = (0..2 * MAX_TERMS).map(|i| format!("term{i}")).collect();
        let terms = names.iter().enumerate().map(|(i, name)| (name.as_bytes(), 1, i as u64));
        let collection = Collection { documents: 1 << 20, average_length: None };
        let query = Query::new(collection, USUAL, terms);
        assert_eq!(query.terms.len(), MAX_TERMS);
        assert!(query.terms.iter().all(|(name, _)| names[..MAX_TERMS].iter().any(|n| n.as_bytes() == *name)));
        assert!(Scorer::decode(&query.encode()).is_some());
    }

    #[test]
    fn parameters_have_their_ranges() {
        assert!(Parameters::new(0.0, 1.0).is_some() && Parameters::new(100.0, 0.0).is_some());
        for (k1, b) in [(-0.1, 0.4), (100.1, 0.4), (0.9, -0.1), (0.9, 1.1), (f64::NAN, 0.4), (0.9, f64::NAN)] {
            assert_eq!(Parameters::new(k1, b), None);
        }
    }

    #[test]
    fn what_is_no_query_is_refused() {
        let collection = Collection { documents: 100, average_length: Some(3.0) };
        let good = Query::new(collection, USUAL, [(&b"a"[..], 1, 5), (b"b", 1, 5)]).encode();
        assert_eq!(Scorer::decode(&good).unwrap().bytes(), good);
        for end in [0, 1, HEAD_BYTES - 1, HEAD_BYTES + 1, good.len() - 1] {
            assert_eq!(Scorer::decode(&good[..end]), None, "{end} bytes");
        }
        let mut other = good.clone();
        other[0] = FORM + 1;
        assert_eq!(Scorer::decode(&other), None);
        other = good.clone();
        *other.last_mut().unwrap() = b'A'; // out of order
        assert_eq!(Scorer::decode(&other), None);
        other = good;
        other[1..5].copy_from_slice(&f32::NAN.to_le_bytes());
        assert_eq!(Scorer::decode(&other), None);
    }

    proptest! {
        #[test]
        fn scores_stay_within_the_bound(
            words in prop::collection::btree_map("[a-d]{1,3}", prop::option::of(1u16..255), 0..20),
            terms in prop::collection::vec(("[a-d]{0,3}", 0u32..9, 0u64..2000), 0..20),
            k1 in 0.0f64..3.0,
            b in 0.0f64..=1.0,
        ) {
            let words: Vec<(&str, Option<u16>)> = words.iter().map(|(word, n)| (word.as_str(), *n)).collect();
            let bytes = encode(&words);
            let document = TsVector::new(&bytes).unwrap();
            let terms: Vec<(&str, u32, u64)> = terms.iter().map(|(t, n, d)| (t.as_str(), *n, *d)).collect();
            let collection = Collection { documents: 1000, average_length: Some(12.0) };
            let scorer = scorer(collection, Parameters { k1, b }, &terms);
            let score = scorer.score(&document);
            prop_assert!((0.0..=scorer.bound() * (1.0 + 1e-9)).contains(&score));
            let shared = terms.iter().any(|(t, n, _)| *n > 0 && words.iter().any(|(word, _)| word == t));
            prop_assert_eq!(score > 0.0, shared);
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let document = encode(&[("a", Some(1))]);
            let document = TsVector::new(&document).unwrap();
            if let Some(scorer) = Scorer::decode(&bytes) {
                prop_assert!(scorer.score(&document).is_finite());
            }
        }
    }
}
