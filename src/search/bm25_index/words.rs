//! The words of a query as a BM25 index reads them, and how many documents have each, as the index has them.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::num::NonZeroUsize;

use harca_core::search::bm25::Collection;
use harca_core::search::index_weights::{Known, Learned, Probe, Saturation, agree, weights};
use harca_core::search::max_score::MaxScore;
use harca_core::text::{phrase, segment};
use lru::LruCache;
use pgrx::pg_sys::Oid;

use super::super::statements::Connection;
use super::super::target::Target;
use super::super::terms::{self, Lexeme, Phrase, Terms, Word};
use super::choice::Chosen;
use super::engine::Trial;
use super::indexes;
use crate::bridge::server_text;

/// Words of the document that tells how much length counts: the index keeps small lengths as they are.
const LONGEST: usize = 8;
/// Words of a document that is to tell of one of them.
const MOST_PARTS: usize = 32;

/// Indexes of whose words a session keeps something.
const INDEXES_KEPT: NonZeroUsize = NonZeroUsize::new(4).unwrap();

thread_local! {
    /// What the indexes have told of words.
    static LEARNED: RefCell<LruCache<Oid, OfIndex>> = RefCell::new(LruCache::new(INDEXES_KEPT));
}

/// What an index has told, and how many rows its table had then.
struct OfIndex {
    learned: Learned,
    rows: u64,
}

/// The words of a query as an index weighs them.
struct Weighed {
    weights: Vec<f64>,
    saturation: Saturation,
    /// Rows of the table: the planner's estimate, which may be as old as the last ANALYZE.
    rows: u64,
}

/// A query as an index reads it.
pub struct Reading {
    /// What the index is given.
    pub text: String,
    /// Its lexemes, and how often it has each.
    words: Vec<(Lexeme, u32)>,
}

impl Reading {
    /// Of a query; none when the configuration leaves nothing of it.
    ///
    /// The index reads queries by the configuration of documents. Where that of queries leaves particles out, so does
    /// the text that the index is given.
    pub fn of(target: &Target, query: &str) -> Option<Self> {
        let mut text = Cow::Borrowed(query);
        if target.query_config != target.config
            && let Some(without) = segment::without_particles(query)
            && !without.is_empty()
            && terms::words(target.config, &without) == terms::words(target.query_config, query)
        {
            text = Cow::Owned(without);
        }
        let words = terms::words(target.config, &text);
        (!words.is_empty()).then(|| Self { text: text.into_owned(), words })
    }

    /// The lexemes of a probe.
    fn words_of(&self, probe: &Probe) -> impl Iterator<Item = &[u8]> {
        probe.parts.iter().filter_map(|(term, _)| self.words.get(*term)).map(|(lexeme, _)| lexeme.as_slice())
    }
}

/// The terms of a query, by what an index knows of them.
pub fn terms(connection: &Connection, chosen: &Chosen, target: &Target, reading: &Reading, query: &str) -> Terms {
    let parameters = chosen.engine.parameters();
    let scale = parameters.k1 + 1.0;
    let Weighed { weights, saturation, rows } = weighed(chosen, target, reading);
    let collection = Collection { documents: rows, average_length: saturation.average_length() };
    let words: Vec<Word> = reading
        .words
        .iter()
        .zip(&weights)
        .map(|((lexeme, frequency), weight)| Word {
            lexeme: lexeme.clone(),
            frequency: *frequency,
            documents: collection.documents_of(*weight),
        })
        .collect();
    let queries: Vec<_> =
        phrase::quoted(query).filter_map(|phrase| terms::phrase_query(target.config, phrase)).collect();
    let mut phrases = Vec::new();
    if !queries.is_empty() {
        let (documents, _) = terms::count_documents(connection, target, false, &queries);
        let weight = |documents| scale * collection.weight(documents);
        let counted = queries.into_iter().zip(documents);
        phrases = counted.map(|(query, documents)| Phrase { query, documents, weight: weight(documents) }).collect();
    }
    let by_words: f64 = weights.iter().zip(&words).map(|(weight, word)| weight * f64::from(word.frequency)).sum();
    Terms {
        bound: scale * by_words + phrases.iter().map(|phrase| phrase.weight).sum::<f64>(),
        scorer: OnceCell::new(),
        parameters,
        exactness: 0.0,
        words,
        collection,
        phrases,
        max_score: MaxScore::new(Vec::new(), 0),
        hidden: false,
        wanted: None,
    }
}

/// The weights of the words of a query: those that the session knows, if nothing has been written since or the index scores
/// the query as these tell, else those that probes tell.
fn weighed(chosen: &Chosen, target: &Target, reading: &Reading) -> Weighed {
    let index = chosen.engine.index();
    let words = || reading.words.iter().map(|(lexeme, _)| lexeme.as_slice());
    // Asked for before the index is: what is written in between makes it be asked again.
    let position = chosen.log_position;
    let known = LEARNED.with_borrow_mut(|kept| {
        let kept = kept.get_mut(&index)?;
        Some((kept.learned.known(words(), position)?, kept.rows))
    });
    if let Some((Known { weights, saturation, is_current: true }, rows)) = known {
        return Weighed { weights, saturation, rows };
    }
    let rows = (indexes::estimated_rows(target.relation).round() as u64).max(1);
    let known = known.map(|(known, _)| known);
    let held = known.filter(|known| still_hold(chosen, reading, &known.weights, known.saturation));
    let (weights, saturation) = match held {
        Some(known) => (known.weights, known.saturation),
        None => probed(chosen, target.config, reading),
    };
    LEARNED.with_borrow_mut(|kept| {
        let kept = kept.get_or_insert_mut(index, || OfIndex { learned: Learned::new(saturation), rows });
        kept.learned.learn(words().zip(weights.iter().copied()), saturation, position);
        kept.rows = rows;
    });
    Weighed { weights, saturation, rows }
}

/// Whether the index scores a query as the weights of its words tell.
fn still_hold(chosen: &Chosen, reading: &Reading, weights: &[f64], saturation: Saturation) -> bool {
    let whole = Probe { parts: reading.words.iter().enumerate().map(|(n, (_, frequency))| (n, *frequency)).collect() };
    if whole.length() > MOST_PARTS as u32 {
        return false;
    }
    let text = terms::server_bytes(&reading.text);
    let words = reading.words.iter().map(|(lexeme, _)| lexeme.as_slice()).collect();
    let scores = chosen.engine.scores(&[Trial { query: text.clone(), document: text, words }]);
    scores.first().is_some_and(|score| agree(weights, &whole, *score, saturation))
}

/// The weights of the words of a query, by a probe for each and one more.
fn probed(chosen: &Chosen, config: Oid, reading: &Reading) -> (Vec<f64>, Saturation) {
    let (probes, texts) = probes(config, reading);
    let (long, singles) = long_document(config, reading, &probes, &texts);
    let length = long.as_ref().map(|(_, length)| *length);
    let own = texts.into_iter().zip(&probes);
    let mut trials: Vec<Trial<'_>> = own
        .map(|(text, probe)| Trial { query: text.clone(), document: text, words: reading.words_of(probe).collect() })
        .collect();
    trials.extend(long.map(|(trial, _)| trial));
    let scores = chosen.engine.scores(&trials);
    let single = singles.iter().filter_map(|n| scores.get(*n)).sum();
    let together = length.zip(scores.last().copied()).unwrap_or((1, single));
    let saturation = Saturation::measured(chosen.engine.parameters(), (1, single), together);
    let scored: Vec<(Probe, f64)> = probes.into_iter().zip(scores).collect();
    (weights(reading.words.len(), &scored, saturation), saturation)
}

/// Documents that tell of the words of a query, and their texts: each lexeme by itself, and where one is read as something
/// else, such as the stem of a word that has one again, the parts of the query between spaces.
fn probes(config: Oid, reading: &Reading) -> (Vec<Probe>, Vec<Vec<u8>>) {
    let mut probes = Vec::new();
    let mut texts: Vec<Vec<u8>> = Vec::new();
    let mut told = vec![false; reading.words.len()];
    let lexemes: Vec<Cow<'_, str>> =
        reading.words.iter().map(|(lexeme, _)| server_text::to_utf8(lexeme, usize::MAX)).collect();
    let parts = reading.text.split_whitespace().map(Cow::Borrowed);
    for (n, text) in lexemes.into_iter().chain(parts).enumerate() {
        if n >= reading.words.len() && told.iter().all(|told| *told) {
            break;
        }
        let Some(probe) = probe(config, reading, &text) else { continue };
        probe.parts.iter().for_each(|(term, _)| told[*term] = true);
        probes.push(probe);
        texts.push(terms::server_bytes(&text));
    }
    (probes, texts)
}

/// A text as a document, if all of its lexemes are of the query, and not many.
fn probe(config: Oid, reading: &Reading, text: &str) -> Option<Probe> {
    let place = |lexeme: &[u8]| reading.words.iter().position(|(known, _)| known.as_slice() == lexeme);
    let parts = terms::words(config, text).into_iter().map(|(lexeme, n)| Some((place(&lexeme)?, n)));
    let parts: Option<Vec<_>> = parts.collect();
    parts.filter(|parts| (1..=MOST_PARTS).contains(&parts.len())).map(|parts| Probe { parts })
}

/// A document of several words, with its length, and the probes of which it is made; one of a single word gets another one
/// that the query does not have.
fn long_document<'a>(
    config: Oid,
    reading: &'a Reading,
    probes: &[Probe],
    texts: &[Vec<u8>],
) -> (Option<(Trial<'a>, u32)>, Vec<usize>) {
    let mut singles: Vec<usize> = (0..probes.len()).filter(|n| probes[*n].single().is_some()).collect();
    singles.truncate(LONGEST);
    let query = singles.iter().map(|n| &texts[*n][..]).collect::<Vec<_>>().join(&b' ');
    if singles.is_empty() {
        return (None, singles);
    }
    let with = |more: &[u8]| {
        let document = [&query[..], more].concat();
        let words = terms::words(config, &server_text::to_utf8(&document, usize::MAX));
        let apart = words.len() > 1 && words.iter().all(|(_, n)| *n == 1);
        let asked = || singles.iter().flat_map(|n| reading.words_of(&probes[*n])).collect();
        apart.then(|| (Trial { query: query.clone(), document, words: asked() }, words.len() as u32))
    };
    let found = if singles.len() > 1 { with(b"") } else { with(b" x").or_else(|| with(b" 0")) };
    (found, singles)
}
