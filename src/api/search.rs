//! `hybrid_search`, `hybrid_search_explain`, `harca.explain_legs` and `harca.judged_curves`, what searches have told of a
//! target, and the trigger that tells all backends of a changed one.
#![allow(unsafe_code)] // exported symbols

use std::time::Instant;

use harca_core::search::calibration::shared::State;
use harca_core::search::fusion::Fused;
use harca_core::search::options::Options;
use harca_core::search::paging::Page;
use pgrx::pg_sys::{self, Datum, Oid};

use crate::bridge::function_call::{Call, sql_function};
use crate::bridge::server_text;
use crate::bridge::value::Value;
use crate::search::arguments::or_refuse;
use crate::search::run::{Outcome, Request, Search};
use crate::search::{self, Connection, Leg, explain, judged, kept_options, learning, passages};

sql_function!(pg_finfo_harca_hybrid_search, harca_hybrid_search, hybrid_search);
sql_function!(pg_finfo_harca_hybrid_search_passages, harca_hybrid_search_passages, hybrid_search_passages);
sql_function!(pg_finfo_harca_is_searched, harca_is_searched, is_searched);
sql_function!(pg_finfo_harca_hybrid_search_explain, harca_hybrid_search_explain, hybrid_search_explain);
sql_function!(pg_finfo_harca_explain_legs, harca_explain_legs, explain_legs);
sql_function!(pg_finfo_harca_judged_curves, harca_judged_curves, judged_curves);
sql_function!(pg_finfo_harca_table_calibration, harca_table_calibration, table_calibration);
sql_function!(pg_finfo_harca_reset_calibration, harca_reset_calibration, reset_calibration);
sql_function!(pg_finfo_harca_announce_target, harca_announce_target, announce_target);

/// `hybrid_search(target text, query text, embedding vector, "limit" integer, "offset" integer, filter jsonb, options jsonb) →
/// setof (id text, score double precision, vector_rank integer, keyword_rank integer, vector_score double precision,
/// keyword_score double precision, vector_weight real, query_type text)`.
fn hybrid_search(call: &mut Call<'_>) -> Datum {
    let mut rows = call.rows();
    let options = options(call, 6);
    let page = or_refuse(Page::new(call.int(3), call.int(4)));
    let Some(request) = request(call, options, page, call.datum(5)) else { return call.null() };
    let connection = Connection::open();
    let search = Search::new(&connection, Request { in_earnest: true, ..request });
    let outcome = search.run();
    for row in outcome.page(&search) {
        rows.push([
            Value::Bytes(row.id),
            Value::Double(row.score),
            row.vector_rank.into(),
            row.keyword_rank.into(),
            row.vector_score.into(),
            row.keyword_score.into(),
            Value::Real(outcome.vector_weight),
            Value::Datum(outcome.answer.query_type().datum()),
        ]);
    }
    drop(connection);
    call.null()
}

/// `hybrid_search_passages(…) → setof (…, passage_start integer, passage_length integer, passage text)`, with the arguments and
/// the columns of `hybrid_search` before these.
fn hybrid_search_passages(call: &mut Call<'_>) -> Datum {
    let mut rows = call.rows();
    let options = options(call, 6);
    let page = or_refuse(Page::new(call.int(3), call.int(4)));
    let Some(request) = request(call, options, page, call.datum(5)) else { return call.null() };
    let connection = Connection::open();
    let search = Search::new(&connection, Request { in_earnest: true, ..request });
    let outcome = search.run();
    let found = outcome.page(&search);
    let texts = search.passage_texts(&outcome, &found);
    for row in found {
        let passage = texts.get(row.id).zip(outcome.passages.get(row.id));
        rows.push([
            Value::Bytes(row.id),
            Value::Double(row.score),
            row.vector_rank.into(),
            row.keyword_rank.into(),
            row.vector_score.into(),
            row.keyword_score.into(),
            Value::Real(outcome.vector_weight),
            Value::Datum(outcome.answer.query_type().datum()),
            passage.map_or(Value::Null, |(_, span)| Value::Int(span.start)),
            passage.map_or(Value::Null, |(_, span)| Value::Int(span.length)),
            passage.map_or(Value::Null, |(text, _)| Value::Text(text)),
        ]);
    }
    drop(connection);
    call.null()
}

/// `harca.is_searched(passages oid) → boolean`, strict.
fn is_searched(call: &mut Call<'_>) -> Datum {
    let relation = call.datum(0).map_or(pg_sys::InvalidOid, |datum| Oid::from(datum.value() as u32));
    call.value(Value::Bool(passages::is_searched(relation)))
}

/// `hybrid_search_explain(…) → jsonb`, with the arguments of `hybrid_search`; null for a null query.
fn hybrid_search_explain(call: &mut Call<'_>) -> Datum {
    let options = options(call, 6);
    let page = or_refuse(Page::new(call.int(3), call.int(4)));
    let Some(request) = request(call, options, page, call.datum(5)) else { return call.null() };
    let connection = Connection::open();
    let search = Search::new(&connection, request);
    let outcome = search.run();
    let fusing = Instant::now();
    let rows: Vec<Fused<&[u8]>> = outcome.page(&search);
    let explanation = explain::explanation(&search, &outcome, &rows, fusing.elapsed()).to_string();
    drop(rows);
    drop(connection);
    call.value(Value::Datum(jsonb(&explanation)))
}

/// `harca.explain_legs(target text, query text, embedding vector, "limit" integer, filter jsonb, options jsonb) → setof (leg
/// text, plan text)`.
fn explain_legs(call: &mut Call<'_>) -> Datum {
    let mut rows = call.rows();
    let options = options(call, 5);
    let page = or_refuse(Page::new(call.int(3), None));
    let Some(request) = request(call, options, page, call.datum(4)) else { return call.null() };
    let connection = Connection::open();
    let search = Search::new(&connection, request);
    let outcome: Outcome = search.run();
    for leg in [Leg::Vector, Leg::Keyword].into_iter().filter(|leg| outcome.ran.contains(leg)) {
        for line in explain::plan(&search, &outcome, leg) {
            rows.push([Value::Text(leg.name()), Value::Text(&line)]);
        }
    }
    drop(connection);
    call.null()
}

/// `harca.judged_curves(target text, judgements regclass, k1_grid double precision[], b_grid double precision[]) → setof (query
/// text, exactness double precision, measure double precision, curve double precision[])`.
fn judged_curves(call: &mut Call<'_>) -> Datum {
    let mut rows = call.rows();
    let Some(target) = target(call) else { return call.null() };
    let (judgements, k1_grid, b_grid) = (judged::relation(call.datum(1)), call.doubles(2), call.doubles(3));
    let connection = Connection::open();
    judged::measure(&connection, &target, judgements, &k1_grid, &b_grid, |curves| {
        rows.push([
            Value::Text(&curves.query),
            Value::Double(curves.exactness),
            Value::Double(curves.measure),
            Value::Doubles(&curves.curve),
        ]);
    });
    drop(connection);
    call.null()
}

/// `harca.table_calibration(target text, relation regclass) → (searches bigint, weight double precision, weight_searches bigint,
/// weight_since timestamptz, nearness double precision, wording double precision, prominence double precision)`.
fn table_calibration(call: &mut Call<'_>) -> Datum {
    let (Some(target), Some(relation)) = (target(call), call.datum(1)) else { return call.null() };
    let State { means, calibration } = learning::state(&target, Oid::from(relation.value() as u32));
    let seen = (means.searches > 0).then_some(means.of);
    call.composite([
        Value::from(means.searches),
        calibration.map(|calibration| calibration.weight).into(),
        calibration.map_or(Value::Null, |calibration| calibration.searches.into()),
        calibration.map_or(Value::Null, |calibration| Value::BigInt(calibration.since)),
        seen.map(|seen| seen.nearness).into(),
        seen.map(|seen| seen.wording).into(),
        seen.map(|seen| seen.prominence).into(),
    ])
}

/// `harca.reset_calibration(target text) → void`.
fn reset_calibration(call: &mut Call<'_>) -> Datum {
    let Some(target) = target(call) else { return call.null() };
    learning::reset(&target);
    call.null()
}

/// The name of a target, the first argument.
fn target(call: &Call<'_>) -> Option<String> {
    call.text(0).map(|name| server_text::to_utf8(name.prefix(usize::MAX), usize::MAX).into_owned())
}

/// `harca.announce_target() → trigger`, after a change of a table that targets are read from.
fn announce_target(call: &mut Call<'_>) -> Datum {
    call.require_trigger("harca.announce_target", "Call harca.register_search_target, which changes the table.");
    search::announce_change();
    Datum::null()
}

fn options(call: &Call<'_>, n: usize) -> Options {
    kept_options::read(call.datum(n))
}

/// What the first four arguments and the filter ask for; none for a null query.
fn request(call: &Call<'_>, options: Options, page: Page, filter: Option<Datum>) -> Option<Request> {
    let query = call.text(1)?;
    Some(Request {
        target: target(call).unwrap_or_else(|| "<NULL>".into()),
        query,
        embedding: call.datum(2),
        filter,
        candidates: usize::try_from(options.candidates(call.int(3))).unwrap_or(0),
        options,
        page,
        in_earnest: false,
    })
}

/// A `jsonb` from its text.
fn jsonb(text: &str) -> Datum {
    // SAFETY: a text that was made a moment ago; the input function of the type with a string.
    unsafe {
        let text = pg_sys::text_to_cstring(server_text::from_utf8(text).cast_mut_ptr());
        pg_sys::OidInputFunctionCall(pg_sys::F_JSONB_IN.into(), text, pg_sys::InvalidOid, -1)
    }
}
