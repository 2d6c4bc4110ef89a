//! `harca.advice_on`: the core's rules for `harca.advise`.
#![allow(unsafe_code)] // exported symbols

use harca_core::watch::advice::{self, Facts};
use pgrx::pg_sys::Datum;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};

use crate::bridge::function_call::{Call, sql_function};
use crate::bridge::server_text;
use crate::bridge::value::Value;

sql_function!(pg_finfo_harca_advice_on, harca_advice_on, advice_on);

/// `harca.advice_on(facts text) → setof record`, strict.
fn advice_on(call: &mut Call<'_>) -> Datum {
    let mut rows = call.rows();
    let document = call.varlena(0).map(|bytes| server_text::to_utf8(bytes, usize::MAX)).unwrap_or_default();
    let mut facts: Facts = match serde_json::from_str(&document) {
        Ok(facts) => facts,
        Err(error) => {
            ErrorReport::new(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                "facts are not such as harca.advise gathers",
                "",
            )
            .set_detail(error.to_string())
            .set_hint("Call harca.advise, which gathers them.")
            .report(PgLogLevel::ERROR);
            return call.null();
        }
    };
    if let Some(engine) = facts.engine.as_mut().filter(|engine| engine.processors == 0) {
        engine.processors = std::thread::available_parallelism().map_or(0, |number| number.get() as u64);
    }
    for one in advice::advise(&facts) {
        rows.push([
            Value::Text(one.severity.as_str()),
            Value::Text(one.rule),
            Value::Text(&one.subject),
            Value::Text(&one.finding),
            Value::Text(&one.why),
            Value::Text(&one.gain),
            Value::Text(&one.statement),
        ]);
    }
    call.null()
}
