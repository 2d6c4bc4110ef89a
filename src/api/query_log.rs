//! `harca.logged_queries`, `harca.forget_queries` and `harca.unlogged_queries`: the log of sampled queries of this database.
#![allow(unsafe_code)] // exported symbols

use std::io::{self, ErrorKind};

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self, Datum};
use pgrx::{PgLogLevel, PgSqlErrorCode};

use crate::backend::query_log;
use crate::bridge::function_call::{Call, sql_function};
use crate::bridge::value::Value;
use crate::{process, settings, shared_memory};

sql_function!(pg_finfo_harca_logged_queries, harca_logged_queries, logged_queries);
sql_function!(pg_finfo_harca_forget_queries, harca_forget_queries, forget_queries);
sql_function!(pg_finfo_harca_unlogged_queries, harca_unlogged_queries, unlogged_queries);

/// Rows between two looks at whether the statement was cancelled.
const BATCH: usize = 256;

/// `harca.logged_queries() → setof (logged_at timestamptz, query text, query_type text, confidence real, language text,
/// model text)`, oldest first.
fn logged_queries(call: &mut Call<'_>) -> Datum {
    let log = query_log::open();
    tidy(&log);
    let mut rows = call.rows();
    for day in or_report(log.days()) {
        let mut records = match log.read(day) {
            // Another session has removed it meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            records => or_report(records),
        };
        loop {
            let batch: Vec<_> = records.by_ref().take(BATCH).map(or_report).collect();
            if batch.is_empty() {
                break;
            }
            rows.batch(|rows| {
                for record in &batch {
                    rows.push([
                        Value::BigInt(query_log::timestamp(record.at)),
                        Value::Text(&record.query),
                        Value::Text(&record.label),
                        Value::Real(record.confidence),
                        Value::Text(&record.language),
                        Value::Text(&record.model),
                    ]);
                }
            });
        }
    }
    call.null()
}

/// `harca.forget_queries(before timestamptz) → bigint`: removes what was logged before a time, all of it with null.
fn forget_queries(call: &mut Call<'_>) -> Datum {
    let log = query_log::open();
    tidy(&log);
    let forgotten = or_report(log.forget(call.big_int(0).map(query_log::unix_micros)));
    call.value(forgotten.into())
}

/// `harca.unlogged_queries() → bigint`: sampled queries of all databases that found no room in their log.
fn unlogged_queries(call: &mut Call<'_>) -> Datum {
    let unlogged = shared_memory::attach().map(|shared| shared.unlogged());
    call.value(unlogged.into())
}

/// Whoever looks at the log removes what is too old, so that it goes without traffic as well.
fn tidy(log: &harca_core::watch::query_log::QueryLog) {
    or_report(log.expire(query_log::unix_micros(process::current_time()), settings::query_log_retention()));
    pg_sys::check_for_interrupts!();
}

fn or_report<T>(result: io::Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => {
            ErrorReport::new(PgSqlErrorCode::ERRCODE_IO_ERROR, "log of queries cannot be read or changed", "")
                .set_detail(format!("Folder \"pg_harca_queries\" of the data folder: {error}."))
                .set_hint("See that it belongs to the server and that the disk is not full.")
                .report(PgLogLevel::ERROR);
            unreachable!("an error report of this level does not return")
        }
    }
}
