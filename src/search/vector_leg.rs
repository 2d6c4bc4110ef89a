//! The vector leg: the nearest rows, through the HNSW or IVFFlat index, and how far the index scan is let run.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};

use harca_core::search::options::Ranking;
use pgrx::pg_sys;

use super::best_rows::{Best, Extra, Output, in_order};
use super::catalog;
use super::legs::{Rows, Scope};
use super::statements::{Connection, Copied, Parameter, Row};
use super::target::Target;
use super::terms::Terms;

impl Scope<'_> {
    /// The query of the vector leg: identifier, distance, perhaps the document, and the values of boosts. An exact one
    /// uses no vector index.
    pub fn vector_sql(&self, exact: bool, with_document: bool) -> String {
        let Target { table, id, document, embedding, operator, embedding_type, .. } = self.target;
        let distance = format!("t.{embedding} {operator} $4::{embedding_type}");
        let document = match (with_document, self.ranking) {
            (false, _) => String::new(),
            (true, Ranking::Bm25) => format!(", t.{document}"),
            (true, Ranking::TsRankCd) => format!(", pg_catalog.ts_rank_cd(t.{document}, $3, 1)::pg_catalog.float8"),
        };
        // The distance stands alone in ORDER BY: that is what an index on the column can answer. With an addition it cannot.
        let order =
            if exact { format!("0::pg_catalog.float8 OPERATOR(pg_catalog.+) ({distance})") } else { distance.clone() };
        format!(
            "SELECT t.{id}, {distance}{document}{} FROM {table} AS t WHERE t.{embedding} IS NOT NULL{} ORDER BY {order} LIMIT {}",
            self.boost_columns(),
            self.condition,
            self.candidates,
        )
    }

    /// Runs the vector leg.
    pub fn vector(&self, connection: &Connection, terms: Option<&Terms>, exact: bool, by_both: bool) -> Rows {
        let output = Output::of(self.target.id_type);
        let first_boost = 2 + usize::from(by_both);
        let mut best = Best::new(self.candidates);
        let mut read = 0;
        let sql = self.vector_sql(exact, by_both);
        let mut look = |row: &Row<'_>| {
            read += 1;
            let Some(distance) = row.double(1) else { return };
            // A vector of zeros has no cosine.
            let score = self.target.distance.score(distance);
            if score.is_nan() {
                return;
            }
            let words = if by_both { terms.and_then(|terms| self.word_score(row, 2, terms)) } else { None };
            best.offer(
                score,
                || output.id(row),
                || Extra {
                    words: words.filter(|score| *score != 0.0),
                    boost: self.boost(row, first_boost),
                    ..Extra::default()
                },
            );
        };
        let parameters = self.parameters(None, terms);
        if self.condition.is_empty() {
            connection.each(&sql, &parameters, &mut look);
        } else {
            connection.each_for_parameters(&sql, &parameters, &mut look);
        }
        let mut rows = best.rows(read);
        if by_both {
            rows.other = in_order(rows.candidates.iter().map(|row| (row.id.clone(), row.extra.words)));
        }
        rows.into_rows()
    }

    /// Whether a search by the vector index has given fewer rows than there are.
    ///
    /// An HNSW scan gives up after `hnsw.max_scan_tuples` rows or with its memory, and what a filter or a policy lets through
    /// may all lie further away.
    pub fn gave_up(&self, connection: &Connection, found: &Rows, terms: Option<&Terms>, by_both: bool) -> bool {
        if found.read >= self.candidates {
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
            return usize::try_from(there).unwrap_or(0) > found.read;
        }
        let plan = connection.explain(&self.vector_sql(false, by_both), &self.parameters(None, terms));
        plan.iter().any(|line| line.trim_start().starts_with("Order By: "))
    }
}

/// The similarities of embeddings to that of the query.
pub(super) fn similarities(connection: &Connection, scope: &Scope<'_>, embeddings: &[&Copied]) -> Vec<Option<f64>> {
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
pub struct WidenedScan(c_int);

impl WidenedScan {
    /// An HNSW scan gives ef_search rows at most (40 by default, 1000 at most), and fewer behind a filter unless it may
    /// go on; a setting that pgvector does not have (0.7 and older) stays alone, as does one the user has chosen.
    pub fn begin(connection: &Connection, scope: &Scope<'_>) -> Self {
        if setting(c"hnsw.ef_search").is_none() {
            // pgvector defines its settings when a session first uses it.
            let sql = "SELECT pg_catalog.cardinality($1::pg_catalog.float4[])";
            connection.each(sql, &[Parameter(scope.target.vector_type, scope.embedding)], |_| ());
        }
        // SAFETY: ended by `drop` or by the error that ends the transaction or subtransaction.
        let level = unsafe { pg_sys::NewGUCNestLevel() };
        let ef_search = setting(c"hnsw.ef_search").and_then(|value| value.parse::<usize>().ok());
        if ef_search.is_some_and(|former| former < scope.candidates) {
            set(c"hnsw.ef_search", &scope.candidates.min(1000).to_string());
        }
        for (name, value) in [(c"hnsw.iterative_scan", "strict_order"), (c"ivfflat.iterative_scan", "relaxed_order")] {
            if setting(name).as_deref() == Some("off") {
                set(name, value);
            }
        }
        Self(level)
    }
}

impl Drop for WidenedScan {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: ends the level that `begin` has begun.
            unsafe { pg_sys::AtEOXact_GUC(true, self.0) };
        }
    }
}

fn setting(name: &CStr) -> Option<String> {
    // SAFETY: the value is a string that the setting keeps, or null.
    unsafe {
        let value = pg_sys::GetConfigOption(name.as_ptr(), true, false);
        (!value.is_null()).then(|| CStr::from_ptr(value).to_string_lossy().into_owned())
    }
}

/// Sets a setting for the level that has begun last.
fn set(name: &CStr, value: &str) {
    let value = catalog::server_string(value).unwrap_or_default();
    // SAFETY: strings that are copied; the rights of the user are enough for these settings.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        );
    }
}
