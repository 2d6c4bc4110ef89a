//! The keyword leg: which documents it reads, through the GIN index, and how words and phrases rank them.
#![allow(unsafe_code)]

use harca_core::search::bm25::TsVector;
use harca_core::search::options::Ranking;
use pgrx::pg_sys::{self, Datum};

use super::best_rows::{Best, Extra, Output, in_order};
use super::legs::{Id, Rows, Scope};
use super::statements::{Connection, Copied, Parameter, Row};
use super::target::Target;
use super::terms::{Matches, Terms};
use super::vector_leg::similarities;

impl Scope<'_> {
    /// The query of the keyword leg, which reads at most so many rows: identifier, score or document, perhaps the
    /// embedding, and the values of boosts.
    pub fn keyword_sql(&self, most: i64, with_embedding: bool) -> String {
        let Target { table, id, document, embedding, .. } = self.target;
        let score = match self.ranking {
            Ranking::Bm25 => format!("t.{document}"),
            Ranking::TsRankCd => format!("pg_catalog.ts_rank_cd(t.{document}, $3, 1)::pg_catalog.float8"),
        };
        let embedding = if with_embedding { format!(", t.{embedding}") } else { String::new() };
        format!(
            "SELECT t.{id}, {score}{embedding}{} FROM {table} AS t WHERE t.{document} OPERATOR(pg_catalog.@@) $1{} LIMIT {most}",
            self.boost_columns(),
            self.condition,
        )
    }

    /// Runs the keyword leg.
    pub fn keyword(&self, connection: &Connection, terms: &Terms, matches: &Matches, most: i64, by_both: bool) -> Rows {
        let output = Output::of(self.target.id_type);
        let first_boost = 2 + usize::from(by_both);
        let mut best = Best::new(self.candidates);
        let mut read = 0;
        let sql = self.keyword_sql(most, by_both);
        let parameters = self.parameters(Some(matches), Some(terms));
        let extra = |row: &Row<'_>| Extra {
            embedding: if by_both { row.copy(2) } else { None },
            boost: self.boost(row, first_boost),
            ..Extra::default()
        };
        connection.each_for_parameters(&sql, &parameters, |row| {
            read += 1;
            let Some(score) = self.word_score(row, 1, terms) else { return };
            best.offer(score, || output.id(row), || extra(row));
        });
        // The rows came in the order of the table, and more of them match than statistics had told: those with the rarest
        // word, which can be the best, may be among what was left out.
        if let Some(rarest) = matches.rarest
            && i64::try_from(read).is_ok_and(|read| read >= most)
        {
            let known = best.ids();
            let [_, filter, wanted, embedding] = parameters;
            let parameters = [Parameter(pg_sys::TSQUERYOID, Some(rarest)), filter, wanted, embedding];
            connection.each_for_parameters(&sql, &parameters, |row| {
                let Some(score) = self.word_score(row, 1, terms) else { return };
                let id = output.id(row);
                if !known.contains(&id) {
                    best.offer(score, || id, || extra(row));
                }
            });
        }
        let mut rows = best.rows(read);
        if by_both {
            let embeddings: Vec<&Copied> =
                rows.candidates.iter().filter_map(|row| row.extra.embedding.as_ref()).collect();
            let found = similarities(connection, self, &embeddings);
            let ids = rows.candidates.iter().filter(|row| row.extra.embedding.is_some()).map(|row| row.id.clone());
            rows.other = in_order(ids.zip(found));
        }
        rows.into_rows()
    }

    /// Shows the documents that the keyword leg looks at, with what their phrases are worth.
    pub fn documents(
        &self,
        connection: &Connection,
        terms: &Terms,
        matches: &Matches,
        most: i64,
        mut look: impl FnMut(Id, &[u8], f64),
    ) {
        let output = Output::of(self.target.id_type);
        connection.each_for_parameters(
            &self.keyword_sql(most, false),
            &self.parameters(Some(matches), Some(terms)),
            |row| {
                if let Some(document) = row.varlena(1) {
                    look(output.id(row), document, phrase_score(row.datum(1), terms));
                }
            },
        );
    }

    /// The score of a document by words, whose document or score is in a column.
    pub(super) fn word_score(&self, row: &Row<'_>, column: usize, terms: &Terms) -> Option<f64> {
        if self.ranking == Ranking::TsRankCd {
            return row.double(column);
        }
        let document = TsVector::new(row.varlena(column)?)?;
        Some(terms.scorer.score(&document) + phrase_score(row.datum(column), terms))
    }
}

/// What the phrases of a query are worth that a document has.
fn phrase_score(document: Option<Datum>, terms: &Terms) -> f64 {
    let found = terms.phrases.iter().filter(|phrase| matches(document, phrase.query));
    found.map(|phrase| phrase.weight).sum()
}

/// Whether a `tsvector` matches a `tsquery`.
fn matches(document: Option<Datum>, query: Datum) -> bool {
    document.is_some_and(|document| {
        // SAFETY: the operator's function with values of its types.
        unsafe { pg_sys::OidFunctionCall2Coll(pg_sys::F_TS_MATCH_VQ.into(), pg_sys::InvalidOid, document, query) }
            .value()
            != 0
    })
}
