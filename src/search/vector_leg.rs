//! The vector leg: the nearest rows, through the HNSW or IVFFlat index, and how far the index scan is let run.
#![allow(unsafe_code)]

use harca_core::search::options::{Ranking, Strategy};
use pgrx::{PgMemoryContexts, pg_sys};

use super::best_rows::{Best, Candidate, Extra, Output, Ranked, in_order};
use super::legs::{Id, Leg, Scope};
use super::local_settings::{LocalSettings, setting};
use super::run::{Outcome, Search};
use super::statements::{Connection, Copied, Parameter, Row};
use super::target::Target;
use super::terms::Terms;
use super::{catalog, keyword_leg};

impl Search<'_> {
    /// Runs the vector leg, where the strategy has one.
    pub(super) fn vector_leg(&self, outcome: &mut Outcome) {
        use Strategy::{Intersection, Parallel, VectorFirst, VectorOnly};
        let runs = matches!(outcome.strategy, Parallel | VectorFirst | Intersection | VectorOnly);
        if self.request.embedding.is_none() || !runs {
            return;
        }
        outcome.ran.push(Leg::Vector);
        let terms = outcome.terms.clone();
        let terms = terms.as_deref();
        let with_document = self.reads_documents(outcome);
        let scope = self.scope();
        let _widened = WidenedScan::begin(self.connection, &scope);
        let mut ranked = scope.vector(self.connection, terms, false, with_document);
        outcome.exact = scope.gave_up(self.connection, ranked.read, terms, with_document);
        if outcome.exact {
            ranked = scope.vector(self.connection, terms, true, with_document);
        }
        outcome.vector = ranked.scores();
        outcome.boosts.extend(ranked.boosts());
        outcome.passages.extend(ranked.passages());
        outcome.vector_rows = ranked.candidates;
        if outcome.strategy == VectorFirst {
            outcome.score_vector_rows(self);
            outcome.keyword = outcome.words_of_vector_rows.clone().unwrap_or_default();
        }
    }

    /// Whether the vector leg reads the documents of its rows: words score them too. What they have of the words also tells
    /// which rows the keyword leg need not read.
    pub(super) fn reads_documents(&self, outcome: &Outcome) -> bool {
        let Some(terms) = &outcome.terms else { return false };
        match outcome.strategy {
            Strategy::VectorFirst | Strategy::VectorOnly => true,
            // Of those without the phrases that are asked for, words tell nothing.
            Strategy::Parallel => !self.only_phrases(terms),
            Strategy::Auto | Strategy::KeywordFirst | Strategy::KeywordOnly | Strategy::Intersection => false,
        }
    }
}

impl Outcome {
    /// Scores the rows of the vector leg by the words of the query, where their documents were read, unless that is done.
    pub(super) fn score_vector_rows(&mut self, search: &Search<'_>) {
        let Some(terms) = self.terms.clone() else { return };
        if self.words_of_vector_rows.is_some() || !search.reads_documents(self) {
            return;
        }
        let unit = self.index.as_ref().map_or(1.0, |index| index.unit());
        let by_words = |row: &Candidate| {
            let by_document =
                || row.extra.other.as_ref().and_then(|document| keyword_leg::score(document.datum(), &terms, unit));
            row.extra.words.or_else(by_document).filter(|score| *score != 0.0)
        };
        let mut scored = Vec::with_capacity(self.vector_rows.len());
        let mut memory = PgMemoryContexts::new("pg_harca document");
        for row in &self.vector_rows {
            // SAFETY: what a document allocates when it is read out of line is not needed any more.
            let score = unsafe {
                let score = memory.switch_to(|_| by_words(row));
                memory.reset();
                score
            };
            scored.push((row.id.clone(), score));
        }
        self.words_of_vector_rows = Some(in_order(scored.into_iter()));
    }
}

impl Scope<'_> {
    /// The similarities of rows that the keyword leg has found and that have an embedding.
    pub(super) fn similarities_of<'r>(
        &self,
        connection: &Connection,
        rows: impl Iterator<Item = &'r Candidate>,
    ) -> Vec<(Id, f64)> {
        let rows = rows.filter_map(|row| Some((row.id.clone(), row.extra.other.as_ref()?)));
        let (ids, embeddings): (Vec<Id>, Vec<&Copied>) = rows.unzip();
        if ids.is_empty() {
            return Vec::new();
        }
        let scored = ids.into_iter().zip(similarities(connection, self, &embeddings));
        scored.filter_map(|(id, score)| Some((id, score?))).collect()
    }

    /// The embedding of a row, as SQL.
    pub(super) fn embedding(&self) -> String {
        format!("t.{}", self.target.embedding)
    }

    /// Its distance to that of the query, or that of its nearest passage.
    pub(super) fn distance(&self) -> String {
        if let Some(passages) = self.target.passages() {
            return self.least_distance(passages);
        }
        let Target { embedding, operator, embedding_type, .. } = self.target;
        format!("t.{embedding} {operator} $4::{embedding_type}")
    }

    /// The query of the vector leg: identifier, distance, perhaps the document, and the values of boosts. An exact one
    /// uses no vector index.
    pub fn vector_sql(&self, exact: bool, with_document: bool) -> String {
        if let Some(passages) = self.target.passages() {
            return self.passages_sql(passages, exact, with_document, self.first_passages());
        }
        let Target { table, id, document, embedding, .. } = self.target;
        let distance = self.distance();
        let document = match (with_document, self.ranking) {
            (false, _) => String::new(),
            (true, Ranking::Bm25) => format!(", t.{document}"),
            (true, Ranking::TsRankCd) => format!(", pg_catalog.ts_rank_cd(t.{document}, $3, 1)::pg_catalog.float8"),
        };
        // The distance stands alone in ORDER BY: that is what an index on the column can answer. With an addition it cannot.
        let order =
            if exact { format!("0::pg_catalog.float8 OPERATOR(pg_catalog.+) ({distance})") } else { distance.clone() };
        format!(
            "SELECT {id}, {distance}{document}{} FROM {table} AS t WHERE t.{embedding} IS NOT NULL{} ORDER BY {order} LIMIT {}",
            self.boost_columns(),
            self.condition,
            self.candidates,
        )
    }

    /// Runs the query of the vector leg.
    fn vector(&self, connection: &Connection, terms: Option<&Terms>, exact: bool, with_document: bool) -> Ranked {
        if let Some(passages) = self.target.passages() {
            return self.nearest_passages(connection, passages, terms, exact, with_document);
        }
        let mut output = Output::of(self.target.id_type);
        let first_boost = 2 + usize::from(with_document);
        let mut best = Best::new(self.candidates);
        let mut read = 0;
        let sql = self.vector_sql(exact, with_document);
        let mut look = |row: &Row<'_>| {
            read += 1;
            let Some(distance) = row.double(1) else { return };
            // A vector of zeros has no cosine.
            let score = self.target.distance.score(distance);
            if score.is_nan() {
                return;
            }
            let extra = || Extra {
                words: if with_document && self.ranking == Ranking::TsRankCd { row.double(2) } else { None },
                other: if with_document && self.ranking == Ranking::Bm25 { row.copy(2) } else { None },
                boost: self.boost(row, first_boost),
                passage: None,
            };
            best.offer(score, || output.id(row), extra);
        };
        let parameters = self.parameters(None, terms);
        if self.condition.is_empty() {
            connection.each(&sql, &parameters, &mut look);
        } else {
            connection.each_for_parameters(&sql, &parameters, &mut look);
        }
        best.rows(read)
    }

    /// Whether a search by the vector index has given fewer rows than there are.
    ///
    /// An HNSW scan gives up after `hnsw.max_scan_tuples` rows or with its memory, and what a filter or a policy lets through
    /// may all lie further away.
    fn gave_up(&self, connection: &Connection, read: usize, terms: Option<&Terms>, with_document: bool) -> bool {
        if read >= self.candidates {
            return false;
        }
        if self.condition.is_empty() && !catalog::hides_rows(self.target.relation) {
            let Target { table, embedding, .. } = self.target;
            let sql = format!(
                "SELECT pg_catalog.count(*) FROM (SELECT FROM {table} AS t WHERE t.{embedding} IS NOT NULL LIMIT {}) AS there",
                self.candidates
            );
            let mut there = 0;
            connection.each(&sql, &[], |row| there = row.big_int(0).unwrap_or(0));
            return usize::try_from(there).unwrap_or(0) > read;
        }
        let plan = connection.explain(&self.vector_sql(false, with_document), &self.parameters(None, terms));
        plan.iter().any(|line| line.trim_start().starts_with("Order By: "))
    }
}

/// The similarities of embeddings to that of the query.
fn similarities(connection: &Connection, scope: &Scope<'_>, embeddings: &[&Copied]) -> Vec<Option<f64>> {
    let Target { embedding_type, operator, distance, embedding_oid, .. } = scope.target;
    let sql = format!(
        "SELECT e.embedding {operator} $2::{embedding_type} FROM pg_catalog.unnest($1) WITH ORDINALITY AS e (embedding, place) \
         ORDER BY e.place"
    );
    // SAFETY: a catalog look-up.
    let array = unsafe { pg_sys::get_array_type(*embedding_oid) };
    let embeddings = Parameter::array(array, *embedding_oid, embeddings.iter().map(|embedding| embedding.datum()));
    let mut found = Vec::new();
    connection.each(&sql, &[embeddings, Parameter(scope.target.vector_type, scope.embedding)], |row| {
        // A vector of zeros has no cosine.
        found.push(row.double(0).map(|far| distance.score(far)).filter(|score| !score.is_nan()));
    });
    found
}

/// Lets pgvector's index scans give that many rows for as long as it lasts.
pub struct WidenedScan {
    _settings: LocalSettings,
}

impl WidenedScan {
    /// An HNSW scan gives ef_search rows at most (40 by default, 1000 at most), and fewer behind a filter unless it may
    /// go on; a setting that pgvector does not have (0.7 and older) stays alone, as does one the user has chosen.
    pub fn begin(connection: &Connection, scope: &Scope<'_>) -> Self {
        if setting(c"hnsw.ef_search").is_none() {
            // pgvector defines its settings when a session first uses it.
            let sql = "SELECT pg_catalog.cardinality($1::pg_catalog.float4[])";
            connection.each(sql, &[Parameter(scope.target.vector_type, scope.embedding)], |_| ());
        }
        let settings = LocalSettings::begin();
        let ef_search = setting(c"hnsw.ef_search").and_then(|value| value.parse::<usize>().ok());
        // Rows may have several of the nearest passages.
        let wanted = if scope.target.passages().is_some() { 2 * scope.candidates } else { scope.candidates };
        if ef_search.is_some_and(|former| former < wanted) {
            settings.set(c"hnsw.ef_search", &wanted.min(1000).to_string());
        }
        for (name, value) in [(c"hnsw.iterative_scan", "strict_order"), (c"ivfflat.iterative_scan", "relaxed_order")] {
            if setting(name).as_deref() == Some("off") {
                settings.set(name, value);
            }
        }
        Self { _settings: settings }
    }
}
