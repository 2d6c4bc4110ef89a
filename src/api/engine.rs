//! Functions of the engine: asking a model by its name, what the engine tells of itself, and its administration.
#![allow(unsafe_code)] // exported symbols

use std::path::Path;
use std::time::Duration;

use harca_core::model::import;
use harca_core::protocol::digest::Digest;
use harca_core::protocol::priority::Priority;
use harca_core::protocol::status::{EngineStatus, State};
use pgrx::pg_sys::Datum;

use crate::backend::{self, Answer};
use crate::bridge::function_call::{Call, sql_function};
use crate::bridge::server_text::{self, ServerText};
use crate::bridge::value::Value;
use crate::engine::{client, records};
use crate::{registry, settings};

sql_function!(pg_finfo_harca_classify, harca_classify, classify);
sql_function!(pg_finfo_harca_classify_all, harca_classify_all, classify_all);
sql_function!(pg_finfo_harca_inspect_transformer, harca_inspect_transformer, inspect_transformer);
sql_function!(pg_finfo_harca_read_model_folder, harca_read_model_folder, read_model_folder);
sql_function!(pg_finfo_harca_engine_status, harca_engine_status, engine_status);
sql_function!(pg_finfo_harca_engine_statistics, harca_engine_statistics, engine_statistics);
sql_function!(pg_finfo_harca_restart_engine, harca_restart_engine, restart_engine);
sql_function!(pg_finfo_harca_release_identity, harca_release_identity, release_identity);

/// How long the engine has to tell of itself: it does so between two runs' beginnings, never during loading.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);

/// Microseconds between 1970 and 2000, where the server's clock begins.
const EPOCH: i64 = 946_684_800_000_000;

/// `harca.classify(query text, model text) → query_classification`, strict.
fn classify(call: &mut Call<'_>) -> Datum {
    let (Some(query), Some(model)) = (call.text(0), call.text(1)) else { return call.null() };
    match backend::classify_by(&model.name(), &[query]) {
        Ok(answers) => match answers.first() {
            Some(answer) => call.composite(answer.columns(query)),
            None => call.null(),
        },
        Err(error) => call.refuse(&error),
    }
}

/// `harca.classify(queries text[], model text) → setof (ordinality integer, …)`, strict.
fn classify_all(call: &mut Call<'_>) -> Datum {
    let mut rows = call.rows();
    let (Some(elements), Some(model)) = (call.array(0), call.text(1)) else { return call.null() };
    let elements: Vec<Option<ServerText>> = elements.texts().collect();
    let queries: Vec<ServerText> = elements.iter().filter_map(|query| *query).collect();
    match backend::classify_by(&model.name(), &queries) {
        Ok(answers) => {
            let mut answers = answers.iter();
            for (query, ordinality) in elements.iter().zip(1..) {
                let answered = query.and_then(|query| Some((query, answers.next()?)));
                rows.push(Answer::numbered_columns(ordinality, answered));
            }
            call.null()
        }
        Err(error) => call.refuse(&error),
    }
}

/// `harca.inspect_model(manifest json, graph bytea, tokenizer bytea) → (model text, name text, version text, sha256 text,
/// identity text, labels text[], executor text, task text)`, strict: an error when the model must not be registered.
fn inspect_transformer(call: &mut Call<'_>) -> Datum {
    let (Some(manifest), Some(graph), Some(tokenizer)) = (call.varlena(0), call.varlena(1), call.varlena(2)) else {
        return call.null();
    };
    let manifest = server_text::to_utf8(manifest, usize::MAX);
    match registry::try_out_transformer(&manifest, graph.to_vec().into(), tokenizer.to_vec().into()) {
        Ok(model) => {
            let (name, version) = model.manifest().name();
            call.composite([
                Value::Text(&format!("{name} {version}")),
                Value::Text(name),
                Value::Text(version),
                Value::Text(&model.manifest().digests().0.to_ascii_lowercase()),
                Value::Text(model.identity()),
                Value::Texts(model.types()),
                Value::Text("engine"),
                Value::Text(model.task().name()),
            ])
        }
        Err(error) => call.refuse(&error),
    }
}

/// `harca.read_model_folder(folder text, changes json) → (manifest json, graph bytea, tokenizer bytea)`, strict.
fn read_model_folder(call: &mut Call<'_>) -> Datum {
    let (Some(folder), Some(changes)) = (call.text(0), call.varlena(1)) else { return call.null() };
    let changes = server_text::to_utf8(changes, usize::MAX);
    match import::read(Path::new(&folder.name()), &changes, settings::max_engine_model_bytes()) {
        Ok(found) => {
            call.composite([Value::Text(&found.manifest), Value::Bytes(&found.graph), Value::Bytes(&found.tokenizer)])
        }
        Err(error) => call.refuse(&error),
    }
}

/// `harca.engine_status() → record`: how the engine is; null where it says nothing.
fn engine_status(call: &mut Call<'_>) -> Datum {
    let asked = client::wait(|| client::status(Some(STATUS_TIMEOUT)));
    let record = records::state();
    let restarts = record.as_ref().map(|record| u64::try_from(record.restarts.max(0)).unwrap_or(0));
    match asked {
        Ok(status) => {
            let loaded = status.models.iter().filter(|model| model.state == State::Ready);
            let mut providers: Vec<String> = loaded.clone().map(|model| model.provider.clone()).collect();
            providers.sort_unstable();
            providers.dedup();
            let models: Vec<String> = loaded.map(|model| model.name.clone()).collect();
            call.composite([
                Value::Text("running"),
                Value::Null,
                Value::from(status.pid),
                Value::BigInt(status.started_at - EPOCH),
                restarts.into(),
                Value::Texts(&providers),
                Value::Text(&status.runtime),
                status.threads.into(),
                status.memory.into(),
                status.memory_bound.into(),
                Value::Texts(&models),
                status.connections.into(),
                status.queued.into(),
                status.queue_bound.into(),
                status.cancelled.into(),
                Value::BigInts(&status.let_go),
                status.threads_changed.into(),
            ])
        }
        Err(error) => {
            let (state, detail) = match &record {
                _ if !settings::engine() => ("off", "pg_harca.engine is off".to_owned()),
                Some(record) if !record.detail.is_empty() => ("not running", record.detail.clone()),
                Some(_) => ("not running", error.to_string()),
                None => ("not started", "no session has needed it yet".to_owned()),
            };
            let since = record.as_ref().map_or(Value::Null, |record| Value::BigInt(record.since));
            let mut row = [Value::Null; 17];
            (row[0], row[1], row[3], row[4]) = (Value::Text(state), Value::Text(&detail), since, restarts.into());
            call.composite(row)
        }
    }
}

/// `harca.engine_statistics() → setof record`: two rows for each model that the engine was asked for, one a priority; none
/// without an engine.
fn engine_statistics(call: &mut Call<'_>) -> Datum {
    let mut rows = call.rows();
    let status = client::wait(|| client::status(Some(STATUS_TIMEOUT))).unwrap_or_else(|_| EngineStatus::default());
    for model in &status.models {
        let identity = model.digest.map(|digest| digest.to_string()).unwrap_or_default();
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        for (priority, counts) in Priority::ALL.into_iter().zip(&model.by_priority) {
            let quantiles = |times: &[u64; 3], n: usize| (counts.requests > 0).then_some(times[n] as f64);
            rows.push([
                Value::Text(&model.name),
                Value::Text(&identity),
                Value::Text(model.state.name()),
                Value::Text(priority.name()),
                counts.requests.into(),
                counts.failed.into(),
                counts.queued.into(),
                quantiles(&counts.wait, 0).into(),
                quantiles(&counts.wait, 1).into(),
                quantiles(&counts.wait, 2).into(),
                quantiles(&counts.run, 0).into(),
                quantiles(&counts.run, 1).into(),
                quantiles(&counts.run, 2).into(),
                model.runs.into(),
                model.texts.into(),
                model.tokens.into(),
                model.truncated.into(),
                share(model.texts, model.runs).into(),
                share(1_000_000 * model.tokens, model.busy).into(),
                model.batch_tokens.into(),
                model.bytes.into(),
                Value::Double(model.loaded_in as f64),
                Value::Text(&model.provider),
                Value::Text(&model.detail),
            ]);
        }
    }
    call.null()
}

/// `harca.restart_engine() → boolean`: whether there was one.
fn restart_engine(call: &mut Call<'_>) -> Datum {
    let asked = settings::engine() && client::restart();
    call.value(Value::Bool(asked))
}

/// `harca.release_identity(identity text) → boolean`, strict: whether the model of this identity was quarantined.
fn release_identity(call: &mut Call<'_>) -> Datum {
    let Some(identity) = call.text(0).map(ServerText::name).and_then(|identity| Digest::of_hex(&identity)) else {
        return call.value(Value::Bool(false));
    };
    let mut quarantined = records::quarantine();
    let before = quarantined.len();
    quarantined.retain(|model| *model != identity);
    let released = quarantined.len() < before && records::write_quarantine(&quarantined);
    call.value(Value::Bool(released))
}
