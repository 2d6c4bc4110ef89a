//! The keyword leg: which documents it reads, through the GIN index, and how words and phrases rank them.
//!
//! It goes in [passes](harca_core::search::max_score), each of which reads all rows that can score above a floor, until no
//! other row can come onto the page.
#![allow(unsafe_code)]

use std::collections::HashSet;

use harca_core::search::bm25::TsVector;
use harca_core::search::max_score::Next;
use harca_core::search::options::{Fusion, Phrases, Ranking, Strategy};
use pgrx::pg_sys::{self, Datum};

use super::best_rows::{Best, Extra, Output, Ranked, in_order};
use super::bm25_index::leg::Asked;
use super::legs::{Id, Leg, Scope};
use super::passages::Reading;
use super::run::{Outcome, Request, Search};
use super::statements::{Connection, Row, detoasted};
use super::target::Target;
use super::terms::{Matches, Terms};

impl Search<'_> {
    /// Runs the keyword leg, unless the strategy goes without it.
    pub(super) fn keyword_leg(&self, outcome: &mut Outcome) {
        let Some(terms) = outcome.terms.clone() else { return };
        if matches!(outcome.strategy, Strategy::VectorFirst | Strategy::VectorOnly) {
            return;
        }
        outcome.ran.push(Leg::Keyword);
        match outcome.index.clone() {
            Some(index) => {
                let ranked = index.rows(self.connection, &self.asked(outcome, &terms));
                outcome.take_keyword(self, &ranked);
            }
            None => self.keyword_passes(outcome, &terms),
        }
        if outcome.strategy == Strategy::KeywordFirst {
            let found: HashSet<&Id> = outcome.keyword.iter().map(|(id, _)| id).collect();
            let similarities = outcome.similarities_of_keyword_rows.iter().filter(|(id, _)| found.contains(id));
            outcome.vector = in_order(similarities.map(|(id, score)| (id.clone(), Some(*score))));
        }
    }

    /// What a keyword leg on a BM25 index is asked for: all candidates, unless the page tells how many rows are enough, nothing
    /// moves a row from its place in the leg, and no score hangs on the rows behind it.
    pub fn asked<'a>(&'a self, outcome: &Outcome, terms: &'a Terms) -> Asked<'a> {
        let Request { options, candidates, page, .. } = &self.request;
        let alone = outcome.strategy == Strategy::KeywordOnly && options.boosts.is_none() && options.after.is_none();
        let by_best = matches!(options.fusion, Fusion::Auto | Fusion::Max | Fusion::Rrf);
        Asked {
            scope: self.scope(),
            terms,
            phrases: options.phrases,
            with_embedding: self.reads_embeddings(outcome),
            enough: page.depth().filter(|_| alone && by_best).map_or(*candidates, |depth| depth.min(*candidates)),
        }
    }

    /// The keyword leg on a GIN index; the outcome has its rows when it is through.
    fn keyword_passes(&self, outcome: &mut Outcome, terms: &Terms) {
        let with_embedding = self.reads_embeddings(outcome);
        let options = &self.request.options;
        let most = u64::try_from(outcome.most_ranked).unwrap_or(0);
        let only_phrases = self.only_phrases(terms);
        // Bounds are those of BM25.
        let bounded = options.ranking == Ranking::Bm25 && !only_phrases;
        let wanted = self.request.page.depth().unwrap_or(self.request.candidates);
        let mut floor = match bounded && !terms.hidden {
            true => terms.max_score.first(wanted, most),
            false => terms.max_score.affordable(most as f64),
        };
        let scope = self.scope();
        let look = |outcome: &mut Outcome, floor: f64| {
            let matches = if only_phrases { terms.with_phrases() } else { terms.above(floor) };
            let ranked = scope.keyword(self.connection, terms, &matches, outcome.most_ranked, with_embedding);
            outcome.passes += 1;
            outcome.matches = Some(matches);
            let cut = ranked.read as u64 >= most;
            (ranked, cut)
        };
        let mut former: Option<Ranked> = None;
        loop {
            let (mut ranked, cut) = look(outcome, floor);
            outcome.read = ranked.read as u64;
            outcome.floor = floor;
            outcome.incomplete = cut || !bounded && floor > 0.0 && !only_phrases;
            if cut {
                // The rows came in the order of the table. Those that can score highest may be among what was left out.
                let mut better = Some(floor).filter(|_| former.is_none() && bounded);
                while let Some(higher) = better.and_then(|floor| terms.max_score.higher(floor)) {
                    let (best, cut) = look(outcome, higher);
                    ranked.merge(best, self.request.candidates);
                    better = Some(higher).filter(|_| cut);
                }
                if let Some(former) = former.take() {
                    ranked.merge(former, self.request.candidates);
                }
            }
            outcome.take_keyword(self, &ranked);
            if !bounded || outcome.incomplete {
                return;
            }
            match terms.max_score.next(floor, outcome.read, self.needed(outcome), most) {
                Next::Pass(lower) => floor = lower,
                Next::Done => return,
                Next::TooMany => {
                    outcome.incomplete = true;
                    return;
                }
            }
            former = Some(ranked);
        }
    }

    /// Whether only rows with the phrases of the query are found.
    pub(super) fn only_phrases(&self, terms: &Terms) -> bool {
        self.request.options.phrases == Phrases::Require && !terms.phrases.is_empty()
    }

    /// The score that another row has to have in the keyword leg to change what the search gives; none where any may.
    fn needed(&self, outcome: &mut Outcome) -> Option<f64> {
        let candidates = self.request.candidates;
        let last = candidates.checked_sub(1).and_then(|last| outcome.keyword.get(last)).map(|(_, score)| *score);
        let of_either = matches!(outcome.strategy, Strategy::Parallel | Strategy::KeywordOnly);
        if !of_either || !outcome.method(self).keyword_by_own_score() {
            return last;
        }
        outcome.score_vector_rows(self);
        let factors = outcome.factors();
        let on_page = outcome.pages(self, &factors).needed(outcome.borrowed().legs());
        match (last, on_page) {
            (Some(last), Some(on_page)) => Some(last.max(on_page)),
            (last, on_page) => last.or(on_page),
        }
    }
}

impl Scope<'_> {
    /// The query of the keyword leg, which reads at most so many rows: identifier, score or document, perhaps something of
    /// their meaning, and the values of boosts.
    pub fn keyword_sql(&self, most: i64, meaning: Option<&str>) -> String {
        let Target { table, id, document, .. } = self.target;
        let score = match self.ranking {
            Ranking::Bm25 => format!("t.{document}"),
            Ranking::TsRankCd => format!("pg_catalog.ts_rank_cd(t.{document}, $3, 1)::pg_catalog.float8"),
        };
        let meaning = meaning.map_or_else(String::new, |meaning| format!(", {meaning}"));
        format!(
            "SELECT {id}, {score}{meaning}{} FROM {table} AS t WHERE {} OPERATOR(pg_catalog.@@) $1{} LIMIT {most}",
            self.boost_columns(),
            self.target.indexed(),
            self.condition,
        )
    }

    /// One pass of the keyword leg: the best of the rows that match, of which it reads at most so many.
    fn keyword(
        &self,
        connection: &Connection,
        terms: &Terms,
        matches: &Matches,
        most: i64,
        with_embedding: bool,
    ) -> Ranked {
        let mut output = Output::of(self.target.id_type);
        let first_boost = 2 + usize::from(with_embedding);
        let mut best = Best::new(self.candidates);
        let mut read = 0;
        let sql = self.keyword_sql(most, with_embedding.then(|| self.embedding()).as_deref());
        connection.each_for_parameters(&sql, &self.parameters(Some(matches), Some(terms)), |row| {
            read += 1;
            let Some(score) = self.word_score(row, 1, terms) else { return };
            let extra = || Extra {
                other: if with_embedding { row.copy(2) } else { None },
                boost: self.boost(row, first_boost),
                ..Extra::default()
            };
            best.offer(score, || output.id(row), extra);
        });
        best.rows(read)
    }

    /// Shows the documents that the keyword leg looks at, with what their phrases are worth and their similarities.
    pub fn documents(
        &self,
        connection: &Connection,
        terms: &Terms,
        matches: &Matches,
        most: i64,
        mut look: impl FnMut(Id, &[u8], f64, Option<f64>),
    ) {
        let _reading = Reading::begin(self.target.passages());
        let mut output = Output::of(self.target.id_type);
        connection.each_for_parameters(
            &self.keyword_sql(most, Some(&self.distance())),
            &self.parameters(Some(matches), Some(terms)),
            |row| {
                if let Some(document) = row.varlena(1) {
                    let similarity = row.double(2).map(|distance| self.target.distance.score(distance));
                    let similarity = similarity.filter(|score| !score.is_nan());
                    look(output.id(row), document, phrase_score(row.datum(1), terms), similarity);
                }
            },
        );
    }

    /// The score of a document by words, whose document or score is in a column.
    pub(super) fn word_score(&self, row: &Row<'_>, column: usize, terms: &Terms) -> Option<f64> {
        if self.ranking == Ranking::TsRankCd {
            return row.double(column);
        }
        score(row.datum(column)?, terms, 1.0)
    }
}

/// The score of a `tsvector` by words, in a unit of which phrases know, and by phrases; none where it has none of them.
pub(super) fn score(document: Datum, terms: &Terms, unit: f64) -> Option<f64> {
    // SAFETY: the caller has it from the column of the documents; a copy of a toasted one goes with the memory at hand.
    let bytes = unsafe { detoasted(document) };
    let score = unit * terms.scorer()?.score(&TsVector::new(bytes)?) + phrase_score(Some(document), terms);
    (score > 0.0).then_some(score)
}

/// What the phrases of a query are worth that a document has.
pub(super) fn phrase_score(document: Option<Datum>, terms: &Terms) -> f64 {
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
