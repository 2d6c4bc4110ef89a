//! Functions that older SQL of the extension names, and this library has no more.
//!
//! Their symbols stay: the server looks them up when it creates a function, and would refuse the SQL of 0.1.0 in a dump, in
//! `pg_upgrade` and in `CREATE EXTENSION … VERSION`. Whoever calls one learns how to go on.
#![allow(unsafe_code)] // exported symbols

use pgrx::pg_sys::Datum;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};

use crate::bridge::function_call::{Call, sql_function};

// Of 0.1.0, whose searches were made of them.
sql_function!(pg_finfo_harca_candidate_units, harca_candidate_units, refuse);
sql_function!(pg_finfo_harca_mean_weight, harca_mean_weight, refuse);
sql_function!(pg_finfo_harca_weight_curve, harca_weight_curve, refuse);

/// Raises an error, whatever the arguments.
fn refuse(call: &mut Call<'_>) -> Datum {
    let code = PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
    ErrorReport::new(code, "the SQL of pg_harca in this database is older than its library", "")
        .set_detail(concat!("The library is of version ", env!("CARGO_PKG_VERSION"), "."))
        .set_hint("Run ALTER EXTENSION pg_harca UPDATE in this database.")
        .report(PgLogLevel::ERROR);
    call.null()
}
