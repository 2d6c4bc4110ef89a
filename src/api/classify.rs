//! `classify_query`, `classify_queries`, `query_type`.
#![allow(unsafe_code)] // exported symbols

use pgrx::pg_sys::Datum;

use crate::backend::{self, Answer};
use crate::call::{Call, Value, sql_function};
use crate::text::ServerText;

/// Elements of an array that are classified in one run: large enough for the session to pay off (a row of 32 costs a
/// third of a single one), small enough that a cancel is seen within a millisecond.
const BATCH: usize = 64;

sql_function!(pg_finfo_harca_classify_query, harca_classify_query, classify_query);
sql_function!(pg_finfo_harca_classify_queries, harca_classify_queries, classify_queries);
sql_function!(pg_finfo_harca_query_type, harca_query_type, query_type);

/// `classify_query(query text) → query_classification`, strict.
fn classify_query(call: &mut Call<'_>) -> Datum {
    match call.text(0) {
        Some(query) => {
            let answer = backend::classify(query);
            call.composite(columns(query, &answer))
        }
        None => call.null(),
    }
}

/// `query_type(query text) → text`, strict.
fn query_type(call: &mut Call<'_>) -> Datum {
    match call.text(0) {
        Some(query) => {
            let answer = backend::classify(query);
            call.value(Value::Text(answer.query_type()))
        }
        None => call.null(),
    }
}

/// `classify_queries(queries text[]) → setof (ordinality integer, …)`.
fn classify_queries(call: &mut Call<'_>) -> Datum {
    let mut rows = call.rows();
    let Some(elements) = call.array(0) else { return call.null() };
    let mut elements = elements.texts().zip(1..);
    let mut batch: Vec<(Option<ServerText>, i32)> = Vec::with_capacity(BATCH);
    loop {
        batch.clear();
        batch.extend(elements.by_ref().take(BATCH));
        if batch.is_empty() {
            return call.null();
        }
        rows.batch(|rows| {
            let queries: Vec<ServerText> = batch.iter().filter_map(|(query, _)| *query).collect();
            let mut answers = backend::classify_batch(&queries).into_iter();
            for (query, ordinality) in &batch {
                let ordinality = Value::Int(*ordinality);
                match query.and_then(|query| Some((query, answers.next()?))) {
                    Some((query, answer)) => {
                        let [a, b, c, d, e, f] = columns(query, &answer);
                        rows.push([ordinality, a, b, c, d, e, f]);
                    }
                    None => rows.push([
                        ordinality,
                        Value::Null,
                        Value::Null,
                        Value::Null,
                        Value::Null,
                        Value::Null,
                        Value::Null,
                    ]),
                }
            }
        });
    }
}

/// The columns of `query_classification`.
fn columns(query: ServerText, answer: &Answer) -> [Value<'_>; 6] {
    let classification = answer.classification();
    [
        Value::Datum(query.datum()),
        Value::Text(answer.query_type()),
        Value::Real(classification.confidence),
        Value::Reals(classification.scores.as_slice()),
        Value::Text(classification.language.code()),
        Value::Text(answer.model()),
    ]
}
