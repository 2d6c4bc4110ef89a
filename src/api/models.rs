//! Functions of the registry of models: inspection before a model is stored, evaluation, and the trigger that tells all
//! backends of a change.
#![allow(unsafe_code)] // exported symbols

use std::time::Instant;

use harca_core::model::evaluation::Evaluation;
use pgrx::PgLogLevel;
use pgrx::pg_sys::{self, Datum};
use xxhash_rust::xxh3::xxh3_128;

use crate::bridge::function_call::{Call, sql_function};
use crate::bridge::value::Value;
use crate::bridge::{error_report, server_text};
use crate::engine::client;
use crate::registry::{self, Model, Runner, preloaded_session};
use crate::settings;

sql_function!(pg_finfo_harca_builtin_model, harca_builtin_model, builtin_model);
sql_function!(pg_finfo_harca_inspect_model, harca_inspect_model, inspect_model);
sql_function!(pg_finfo_harca_measure_models, harca_measure_models, measure_models);
sql_function!(pg_finfo_harca_announce_deployment, harca_announce_deployment, announce_deployment);

/// Queries that are run before the first one is timed.
const WARM_UP: usize = 50;

/// Queries between two looks at whether the statement was cancelled.
const PAUSE: usize = 64;

/// A loaded model that goes when the function ends, by an error too.
struct Opened(Option<Model>);

impl Opened {
    fn get(&mut self) -> Option<&mut Model> {
        self.0.as_mut()
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(model) = self.0.take() {
            preloaded_session::release(model);
        }
    }
}

/// `harca.builtin_model() → (manifest json, bytes integer)`.
fn builtin_model(call: &mut Call<'_>) -> Datum {
    let (manifest, bytes) = registry::builtin();
    call.composite([Value::Text(manifest), Value::Int(i32::try_from(bytes).unwrap_or(i32::MAX))])
}

/// `harca.inspect_model(manifest json, graph bytea) → (model text, name text, version text, sha256 text, identity text,
/// labels text[], executor text)`, strict: an error when the model must not be registered.
fn inspect_model(call: &mut Call<'_>) -> Datum {
    let (Some(manifest), Some(graph)) = (call.varlena(0), call.varlena(1)) else { return call.null() };
    let manifest = server_text::to_utf8(manifest, usize::MAX);
    let mut opened = match registry::try_out(&manifest, graph.to_vec().into()) {
        Ok(model) => Opened(Some(model)),
        Err(failure) => {
            error_report::report(&failure).report(PgLogLevel::ERROR);
            return call.null();
        }
    };
    let Some(model) = opened.get() else { return call.null() };
    let Runner::Here(classifier) = &model.runner else { return call.null() };
    let found = classifier.manifest();
    call.composite([
        Value::Text(&registry::name(found)),
        Value::Text(&found.name),
        Value::Text(&found.version),
        Value::Text(&model.sha256()),
        Value::Text(model.identity()),
        Value::Texts(&found.labels),
        Value::Text(model.executor()),
    ])
}

/// `harca.measure_models(models text[], labelled text) → setof record`, strict: models side by side on the same queries, in
/// turns, so that what else the machine does falls on all of them alike.
fn measure_models(call: &mut Call<'_>) -> Datum {
    let mut result = call.rows();
    let names: Vec<String> = call.array(0).into_iter().flat_map(|names| names.texts().flatten()).map(whole).collect();
    let Some(labelled) = call.text(1).map(whole) else { return call.null() };
    let mut rows = registry::labelled_rows(&labelled);
    // The order says nothing of the rows, and their digest is to be that of the set.
    rows.sort_unstable();
    let digest = digest(&rows);
    let mut measured: Vec<(Opened, Evaluation)> = Vec::new();
    for name in &names {
        match registry::open_named(name) {
            Ok(model) => {
                let labels = model.labels().len();
                measured.push((Opened(Some(model)), Evaluation::new(labels)));
            }
            Err(failure) => error_report::report(&failure).report(PgLogLevel::ERROR),
        }
    }
    let chars = settings::max_query_chars();
    let warm_up = rows.iter().cycle().take(WARM_UP).map(|row| (row, false));
    for (number, ((query, label), counts)) in warm_up.chain(rows.iter().map(|row| (row, true))).enumerate() {
        if number % PAUSE == 0 {
            pg_sys::check_for_interrupts!();
        }
        let query = query.char_indices().nth(chars).map_or(query.as_str(), |(end, _)| &query[..end]);
        for (opened, evaluation) in &mut measured {
            if let Some(model) = opened.get() {
                measure(model, evaluation, query, label, counts);
            }
        }
    }
    for (opened, evaluation) in &mut measured {
        let Some(model) = opened.get() else { continue };
        let micros = |q| evaluation.quantile(q).map(|time| time.as_secs_f64() * 1e6);
        result.push([
            Value::Text(&model.name()),
            Value::Text(model.identity()),
            evaluation.count().into(),
            evaluation.accuracy().into(),
            evaluation.macro_f1().into(),
            evaluation.calibration_error().into(),
            micros(0.5).into(),
            micros(0.95).into(),
            micros(0.99).into(),
            evaluation.throughput().into(),
            Value::Texts(model.labels()),
            Value::BigInts(evaluation.confusion()),
            Value::Text(&digest),
        ]);
    }
    call.null()
}

fn measure(model: &mut Model, evaluation: &mut Evaluation, query: &str, label: &str, counts: bool) {
    let started = Instant::now();
    let answer = client::wait(|| model.classify(query));
    let elapsed = started.elapsed();
    let answer = match answer {
        Ok(answer) => answer,
        Err(failure) => {
            error_report::report(&failure).report(PgLogLevel::ERROR);
            return;
        }
    };
    if counts {
        let labels = model.labels();
        let other = labels.len();
        let expected = labels.iter().position(|one| one == label).unwrap_or(other);
        // A label that the model lacks is never right, unless both mean that there is nothing to search for.
        let predicted = match answer.label {
            Some(label) => usize::from(label),
            None if label == harca_core::model::manifest::UNKNOWN || expected != other => other,
            None => answer.scores.top().0,
        };
        evaluation.add(expected, predicted, answer.confidence, elapsed);
    }
}

/// What tells a set of labelled queries from another.
fn digest(rows: &[(String, String)]) -> String {
    let bytes: Vec<u8> =
        rows.iter().flat_map(|(query, label)| [query.as_bytes(), b"\0", label.as_bytes(), b"\0"].concat()).collect();
    format!("{:032x}", xxh3_128(&bytes))
}

fn whole(value: server_text::ServerText) -> String {
    server_text::to_utf8(value.prefix(1 << 20), 1 << 20).into_owned()
}

/// `harca.announce_deployment() → trigger`, after a change of `harca.deployment` or `harca.model`.
fn announce_deployment(call: &mut Call<'_>) -> Datum {
    call.require_trigger("harca.announce_deployment", "Call harca.activate_model, which changes the table.");
    registry::announce_change();
    Datum::null()
}
