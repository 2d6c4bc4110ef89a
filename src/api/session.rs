//! `harca.backend_status`, `harca.load_model`, `harca.prewarm`, `harca.labels`, `harca.reset_local_cache`.
#![allow(unsafe_code)] // exported symbols

use pgrx::pg_sys::Datum;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};

use crate::bridge::error_report;
use crate::bridge::function_call::{Call, sql_function};
use crate::bridge::value::Value;
use crate::{backend, settings};

sql_function!(pg_finfo_harca_backend_status, harca_backend_status, backend_status);
sql_function!(pg_finfo_harca_load_model, harca_load_model, load_model);
sql_function!(pg_finfo_harca_prewarm, harca_prewarm, prewarm);
sql_function!(pg_finfo_harca_labels, harca_labels, labels);
sql_function!(pg_finfo_harca_reset_local_cache, harca_reset_local_cache, reset_local_cache);

/// `harca.backend_status() → record`.
fn backend_status(call: &mut Call<'_>) -> Datum {
    let status = backend::status();
    call.composite([
        Value::Text(status.state),
        status.model.map_or(Value::Null, |name| Value::Datum(name.datum())),
        status.sha256.as_deref().into(),
        status.failure.as_deref().into(),
        status.runtime_version.into(),
        Value::Text(&status.runtime_path),
        status.threads.and_then(|n| u32::try_from(n).ok()).into(),
        status.inferences.into(),
        status.rule_answers.into(),
        (status.cache_entries as u64).into(),
        status.cache.hits.into(),
        status.cache.misses.into(),
        status.cache.evictions.into(),
        status.cache.expirations.into(),
    ])
}

/// `harca.load_model() → text`: unlike a classification, an error when there is no model.
fn load_model(call: &mut Call<'_>) -> Datum {
    if !settings::enabled() {
        ErrorReport::new(PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "model is switched off", "")
            .set_detail("pg_harca.enabled is off: the rules answer.")
            .set_hint("Set pg_harca.enabled to on.")
            .report(PgLogLevel::ERROR);
    }
    match backend::load() {
        Ok(name) => call.value(Value::Datum(name.datum())),
        Err(failure) => {
            error_report::report(&failure).report(PgLogLevel::ERROR);
            call.null()
        }
    }
}

/// `harca.prewarm() → text`.
fn prewarm(call: &mut Call<'_>) -> Datum {
    call.value(Value::Datum(backend::prewarm().datum()))
}

/// `harca.labels() → setof (ordinality integer, label text)`: what the scores stand for now.
fn labels(call: &mut Call<'_>) -> Datum {
    let mut rows = call.rows();
    for (label, ordinality) in backend::labels().iter().zip(1..) {
        rows.push([Value::Int(ordinality), Value::Datum(label.datum())]);
    }
    call.null()
}

/// `harca.reset_local_cache() → void`.
fn reset_local_cache(call: &mut Call<'_>) -> Datum {
    backend::reset_cache();
    call.null()
}
