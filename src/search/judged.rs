//! Judged queries: what each is worth under every weight and all parameters of BM25, for `harca.tune_search` to choose from.
#![allow(unsafe_code)]

use std::collections::{HashMap, HashSet};

use harca_core::search::bm25::{Parameters, TsVector};
use harca_core::search::fusion::Legs;
use harca_core::search::options::{KeywordIndex, Options, Strategy};
use harca_core::search::paging::Page;
use harca_core::search::tuning;
use harca_core::search::weighting;
use pgrx::pg_sys::{self, Oid};

use super::catalog;
use super::kept_targets;
use super::legs::Id;
use super::run::{Outcome, Request, Search};
use super::statements::{Connection, Copied, Parameter};
use super::terms::Terms;
use crate::bridge::server_text::{self, ServerText};

/// A judged query as it is measured.
pub struct Curves {
    /// The query.
    pub query: String,
    /// How much it is one for an exact term, from 0 to 1.
    pub exactness: f64,
    /// nDCG at 10 as the target is set.
    pub measure: f64,
    /// For each k1 and each b, nDCG at 10 for each weight of [`tuning::weight`].
    pub curve: Vec<f64>,
}

/// A query with the grades of rows.
struct Judged {
    query: String,
    embedding: Option<Copied>,
    grades: HashMap<Id, f64>,
}

/// Measures the queries of a table or view with the columns query, embedding, id and grade, or of the feedback, one after
/// the other, and hands each to `take`.
pub fn measure(
    connection: &Connection,
    target: &str,
    judgements: Option<Oid>,
    k1_grid: &[f64],
    b_grid: &[f64],
    mut take: impl FnMut(Curves),
) {
    // By the stored documents, which can be ranked by other parameters than those of an index.
    let options = Options { strategy: Strategy::Parallel, keyword_index: KeywordIndex::Gin, ..Options::default() };
    for judged in read(connection, target, judgements) {
        pgrx::pg_sys::check_for_interrupts!();
        let Some(embedding) = &judged.embedding else { continue };
        // SAFETY: a text that was made a moment ago and lives as long as the connection.
        let query = unsafe { ServerText::new(server_text::from_utf8(&judged.query)) };
        let request = Request {
            target: target.into(),
            query,
            embedding: Some(embedding.datum()),
            filter: None,
            candidates: usize::try_from(options.candidates(None)).unwrap_or(0),
            options: options.clone(),
            page: Page::default(),
            in_earnest: false,
        };
        let search = Search::new(connection, request);
        let outcome = search.run();
        take(curves(&search, &outcome, judged, k1_grid, b_grid));
    }
}

/// The judged queries that have an embedding and an answer, with the mean of a row's grades; of feedback, the latest
/// embedding.
fn read(connection: &Connection, target: &str, judgements: Option<Oid>) -> Vec<Judged> {
    let table = judgements.and_then(catalog::relation_name).unwrap_or_else(|| "harca.feedback".into());
    let (latest, own) = match judgements {
        Some(_) => ("", ""),
        None => (" ORDER BY j.recorded_at DESC", " WHERE j.target OPERATOR(pg_catalog.=) $1"),
    };
    let vector = catalog::type_of(kept_targets::find(target).vector_type);
    let vector = vector.map_or_else(String::new, |kind| kind.qualified_name);
    let sql = format!(
        "SELECT g.query, g.id, g.grade, g.embedding::{vector} \
         FROM (SELECT j.query::pg_catalog.text AS query, pg_catalog.format('%s', j.id) AS id, \
         LEAST(10, GREATEST(0, pg_catalog.avg(j.grade)))::pg_catalog.float8 AS grade, \
         (pg_catalog.array_agg(j.embedding{latest}) FILTER (WHERE j.embedding IS NOT NULL))[1] AS embedding \
         FROM {table} AS j{own} GROUP BY j.query, pg_catalog.format('%s', j.id)) AS g \
         ORDER BY g.query COLLATE pg_catalog.\"C\""
    );
    let mut all: Vec<Judged> = Vec::new();
    connection.each(&sql, &[Parameter::text(target)], |row| {
        let (Some(query), Some(id)) = (row.text(0), row.varlena(1)) else { return };
        if all.last().is_none_or(|last| last.query != query) {
            all.push(Judged { query, embedding: None, grades: HashMap::new() });
        }
        if let Some(last) = all.last_mut() {
            last.grades.insert(id.into(), row.double(2).unwrap_or(0.0));
            // SAFETY: the column is cast to a vector.
            last.embedding = last.embedding.take().or_else(|| row.datum(3).map(|datum| unsafe { Copied::of(datum) }));
        }
    });
    all.retain(|judged| judged.embedding.is_some() && judged.grades.values().any(|grade| *grade > 0.0));
    all
}

fn curves(search: &Search<'_>, outcome: &Outcome, judged: Judged, k1_grid: &[f64], b_grid: &[f64]) -> Curves {
    let method = outcome.method(search);
    let own = f64::from(outcome.vector_weight);
    let weights = || (0..tuning::WEIGHTS).map(tuning::weight);
    let legs = Legs {
        vector: &outcome.vector,
        keyword: &outcome.keyword,
        words_of_vector: outcome.words_of_vector_rows.as_deref().unwrap_or_default(),
        similarities_of_keyword: &outcome.similarities_of_keyword_rows,
    };
    let present = tuning::weight_curve(legs, method, &judged.grades, std::iter::once(own));
    let documents = documents(search, outcome);
    let similarities: Vec<(Id, f64)> =
        documents.iter().filter_map(|document| Some((document.id.clone(), document.similarity?))).collect();
    let nearest: HashSet<&Id> = outcome.vector.iter().map(|(id, _)| id).collect();
    let mut curve = Vec::with_capacity(k1_grid.len() * b_grid.len() * tuning::WEIGHTS);
    for parameters in k1_grid.iter().flat_map(|k1| b_grid.iter().filter_map(|b| Parameters::new(*k1, *b))) {
        let mut keyword = outcome.terms.as_ref().map_or_else(Vec::new, |terms| ranked(terms, parameters, &documents));
        let words_of_vector: Vec<(Id, f64)> = keyword.iter().filter(|(id, _)| nearest.contains(id)).cloned().collect();
        keyword.truncate(search.request.candidates);
        let legs = Legs {
            keyword: &keyword,
            words_of_vector: &words_of_vector,
            similarities_of_keyword: &similarities,
            ..legs
        };
        curve.extend(tuning::weight_curve(legs, method, &judged.grades, weights()));
    }
    Curves {
        query: judged.query,
        exactness: weighting::exactness(outcome.rarity, outcome.answer.probability("keyword")),
        measure: present.first().copied().unwrap_or(0.0),
        curve,
    }
}

/// A document that the keyword leg has looked at.
struct Document {
    id: Id,
    /// The `tsvector`.
    words: Vec<u8>,
    /// What its phrases are worth.
    phrases: f64,
    /// That of its embedding to the query's.
    similarity: Option<f64>,
}

/// The documents are read once for all parameters: under others than the target's, other ones may be the best.
fn documents(search: &Search<'_>, outcome: &Outcome) -> Vec<Document> {
    let Some(terms) = &outcome.terms else { return Vec::new() };
    let matches = terms.above(terms.max_score.affordable(outcome.most_ranked as f64));
    let mut documents = Vec::new();
    let most = outcome.most_ranked;
    search.scope().documents(search.connection, terms, &matches, most, |id, words, phrases, similarity| {
        documents.push(Document { id, words: words.to_vec(), phrases, similarity });
    });
    documents
}

/// The documents by BM25 with these parameters, best first.
fn ranked(terms: &Terms, parameters: Parameters, documents: &[Document]) -> Vec<(Id, f64)> {
    let Some(scorer) = terms.scorer_with(parameters) else { return Vec::new() };
    let scored = documents
        .iter()
        .filter_map(|document| Some((&document.id, scorer.score(&TsVector::new(&document.words)?) + document.phrases)));
    // What is found by its marks may have the words of none.
    let mut scored: Vec<(&Id, f64)> = scored.filter(|(_, score)| *score > 0.0).collect();
    scored.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    scored.into_iter().map(|(id, score)| (id.clone(), score)).collect()
}

/// The relation that a `regclass` argument names.
pub fn relation(datum: Option<pg_sys::Datum>) -> Option<Oid> {
    datum.map(|datum| Oid::from(datum.value() as u32))
}
