//! Functions that make vectors of texts.
#![allow(unsafe_code)] // exported symbols

use harca_core::embedding::passages::{self, Chunking};
use harca_core::error::Error;
use harca_core::protocol::message::TextKind;
use harca_core::protocol::priority::Priority;
use pgrx::pg_sys::Datum;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};

use crate::backend::{self, Embedder};
use crate::bridge::function_call::{Call, sql_function};
use crate::bridge::server_text::{self, ServerText};
use crate::bridge::value::{MAX_DIMENSIONS, Value};
use crate::embedding::worker;

sql_function!(pg_finfo_harca_embed, harca_embed, embed);
sql_function!(pg_finfo_harca_embed_all, harca_embed_all, embed_all);
sql_function!(pg_finfo_harca_embedding_model, harca_embedding_model, embedding_model);
sql_function!(pg_finfo_harca_cut_passages, harca_cut_passages, cut_passages);
sql_function!(pg_finfo_harca_call_embedding_worker, harca_call_embedding_worker, call_embedding_worker);

/// `harca.embed(content text, model text, kind text) → vector`, strict.
fn embed(call: &mut Call<'_>) -> Datum {
    let (Some(text), Some(model), Some(kind)) = (call.text(0), call.text(1), kind(call, 2)) else { return call.null() };
    let model = model.name();
    let found = match kind {
        TextKind::Query => backend::embed_query(&model, text).map(|(vectors, _)| vectors),
        TextKind::Document => backend::embed(&model, kind, Priority::Interactive, &[text]),
    };
    match found.and_then(|vectors| check(vectors.width).map(|()| vectors)) {
        Ok(vectors) => call.value(Value::Vector(&vectors.numbers)),
        Err(error) => call.refuse(&error),
    }
}

/// `harca.embed(contents text[], model text, kind text) → setof (ordinality integer, embedding vector)`, strict.
fn embed_all(call: &mut Call<'_>) -> Datum {
    let mut rows = call.rows();
    let (Some(elements), Some(model), Some(kind)) = (call.array(0), call.text(1), kind(call, 2)) else {
        return call.null();
    };
    let elements: Vec<Option<ServerText>> = elements.texts().collect();
    let texts: Vec<ServerText> = elements.iter().filter_map(|text| *text).collect();
    let found = backend::embed(&model.name(), kind, Priority::Bulk, &texts);
    match found.and_then(|vectors| check(vectors.width).map(|()| vectors)) {
        Ok(vectors) => {
            let mut vectors = vectors.iter();
            for (element, ordinality) in elements.iter().zip(1..) {
                let vector = element.and_then(|_| vectors.next()).map_or(Value::Null, Value::Vector);
                rows.push([Value::Int(ordinality), vector]);
            }
            call.null()
        }
        Err(error) => call.refuse(&error),
    }
}

/// `harca.embedding_model(name text) → (model text, dimensions integer, tokens integer)`, strict: an error where there is no such
/// model, or it cannot be run.
fn embedding_model(call: &mut Call<'_>) -> Datum {
    let Some(name) = call.text(0) else { return call.null() };
    match backend::describe_embedder(&name.name()).and_then(|found| check(found.width).map(|()| found)) {
        Ok(Embedder { model, width, tokens }) => call.composite([Value::Text(&model), int(width), int(tokens)]),
        Err(error) => call.refuse(&error),
    }
}

/// `harca.cut_passages(content text, tokens integer, overlap integer) → setof (passage integer, passage_start integer,
/// passage_length integer)`, strict.
fn cut_passages(call: &mut Call<'_>) -> Datum {
    let mut rows = call.rows();
    let (Some(text), Some(tokens), Some(overlap)) = (call.text(0), call.int(1), call.int(2)) else {
        return call.null();
    };
    let given = usize::try_from(tokens).ok().filter(|tokens| *tokens > 0).zip(usize::try_from(overlap).ok());
    let Some((tokens, overlap)) = given else {
        ErrorReport::new(
            PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
            format!("passages of {tokens} tokens with an overlap of {overlap} are out of range"),
            "",
        )
        .set_hint("Use tokens from 1 and an overlap from 0.")
        .report(PgLogLevel::ERROR);
        return call.null();
    };
    let text = server_text::to_utf8(text.prefix(usize::MAX), usize::MAX);
    for (passage, n) in passages::cut(&text, Chunking { tokens, overlap }).iter().zip(1..) {
        rows.push([Value::Int(n), int(passage.start + 1), int(passage.chars)]);
    }
    call.null()
}

fn int(n: usize) -> Value<'static> {
    Value::Int(i32::try_from(n).unwrap_or(i32::MAX))
}

/// `harca.call_embedding_worker() → void`.
fn call_embedding_worker(call: &mut Call<'_>) -> Datum {
    worker::call();
    call.null()
}

/// Which of a model's prefixes an argument asks for; an error for another word.
fn kind(call: &Call<'_>, n: usize) -> Option<TextKind> {
    let name = call.text(n)?.name();
    match name.as_str() {
        "query" => Some(TextKind::Query),
        "document" => Some(TextKind::Document),
        _ => {
            let code = PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE;
            ErrorReport::new(code, format!("kind of text \"{name}\" is not known"), "")
                .set_hint("Use query for what is searched for, or document for what is found.")
                .report(PgLogLevel::ERROR);
            None
        }
    }
}

/// An error for a vector that pgvector has no room for.
fn check(width: usize) -> Result<(), Error> {
    if width <= MAX_DIMENSIONS {
        return Ok(());
    }
    Err(Error::ModelShape(format!(
        "its vectors have {width} dimensions, a vector of pgvector has {MAX_DIMENSIONS} at most"
    )))
}
