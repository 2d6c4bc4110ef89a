//! What searches tell of their table, and what they go by: glue to [`harca_core::search::calibration`].
#![allow(unsafe_code)]

use std::cell::{OnceCell, RefCell};
use std::num::NonZeroUsize;

use harca_core::search::calibration::shared::{Slot, Slots, State};
use harca_core::search::calibration::{BestRows, Calibration, Observation, may_be_exact};
use harca_core::search::options::{Fusion, Ranking, Strategy};
use lru::LruCache;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{Datum, Oid};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::run::{Outcome, Search};
use super::statements::detoasted;
use super::target::{Calibrated, Target, refuse};
use super::terms::Terms;
use super::{catalog, kept_targets};
use crate::backend::Answer;
use crate::{process, shared_memory};

/// Candidates of a leg, so that its best rows stand out from others.
const FEWEST_CANDIDATES: usize = 20;

/// A search target among all of the server: by its name and its table.
fn key(name: &str, relation: Oid) -> u64 {
    let place = u64::from(process::database()) << 32 | u64::from(relation.to_u32());
    xxh3_64_with_seed(name.as_bytes(), place)
}

/// What all processes know together, or this one alone where they share no memory.
fn slots() -> Slots<'static> {
    thread_local! {
        static OWN: OnceCell<&'static [Slot]> = const { OnceCell::new() };
    }
    match shared_memory::attach() {
        Some(shared) => shared.calibrations(),
        None => Slots(OWN.with(|own| *own.get_or_init(|| Box::leak((0..8).map(|_| Slot::default()).collect())))),
    }
}

/// What the searches of a target have told.
pub fn state(name: &str, relation: Oid) -> State {
    slots().read(key(name, relation))
}

/// Begins anew with a target; an error where the current user does not own its table.
pub fn reset(name: &str) {
    let target = kept_targets::find(name);
    if !catalog::owns(target.relation) {
        refuse(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("must be owner of table {}", target.table),
            None,
            Some("Ask the owner of the table to call harca.reset_calibration.".into()),
        );
    }
    slots().forget(key(name, target.relation));
}

/// Queries whose calibration a session keeps for further pages.
const QUERIES_KEPT: NonZeroUsize = NonZeroUsize::new(64).unwrap();
/// Targets whose calibration a statement keeps.
const TARGETS_KEPT: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// When the statement began that searched last, by target, and what it goes by.
type OfStatement = LruCache<u64, (i64, Option<Calibration>)>;

thread_local! {
    static OF_STATEMENT: RefCell<OfStatement> = RefCell::new(LruCache::new(TARGETS_KEPT));
    /// By hashes of target and query.
    static OF_QUERY: RefCell<LruCache<u64, Option<Calibration>>> = RefCell::new(LruCache::new(QUERIES_KEPT));
}

impl Search<'_> {
    /// What the search goes by: the same in all searches of a statement, and in all pages of a query in a session.
    pub(super) fn calibration(&self) -> Option<Calibration> {
        let Target { name, relation, calibrated, .. } = &self.target;
        if *calibrated == Calibrated::No {
            return None;
        }
        let query = self.query_hash();
        let known = OF_QUERY.with_borrow_mut(|known| known.get(&query).copied());
        if let Some(known) = known.filter(|_| !self.is_first_page()) {
            return known;
        }
        let (key, statement) = (key(name, *relation), process::statement_time());
        let calibration = OF_STATEMENT.with_borrow_mut(|known| match known.get(&key) {
            Some((began, calibration)) if *began == statement => *calibration,
            _ => {
                let calibration = slots().read(key).calibration;
                known.push(key, (statement, calibration));
                calibration
            }
        });
        OF_QUERY.with_borrow_mut(|known| known.push(query, calibration));
        calibration
    }

    fn is_first_page(&self) -> bool {
        self.request.page.is_first() && self.request.options.after.is_none()
    }

    /// What tells the query from others of the target; made with a secret, where it can be seen by other processes.
    fn query_hash(&self) -> u64 {
        let key = key(&self.target.name, self.target.relation);
        let secret = shared_memory::attach().map_or(0, |shared| shared.secret());
        xxh3_64_with_seed(self.request.query.prefix(usize::MAX), key ^ secret)
    }
}

impl Search<'_> {
    /// Whether the search is one to learn from, as far as is known before the legs run.
    pub(super) fn learns(&self, outcome: &Outcome) -> bool {
        let (target, request) = (&self.target, &self.request);
        let options = &request.options;
        request.in_earnest
            && target.calibrated != Calibrated::No
            && outcome.strategy == Strategy::Parallel
            && outcome.terms.as_ref().is_some_and(|terms| !terms.hidden && !self.only_phrases(terms))
            && (options.fusion, options.ranking) == (Fusion::Auto, Ranking::Bm25)
            // A later page is of a query that has been seen.
            && self.is_first_page()
            && request.candidates >= FEWEST_CANDIDATES
            && slots().counts(key(&target.name, target.relation))
    }

    /// Learns from the rows that the legs have found.
    pub(super) fn learn(&self, outcome: &Outcome) {
        let Some((terms, embedding)) = outcome.terms.clone().zip(self.request.embedding) else { return };
        let rarest = terms.words.iter().map(|word| word.documents).filter(|documents| *documents > 0).min();
        let scores = outcome.keyword.iter().map(|(_, score)| *score);
        if may_be_exact(probability_of_keyword(&outcome.answer), rarest, scores) {
            return;
        }
        if let Some(seen) = self.best_rows(outcome, &terms, embedding).as_ref().and_then(Observation::of) {
            let target = &self.target;
            let key = key(&target.name, target.relation);
            slots().learn(key, self.query_hash(), &seen, process::statement_time());
        }
    }

    /// The best rows of both legs as both see them; none where there are no such.
    fn best_rows(&self, outcome: &Outcome, terms: &Terms, embedding: Datum) -> Option<BestRows> {
        let (best_by_meaning, similarity) = outcome.vector.first()?;
        let (best_by_words, words) = outcome.keyword.first()?;
        let mut similarities = outcome.vector.iter().chain(&outcome.similarities_of_keyword_rows);
        let of_words = outcome.words_of_vector_rows.as_ref()?;
        let background = self.target.background()?.of(&numbers(embedding)?, self.target.distance.similarity())?;
        Some(BestRows {
            similarity: *similarity,
            similarity_of_best_by_words: similarities.find(|(id, _)| id == best_by_words)?.1,
            background,
            words: *words,
            words_of_best_by_meaning: of_words
                .iter()
                .find(|(id, _)| id == best_by_meaning)
                .map_or(0.0, |(_, score)| *score),
            bound: terms.bound,
        })
    }
}

fn probability_of_keyword(answer: &Answer) -> f64 {
    let labels = answer.names().labels.iter();
    let mut known = labels.zip(answer.classification().scores.as_slice());
    known.find(|(label, _)| *label == "keyword").map_or(0.0, |(_, probability)| f64::from(*probability))
}

/// The numbers of a `vector`: its dimensions in two bytes, two that are not used, and as many `real`s.
fn numbers(embedding: Datum) -> Option<Vec<f32>> {
    // SAFETY: the embedding of a query is a vector; a copy of a toasted one goes with the memory of the call.
    let bytes = unsafe { detoasted(embedding) };
    Some(bytes.get(4..)?.as_chunks().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect())
}
