//! The vector leg on passages: the rows of the nearest ones, which of a row's is the best, and its text.

use std::collections::HashMap;

use harca_core::search::fusion::Fused;
use harca_core::search::options::Ranking;
use harca_core::search::sql_text::quote_ident;
use pgrx::pg_sys;

use super::best_rows::{Candidate, Extra, Output, Ranked};
use super::legs::{Id, Scope};
use super::passages::{Passages, Reading, Span};
use super::run::{Outcome, Search};
use super::statements::{Connection, Parameter, Row};
use super::target::Target;
use super::terms::Terms;
use crate::bridge::server_text;

/// Passages of a row that the vector leg reckons with at first, on average.
const OF_A_ROW: usize = 4;
/// By how much more it asks for where they were not enough.
const MORE: usize = 8;

/// The distance of a passage `p` to a parameter, as SQL.
fn distance(Target { operator, embedding_type, .. }: &Target, parameter: &str) -> String {
    format!("p.embedding {operator} {parameter}::{embedding_type}")
}

impl Scope<'_> {
    /// The least distance of the passages of a row `t` to the query, as SQL.
    pub(super) fn least_distance(&self, passages: &Passages) -> String {
        let Passages { table, of_row, .. } = passages;
        format!("(SELECT pg_catalog.min({}) FROM {table} AS p WHERE {of_row})", distance(self.target, "$4"))
    }

    /// The query of the vector leg on passages: the identifier of the row, the distance, perhaps the document, the values of
    /// boosts, and which passage it is. An exact one uses no vector index, and has no bound.
    pub(super) fn passages_sql(&self, passages: &Passages, exact: bool, with_document: bool, most: usize) -> String {
        let Target { table, id, document, .. } = self.target;
        let distance = distance(self.target, "$4");
        let document = match (with_document, self.ranking) {
            (false, _) => String::new(),
            (true, Ranking::Bm25) => format!(", t.{document}"),
            (true, Ranking::TsRankCd) => format!(", pg_catalog.ts_rank_cd(t.{document}, $3, 1)::pg_catalog.float8"),
        };
        let order = match exact {
            true => format!("0::pg_catalog.float8 OPERATOR(pg_catalog.+) ({distance})"),
            false => format!("{distance} LIMIT {most}"),
        };
        format!(
            "SELECT {id}, {distance}{document}{}, p.passage, p.passage_start, p.passage_length FROM {} AS p \
             JOIN {table} AS t ON {} WHERE true{} ORDER BY {order}",
            self.boost_columns(),
            passages.table,
            passages.of_row,
            self.condition,
        )
    }

    /// Passages that the vector leg asks for at first.
    pub(super) fn first_passages(&self) -> usize {
        self.candidates.saturating_mul(OF_A_ROW)
    }

    /// Runs the query of the vector leg on passages: the rows of the nearest ones, each by its best.
    pub(super) fn nearest_passages(
        &self,
        connection: &Connection,
        passages: &Passages,
        terms: Option<&Terms>,
        exact: bool,
        with_document: bool,
    ) -> Ranked {
        let mut output = Output::of(self.target.id_type);
        let first_boost = 2 + usize::from(with_document);
        let first_span = first_boost + self.boosts.len();
        let parameters = self.parameters(None, terms);
        let mut most = self.first_passages();
        loop {
            let mut best: HashMap<Id, Candidate> = HashMap::new();
            let mut read = 0;
            let look = |row: &Row<'_>| {
                read += 1;
                let score = row.double(1).map(|distance| self.target.distance.score(distance));
                // A vector of zeros has no cosine.
                let Some(score) = score.filter(|score| !score.is_nan()) else { return true };
                let id = output.id(row);
                // They come nearest first, or nearly so.
                if best.get(&id).is_none_or(|known| known.score < score) {
                    let extra = Extra {
                        words: if with_document && self.ranking == Ranking::TsRankCd { row.double(2) } else { None },
                        other: if with_document && self.ranking == Ranking::Bm25 { row.copy(2) } else { None },
                        boost: self.boost(row, first_boost),
                        passage: span(row, first_span),
                    };
                    best.insert(id.clone(), Candidate { score, id, extra });
                }
                best.len() < self.candidates
            };
            let sql = self.passages_sql(passages, exact, with_document, most);
            connection.each_until(&sql, &parameters, !self.condition.is_empty(), look);
            if exact || best.len() >= self.candidates || read < most {
                let mut candidates: Vec<Candidate> = best.into_values().collect();
                candidates.sort();
                return Ranked { read: candidates.len(), candidates };
            }
            most = most.saturating_mul(MORE);
        }
    }

    /// The similarity of each of some rows that has passages, by its best, which goes into `spans`.
    pub(super) fn best_passages(
        &self,
        connection: &Connection,
        passages: &Passages,
        ids: &[Id],
        spans: &mut HashMap<Id, Span>,
    ) -> Vec<(Id, f64)> {
        if ids.is_empty() {
            return Vec::new();
        }
        let distance = distance(self.target, "$2");
        let Passages { table, of_id, .. } = passages;
        // An addition, lest an index on the embeddings be taken for it.
        let sql = format!(
            "SELECT k.place, b.distance, b.passage, b.passage_start, b.passage_length \
             FROM pg_catalog.unnest($1) WITH ORDINALITY AS k (id, place) CROSS JOIN LATERAL ( \
             SELECT {distance} AS distance, p.passage, p.passage_start, p.passage_length FROM {table} AS p WHERE {of_id} \
             ORDER BY 0::pg_catalog.float8 OPERATOR(pg_catalog.+) ({distance}) LIMIT 1) AS b"
        );
        let parameters = [identifiers(ids), Parameter(self.target.vector_type, self.embedding)];
        let mut found = Vec::new();
        connection.each(&sql, &parameters, |row| {
            let id = row.big_int(0).and_then(|place| ids.get(usize::try_from(place - 1).ok()?));
            let score = row.double(1).map(|distance| self.target.distance.score(distance));
            if let Some((id, score)) = id.zip(score.filter(|score| !score.is_nan())) {
                found.push((id.clone(), score));
                spans.extend(span(row, 2).map(|span| (id.clone(), span)));
            }
        });
        found
    }

    /// The texts of passages of rows, where their text is still the one that was cut.
    fn passage_texts(&self, connection: &Connection, passages: &Passages, spans: &[(Id, Span)]) -> HashMap<Id, String> {
        let ids: Vec<Id> = spans.iter().map(|(id, _)| id.clone()).collect();
        if ids.is_empty() {
            return HashMap::new();
        }
        let Target { table, text_column, .. } = self.target;
        let Passages { table: side, of_id, row_of_id, .. } = passages;
        let text = format!("t.{}::pg_catalog.text", quote_ident(text_column));
        let sql = format!(
            "SELECT k.place, pg_catalog.substr({text}, p.passage_start, p.passage_length) \
             FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) WITH ORDINALITY AS k (id, passage, place) \
             JOIN {side} AS p ON {of_id} AND p.passage OPERATOR(pg_catalog.=) k.passage \
             JOIN {table} AS t ON {row_of_id} \
             WHERE pg_catalog.hashtextextended({text} COLLATE pg_catalog.\"C\", 0) OPERATOR(pg_catalog.=) p.text_hash"
        );
        let numbers: Vec<i32> = spans.iter().map(|(_, span)| span.passage).collect();
        let mut found = HashMap::new();
        connection.each(&sql, &[identifiers(&ids), Parameter::integers(&numbers)], |row| {
            let id = row.big_int(0).and_then(|place| ids.get(usize::try_from(place - 1).ok()?));
            found.extend(id.cloned().zip(row.text(1)));
        });
        found
    }
}

impl Search<'_> {
    /// The texts of the passages of a page, by row.
    pub fn passage_texts(&self, outcome: &Outcome, page: &[Fused<&[u8]>]) -> HashMap<Id, String> {
        let Some(passages) = self.target.passages() else { return HashMap::new() };
        let _reading = Reading::begin(Some(passages));
        let found = page.iter().filter_map(|row| outcome.passages.get_key_value(row.id));
        let spans: Vec<(Id, Span)> = found.map(|(id, span)| (id.clone(), *span)).collect();
        self.scope().passage_texts(self.connection, passages, &spans)
    }
}

/// Identifiers as a `text[]`.
fn identifiers(ids: &[Id]) -> Parameter {
    Parameter::array(pg_sys::TEXTARRAYOID, pg_sys::TEXTOID, ids.iter().map(|id| server_text::from_bytes(id)))
}

/// The passage whose number, start and length are in a column and those behind it.
fn span(row: &Row<'_>, first: usize) -> Option<Span> {
    let [passage, start, length] = [0, 1, 2].map(|n| row.int(first + n));
    Some(Span { passage: passage?, start: start?, length: length? })
}
