//! How a search came to its rows.

use std::time::Duration;

use harca_core::search::fusion::Fused;
use harca_core::search::options::Strategy;
use serde_json::{Map, Value, json};

use super::embedded_query::EmbeddedQuery;
use super::legs::Leg;
use super::passages::{Reading, Span};
use super::run::{Outcome, Search};
use super::statements::{Connection, Parameter};
use super::target::Calibrated;
use super::terms::Matches;
use crate::bridge::server_text;

/// PostgreSQL's plan for the query that a leg of the search has run, line by line.
pub fn plan(search: &Search<'_>, outcome: &Outcome, leg: Leg) -> Vec<String> {
    let _reading = Reading::begin(search.target.passages());
    if leg == Leg::Keyword
        && let (Some(index), Some(terms)) = (&outcome.index, &outcome.terms)
    {
        return index.plan(search.connection, &search.asked(outcome, terms));
    }
    let scope = search.scope();
    let sql = match leg {
        Leg::Keyword => {
            let embedding = search.reads_embeddings(outcome).then(|| scope.embedding());
            scope.keyword_sql(outcome.most_ranked, embedding.as_deref())
        }
        Leg::Vector => scope.vector_sql(outcome.exact, search.reads_documents(outcome)),
    };
    let matches = (leg == Leg::Keyword).then_some(outcome.matches.as_ref()).flatten();
    search.connection.explain(&sql, &scope.parameters(matches, outcome.terms.as_deref()))
}

/// The names of the indexes that a plan scans, as it writes them.
fn indexes(plan: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in plan {
        for sign in ["Scan using ", "Scan Backward using ", "Bitmap Index Scan on "] {
            let Some((_, behind)) = line.split_once(sign) else { continue };
            let end = match behind.strip_prefix('"') {
                // A quotation mark inside is doubled.
                Some(quoted) => quoted.replace("\"\"", "  ").find('"').map_or(behind.len(), |end| end + 2),
                None => behind.find(char::is_whitespace).unwrap_or(behind.len()),
            };
            found.push(behind[..end].to_owned());
        }
    }
    found.sort();
    found.dedup();
    found
}

/// All of it, as `hybrid_search_explain` gives it; the rows are those of the page.
pub fn explanation(search: &Search<'_>, outcome: &Outcome, rows: &[Fused<&[u8]>], fusion: Duration) -> Value {
    let (target, options) = (&search.target, &search.request.options);
    let State { state, advice, renewal, documents_cut } = State::of(search.connection, &target.name);
    let mut warnings: Vec<String> = Vec::new();
    let mut legs = Map::new();
    for leg in [Leg::Keyword, Leg::Vector] {
        legs.insert(leg.name().into(), explained(search, outcome, leg, &mut warnings));
    }
    if let Some(terms) = &outcome.terms {
        let words = terms.words.iter().enumerate().map(|(n, word)| {
            json!({
                "word": server_text::to_utf8(&word.lexeme, usize::MAX),
                "documents": word.documents,
                "looked_up": match &outcome.matches {
                    Some(matches) => Some(matches.looked_up[n]),
                    None => outcome.index.as_ref().map(|_| true),
                },
            })
        });
        legs["keyword"]["words"] = words.collect();
        legs["keyword"]["documents"] = terms.documents().into();
        legs["keyword"]["query"] = match &outcome.index {
            Some(index) => index.text().into(),
            None => outcome.matches.as_ref().map(Matches::text).into(),
        };
        let parameters = terms.parameters();
        legs["keyword"]["k1"] = number(parameters.k1);
        legs["keyword"]["b"] = number(parameters.b);
        legs["keyword"]["phrases"] = terms.phrases.iter().map(|phrase| Value::from(phrase.text())).collect();
    }
    match target.passages.as_ref() {
        Ok(Some(passages)) => legs["vector"]["passages"] = passages.table.as_str().into(),
        Ok(None) => {}
        Err(why) => warnings.push(format!("the rows' own embeddings are searched, and not their passages: {why}")),
    }
    if let Some(chars) = outcome.read_chars {
        warnings.push(format!("only the first {chars} characters of the query were read for words"));
    }
    if let Some(why) = &outcome.index_unfit {
        warnings.push(format!("no BM25 index is used for the keyword leg: {why}"));
    }
    if outcome.ran.contains(&Leg::Keyword) && outcome.matches.is_some() {
        legs["keyword"]["ranked"] = outcome.read.into();
        legs["keyword"]["passes"] = outcome.passes.into();
        legs["keyword"]["floor"] = number(outcome.floor);
        legs["keyword"]["complete"] = (!outcome.incomplete).into();
        if outcome.incomplete {
            warnings.push(format!(
                "the keyword leg stopped, as a pass may look at {} rows: better ones may be among the others",
                outcome.most_ranked
            ));
        }
    }
    // A BM25 index has statistics of its own.
    if let Some(advice) = advice.filter(|_| outcome.index.is_none() || outcome.ran.contains(&Leg::Vector)) {
        warnings.push(format!("the statistics of the search target are not fresh ({state}): {advice}"));
    }
    if let Some(renewal) = renewal {
        warnings.push(format!("an older version of the parser has cut the documents: {renewal}"));
    }
    if let Some(documents) = documents_cut.filter(|documents| *documents > 0) {
        warnings.push(format!(
            "documents with more words than a tsvector has room for, of which only the beginning is found: {documents}"
        ));
    }
    let answer = &outcome.answer;
    if answer.names().text == harca_core::classify::rules::NAME {
        warnings.push("the rules answered in the place of a model".into());
    }
    let times = &outcome.times;
    json!({
        "classification": classification(outcome),
        "vector_weight": real(outcome.vector_weight),
        "weight_from": weight_from(search, outcome),
        "calibration": outcome.calibration.map(|calibration| json!({
            "weight": number(calibration.weight),
            "spread": number(calibration.spread),
            "found": number(calibration.found),
            "searches": calibration.searches,
        })),
        "rarity": number(outcome.rarity),
        "embedding": search.embedded.as_ref().map(|embedded| json!({
            "model": embedded.model,
            "milliseconds": milliseconds(embedded.took),
            "from_cache": embedded.from_cache,
            "failure": embedded.failure(),
        })),
        "strategy": {
            "asked": options.strategy.name(),
            "taken": outcome.strategy.name(),
            "reason": outcome.reason,
        },
        "options": serde_json::from_str::<Value>(&options.to_json()).unwrap_or_default(),
        "fusion": {
            "method": options.fusion.name(),
            "similarity_deviation": target.statistics().similarity_deviation.map(number),
            "keyword_bound": outcome.terms.as_ref().map(|terms| number(terms.bound)),
        },
        "legs": legs,
        "statistics": state,
        "documents_cut": documents_cut,
        "milliseconds": {
            "classification": milliseconds(times.classification),
            "terms": milliseconds(times.terms),
            "keyword_leg": milliseconds(times.keyword_leg),
            "vector_leg": milliseconds(times.vector_leg),
            "fusion": milliseconds(fusion),
        },
        "rows": rows.iter().zip(1..).map(|(fused, ordinality)| row(outcome, fused, ordinality)).collect::<Vec<_>>(),
        "warnings": warnings,
    })
}

fn explained(search: &Search<'_>, outcome: &Outcome, leg: Leg, warnings: &mut Vec<String>) -> Value {
    let (found, taken) = match leg {
        Leg::Keyword => (outcome.keyword.len(), outcome.times.keyword_leg),
        Leg::Vector => (outcome.vector.len(), outcome.times.vector_leg),
    };
    let name = leg.name();
    let ran = outcome.ran.contains(&leg);
    let mut used = Vec::new();
    if ran {
        used = indexes(&plan(search, outcome, leg));
        if leg == Leg::Vector && outcome.exact {
            warnings.push("the vector index gave up before it had enough rows: all that qualify were read".into());
        } else if used.is_empty() {
            warnings.push(format!("the {name} leg reads the whole table: PostgreSQL uses no index for it"));
        }
        if found == 0 {
            let filter = if search.request.filter.is_some() { ": see whether the filter leaves rows" } else { "" };
            warnings.push(format!("the {name} leg found nothing{filter}"));
        }
    } else {
        warnings.push(format!("the {name} leg was skipped: {}", why_skipped(search, outcome, leg, found)));
    }
    json!({ "ran": ran, "rows": found, "indexes": used, "milliseconds": milliseconds(taken) })
}

fn why_skipped(search: &Search<'_>, outcome: &Outcome, leg: Leg, found: usize) -> String {
    let strategy = outcome.strategy;
    let no_words = leg == Leg::Keyword && outcome.terms.is_none() && strategy != Strategy::VectorOnly;
    if matches!(strategy, Strategy::KeywordFirst | Strategy::VectorFirst) && found > 0 {
        let reason = outcome.reason.map_or_else(String::new, |reason| format!(", as {reason}"));
        format!("it only scores the rows of the other leg (strategy {}{reason})", strategy.name())
    } else if leg == Leg::Vector && search.request.embedding.is_none() {
        match &search.embedded {
            Some(EmbeddedQuery { model, found: Err(failure), .. }) => {
                format!("model \"{model}\" does not embed the query: {failure}")
            }
            _ => "no embedding of the query was given".into(),
        }
    } else if no_words || outcome.reason.is_some() {
        "the text search configuration leaves no word of the query".into()
    } else {
        format!("the strategy is {}", strategy.name())
    }
}

/// Where the weight of the vector leg comes from.
fn weight_from(search: &Search<'_>, outcome: &Outcome) -> &'static str {
    let (target, options) = (&search.target, &search.request.options);
    match options.strategy {
        Strategy::KeywordOnly | Strategy::VectorOnly => "the strategy",
        _ if options.vector_weight.is_some() => "the options",
        _ if outcome.calibration.is_some() && target.calibrated == Calibrated::Wholly => "the searches of the table",
        _ => "the target and its profile",
    }
}

/// What `harca.stat_search_target` says of a target.
#[derive(Default)]
struct State {
    /// How old its statistics are.
    state: String,
    /// What to call where that is to be mended.
    advice: Option<String>,
    /// The statement that makes its column anew, where an older parser has cut its documents.
    renewal: Option<String>,
    /// Documents of which words were left out.
    documents_cut: Option<i64>,
}

impl State {
    fn of(connection: &Connection, target: &str) -> Self {
        const SQL: &str = "SELECT s.state, \
            CASE WHEN s.state OPERATOR(pg_catalog.<>) ALL ('{fresh,counted on the primary}'::pg_catalog.text[]) THEN \
                pg_catalog.format('call harca.refresh_search_statistics(%L)%s', s.target, \
                    CASE WHEN pg_catalog.pg_is_in_recovery() THEN ' on the primary' ELSE '' END) END, \
            s.renewal, s.documents_cut FROM harca.stat_search_target AS s WHERE s.target OPERATOR(pg_catalog.=) $1";
        let mut found = Self::default();
        connection.each(SQL, &[Parameter::text(target)], |row| {
            found = Self {
                state: row.text(0).unwrap_or_default(),
                advice: row.text(1),
                renewal: row.text(2),
                documents_cut: row.big_int(3),
            };
        });
        found
    }
}

fn classification(outcome: &Outcome) -> Value {
    let answer = &outcome.answer;
    let (classification, names) = (answer.classification(), answer.names());
    let scores: Map<String, Value> = names
        .labels
        .iter()
        .zip(classification.scores.as_slice())
        .map(|(label, score)| (label.clone(), real(*score)))
        .collect();
    json!({
        "query_type": answer.shown_type(),
        "confidence": real(classification.confidence),
        "scores": scores,
        "language": classification.language.code(),
        "model": names.text,
    })
}

fn row(outcome: &Outcome, row: &Fused<&[u8]>, ordinality: u32) -> Value {
    let mut explained = json!({
        "ordinality": ordinality,
        "id": server_text::to_utf8(row.id, usize::MAX),
        "score": number(row.score),
        "vector_rank": row.vector_rank,
        "keyword_rank": row.keyword_rank,
        "vector_score": row.vector_score.map(number),
        "keyword_score": row.keyword_score.map(number),
        "vector_normalised": row.vector_normalised.map(number),
        "keyword_normalised": row.keyword_normalised.map(number),
    });
    if let Some(Span { passage, start, length }) = outcome.passages.get(row.id) {
        explained["passage"] = json!({ "number": passage, "start": start, "length": length });
    }
    explained
}

/// A `real` as PostgreSQL writes it: by the digits that it has.
fn real(value: f32) -> Value {
    value.to_string().parse().map_or(Value::Null, number)
}

/// A number as PostgreSQL writes it: a whole one without a point.
fn number(value: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT { Value::from(value as i64) } else { Value::from(value) }
}

fn milliseconds(taken: Duration) -> Value {
    number((taken.as_secs_f64() * 1e6).round() / 1e3)
}
