//! `classify_query`, `classify_queries`, `query_type`.
#![allow(unsafe_code)] // exported symbols

use pgrx::pg_sys::Datum;

use crate::backend::{self, Answer};
use crate::bridge::function_call::{Call, sql_function};
use crate::bridge::server_text::ServerText;
use crate::bridge::value::Value;

/// Elements of an array that are looked up together, as many as the model takes at once; it cuts them into runs, and a
/// cancel is seen between two of these.
const BATCH: usize = harca_core::classify::batch::MAX_TEXTS;

sql_function!(pg_finfo_harca_classify_query, harca_classify_query, classify_query);
sql_function!(pg_finfo_harca_classify_queries, harca_classify_queries, classify_queries);
sql_function!(pg_finfo_harca_query_type, harca_query_type, query_type);

/// `classify_query(query text) → query_classification`, strict.
fn classify_query(call: &mut Call<'_>) -> Datum {
    match call.text(0) {
        Some(query) => {
            let answer = backend::classify(query);
            call.composite(answer.columns(query))
        }
        None => call.null(),
    }
}

/// `query_type(query text) → text`, strict.
fn query_type(call: &mut Call<'_>) -> Datum {
    match call.text(0) {
        Some(query) => {
            let answer = backend::classify(query);
            call.value(Value::Datum(answer.query_type().datum()))
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
            let answers = backend::classify_batch(&queries);
            let mut answers = answers.iter();
            for (query, ordinality) in &batch {
                let answered = query.and_then(|query| Some((query, answers.next()?)));
                rows.push(Answer::numbered_columns(*ordinality, answered));
            }
        });
    }
}
