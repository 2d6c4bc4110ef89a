//! `harca.fit_weights`: the core's tuning for `harca.tune_search`.
#![allow(unsafe_code)] // exported symbols

use harca_core::search::tuning::{self, Judged, Setting};
use pgrx::pg_sys::Datum;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};

use crate::bridge::function_call::{Call, sql_function};
use crate::bridge::value::Value;

sql_function!(pg_finfo_harca_fit_weights, harca_fit_weights, fit_weights);

/// `harca.fit_weights(exactness double precision[], k1_places integer[], b_places integer[], curves double precision[],
/// present integer, INOUT vector_weight double precision, INOUT exact_term_weight double precision, OUT setting integer,
/// OUT validated double precision)`.
fn fit_weights(call: &mut Call<'_>) -> Datum {
    let places = |n| -> Vec<usize> { call.integers(n).into_iter().map(|n| usize::try_from(n).unwrap_or(0)).collect() };
    let place = |n| (call.double(n).unwrap_or(0.5).clamp(0.0, 1.0) * (tuning::WEIGHTS - 1) as f64).round() as usize;
    let judged = Judged {
        exactness: call.doubles(0),
        parameters: places(1).into_iter().zip(places(2)).collect(),
        curves: call.doubles(3),
    };
    let present = Setting {
        parameters: call.int(4).and_then(|n| usize::try_from(n - 1).ok()).unwrap_or(usize::MAX),
        weight: place(5),
        exact: place(6),
    };
    let Some(tuned) = judged.tune(present) else {
        ErrorReport::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, "judgements do not fit together", "")
            .set_detail(format!(
                "There are {} values for {} queries and {} parameters.",
                judged.curves.len(),
                judged.exactness.len(),
                judged.parameters.len()
            ))
            .set_hint("Call harca.tune_search, which gathers them.")
            .report(PgLogLevel::ERROR);
        return call.null();
    };
    call.composite([
        Value::Double(tuning::weight(tuned.setting.weight)),
        Value::Double(tuning::weight(tuned.setting.exact)),
        Value::Int(i32::try_from(tuned.setting.parameters).map_or(i32::MAX, |n| n + 1)),
        Value::Double(tuned.validated),
    ])
}
