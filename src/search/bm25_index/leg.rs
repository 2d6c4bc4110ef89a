//! The keyword leg on a BM25 index: the best rows, through the scan of the index, and the phrases that they have.
#![allow(unsafe_code)]

use std::collections::HashSet;

use harca_core::search::options::{Options, Phrases};
use pgrx::pg_sys::{self, Datum};

use super::super::best_rows::{Best, Extra, Output, Ranked};
use super::super::legs::{Id, Scope};
use super::super::local_settings::LocalSettings;
use super::super::statements::{Connection, Parameter, Row};
use super::super::target::Target;
use super::super::terms::{self, Terms};
use super::choice::{self, Chosen};
use super::plan;
use super::words::{self, Reading};

/// One row in so many is asked for beyond those that are needed, and of a short page so many at least: among short documents
/// that have a word once, scores are equal by the handful.
const TIES: usize = 5;
const LEAST_TIES: usize = 5;
/// Bytes of most statements. A statement is written for each search, if only to find its plan.
const SQL_BYTES: usize = 512;

/// The keyword leg of one search.
pub struct IndexLeg {
    chosen: Chosen,
    reading: Reading,
}

/// What the leg is asked for.
pub struct Asked<'a> {
    /// What both legs read.
    pub scope: Scope<'a>,
    /// The terms of the query, by this index.
    pub terms: &'a Terms,
    /// What becomes of its phrases.
    pub phrases: Phrases,
    /// Whether the embeddings of its rows are read.
    pub with_embedding: bool,
    /// How many of the best rows are needed, up to the candidates; more may come.
    pub enough: usize,
}

/// Which rows a statement asks for.
#[derive(Clone, Copy)]
enum Wanted {
    /// All that have a word of the query.
    Any,
    /// Those that match a `tsquery` as well.
    Matching(Datum),
}

impl IndexLeg {
    /// The leg, if there is an index for it and a word to look up; else why an index that there is does not fit.
    pub fn of(target: &Target, options: &Options, query: &str) -> Result<Self, Option<String>> {
        let chosen = choice::choose(target, options)?;
        Reading::of(target, query).map(|reading| Self { chosen, reading }).ok_or(None)
    }

    /// What the index is given for the query.
    pub fn text(&self) -> &str {
        &self.reading.text
    }

    /// What the scores of the index are of those that its terms give a `tsvector`.
    pub fn unit(&self) -> f64 {
        self.chosen.engine.parameters().k1 + 1.0
    }

    /// The terms of the query, by what the index knows of them.
    pub fn terms(&self, connection: &Connection, target: &Target, query: &str) -> Terms {
        words::terms(connection, &self.chosen, target, &self.reading, query)
    }

    /// Runs the leg.
    pub fn rows(&self, connection: &Connection, asked: &Asked<'_>) -> Ranked {
        let scope = &asked.scope;
        let mut best = Best::new(scope.candidates);
        let mut read = self.take(connection, asked, asked.first(), &mut best);
        if asked.phrases == Phrases::Prefer {
            // A row with a phrase may come far behind by its words alone.
            for phrase in &asked.terms.phrases {
                read += self.take(connection, asked, Wanted::Matching(phrase.query), &mut best);
            }
        }
        best.rows(read)
    }

    /// PostgreSQL's plan for the first statement of the leg.
    pub fn plan(&self, connection: &Connection, asked: &Asked<'_>) -> Vec<String> {
        let wanted = asked.first();
        let _settings = self.settings(asked, wanted);
        let _steered = by_index();
        connection.explain(&self.sql(asked, wanted), &self.parameters(asked, wanted))
    }

    /// Offers the best of the rows that are wanted, and gives how many came.
    fn take(&self, connection: &Connection, asked: &Asked<'_>, wanted: Wanted, best: &mut Best) -> usize {
        let parameters = self.parameters(asked, wanted);
        let mut output = Output::of(asked.scope.target.id_type);
        let engine = &*self.chosen.engine;
        let score = |given: f64, row: &Row<'_>| engine.score(given) + asked.worth_of_phrases(row);
        // What a former statement has given.
        let known = best.ids();
        let enough = asked.enough();
        let (mut read, mut last) = (0, None);
        let ran = {
            let _settings = self.settings(asked, wanted);
            connection.each_by_checked_plan(
                &self.sql(asked, wanted),
                &parameters,
                by_index,
                // SAFETY: the plan is looked over before it runs.
                |statement| unsafe { plan::scans(statement, engine.index(), engine.score_function()) },
                |row| {
                    let Some(given) = row.double(1) else { return true };
                    // Rows of equal score are ordered among themselves, and the index has an order of its own.
                    if read >= enough && last != Some(given) {
                        return false;
                    }
                    last = Some(given);
                    read += 1;
                    asked.offer(best, &known, output.id(row), score(given, row), row);
                    true
                },
            )
        };
        if ran && (read >= enough || !self.may_have_more(asked, wanted)) {
            return read;
        }
        let any = match wanted {
            Wanted::Any => terms::any_of(&asked.terms.words),
            Wanted::Matching(query) => query,
        };
        let [_, filter, text, phrases] = parameters;
        let parameters = [Parameter(pg_sys::TSQUERYOID, Some(any)), filter, text, phrases];
        let known = best.ids();
        let mut all = 0;
        connection.each_for_parameters(&self.exact_sql(asked), &parameters, |row| {
            all += 1;
            if let Some(given) = row.double(1) {
                asked.offer(best, &known, output.id(row), score(given, row), row);
            }
        });
        all
    }

    /// Whether a scan that has given too few rows may have left some out: it ends when it has gone through as many rows as it
    /// gives at most, whatever a condition has left of them.
    fn may_have_more(&self, asked: &Asked<'_>, wanted: Wanted) -> bool {
        let conditional = !asked.scope.condition.is_empty() || matches!(wanted, Wanted::Matching(_));
        let matching: u64 = asked.terms.words.iter().map(|word| word.documents).sum();
        conditional && matching >= self.chosen.engine.most_rows()
    }

    fn settings(&self, asked: &Asked<'_>, wanted: Wanted) -> LocalSettings {
        let settings = LocalSettings::begin();
        // SAFETY: the variable of that setting.
        if unsafe { pg_sys::plan_cache_mode } as u32 == pg_sys::PlanCacheMode::PLAN_CACHE_MODE_FORCE_CUSTOM_PLAN {
            settings.set(c"plan_cache_mode", "auto");
        }
        let rows = asked.scope.candidates.min(asked.ready());
        let rows = match wanted {
            Wanted::Any if asked.scope.condition.is_empty() => rows,
            // A scan that has to go on begins anew, for twice as many.
            _ => rows.saturating_mul(4),
        };
        self.chosen.engine.prepare(&settings, rows);
        settings
    }

    /// $1 to $4: what documents match, the filter, the query, its phrases.
    fn parameters(&self, asked: &Asked<'_>, wanted: Wanted) -> [Parameter; 4] {
        let matching = match wanted {
            Wanted::Any => None,
            Wanted::Matching(query) => Some(query),
        };
        let phrases = if asked.terms.phrases.is_empty() {
            Parameter(pg_sys::TSQUERYARRAYOID, None)
        } else {
            let phrases = asked.terms.phrases.iter().map(|phrase| phrase.query);
            Parameter::array(pg_sys::TSQUERYARRAYOID, pg_sys::TSQUERYOID, phrases)
        };
        [
            Parameter(pg_sys::TSQUERYOID, matching),
            Parameter(pg_sys::JSONBOID, asked.scope.filter),
            Parameter::text(self.text()),
            phrases,
        ]
    }

    fn sql(&self, asked: &Asked<'_>, wanted: Wanted) -> String {
        let Target { table, document, .. } = asked.scope.target;
        let engine = &self.chosen.engine;
        let mut sql = asked.select(engine.scanned_score());
        append(&mut sql, &[" FROM ", table, " AS t WHERE true"]);
        if let Wanted::Matching(_) = wanted {
            append(&mut sql, &[" AND t.", document, " OPERATOR(pg_catalog.@@) $1"]);
        }
        let candidates = asked.scope.candidates.to_string();
        append(&mut sql, &[asked.scope.condition, " ORDER BY ", engine.order(), " LIMIT ", &candidates]);
        sql
    }

    /// The same without the index: of the rows that match, by GIN if there is such an index.
    fn exact_sql(&self, asked: &Asked<'_>) -> String {
        let Target { table, document, .. } = asked.scope.target;
        let score = self.chosen.engine.computed_score();
        // With an addition, no index can give the order.
        format!(
            "{} FROM {table} AS t WHERE t.{document} OPERATOR(pg_catalog.@@) $1{} \
             ORDER BY 0::pg_catalog.float8 OPERATOR(pg_catalog.+) ({score}) LIMIT {}",
            asked.select(score),
            asked.scope.condition,
            asked.scope.candidates,
        )
    }
}

/// What leaves the planner no other choice: only the index gives rows in the order of their scores. A small table would be sorted,
/// row by row from the text.
fn by_index() -> LocalSettings {
    let settings = LocalSettings::begin();
    settings.set(c"enable_sort", "off");
    settings
}

/// Writes one part after the other, in a tenth of the time that `format!` takes.
fn append(sql: &mut String, parts: &[&str]) {
    parts.iter().for_each(|part| sql.push_str(part));
}

impl Asked<'_> {
    /// How many rows each statement has to give. A phrase moves a row from its place in the index.
    fn enough(&self) -> usize {
        if self.terms.phrases.is_empty() { self.enough.max(1) } else { self.scope.candidates }
    }

    /// How many rows a scan is to have at hand. One more than enough tells whether it has the same score, and where it has,
    /// others may have it as well: a scan that has to go on begins anew and takes as long again, which some more rows do not.
    fn ready(&self) -> usize {
        let enough = self.enough();
        enough.saturating_add(1 + LEAST_TIES.max(enough / TIES))
    }

    /// What the first statement asks for.
    fn first(&self) -> Wanted {
        if self.phrases == Phrases::Require && !self.terms.phrases.is_empty() {
            return Wanted::Matching(terms::all_phrases(&self.terms.phrases));
        }
        Wanted::Any
    }

    /// Identifier, score, whether it has each phrase, perhaps the embedding, and the values of boosts.
    fn select(&self, score: &str) -> String {
        let Target { id, document, embedding, .. } = self.scope.target;
        let mut sql = String::with_capacity(SQL_BYTES);
        append(&mut sql, &["SELECT ", id, ", ", score]);
        for n in 1..=self.terms.phrases.len() {
            append(&mut sql, &[", t.", document, " OPERATOR(pg_catalog.@@) ($4)[", &n.to_string(), "]"]);
        }
        if self.with_embedding {
            append(&mut sql, &[", t.", embedding]);
        }
        sql + &self.scope.boost_columns()
    }

    /// What the phrases that a row has add to its score.
    fn worth_of_phrases(&self, row: &Row<'_>) -> f64 {
        let found = self.terms.phrases.iter().zip(2..).filter(|(_, column)| row.is_true(*column));
        found.map(|(phrase, _)| phrase.weight).sum()
    }

    fn offer(&self, best: &mut Best, known: &HashSet<Id>, id: Id, score: f64, row: &Row<'_>) {
        if known.contains(&id) {
            return;
        }
        let embedding = 2 + self.terms.phrases.len();
        let extra = || Extra {
            other: if self.with_embedding { row.copy(embedding) } else { None },
            boost: self.scope.boost(row, embedding + usize::from(self.with_embedding)),
            ..Extra::default()
        };
        best.offer(score, || id, extra);
    }
}
