//! A transaction of the worker: an error in it undoes it, and comes out as a text.
#![allow(unsafe_code)]

use std::panic::AssertUnwindSafe;

use pgrx::bgworkers::BackgroundWorker;
use pgrx::pg_sys::panic::{CaughtError, ErrorReport};
use pgrx::pg_sys::{self, Oid};
use pgrx::{PgLogLevel, PgSqlErrorCode, PgTryBuilder};

/// Runs `work` in a transaction of its own.
///
/// # Errors
/// The message and detail of what PostgreSQL or `work` has raised; then all of it is undone.
pub fn attempt<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    PgTryBuilder::new(AssertUnwindSafe(|| Ok(BackgroundWorker::transaction(AssertUnwindSafe(work)))))
        .catch_others(|error| {
            let (CaughtError::PostgresError(cause)
            | CaughtError::ErrorReport(cause)
            | CaughtError::RustPanic { ereport: cause, .. }) = error;
            // SAFETY: at the top of a worker, where nothing of the failed transaction is in use any more.
            unsafe {
                pg_sys::AbortCurrentTransaction();
            }
            Err(match cause.detail() {
                Some(detail) => format!("{} ({detail})", cause.message()),
                None => cause.message().to_owned(),
            })
        })
        .execute()
}

/// Runs `work` as another user, and such that what it runs can change nothing of the session, as a maintenance command of the
/// server runs functions of users (`miscadmin.h`). An error leaves that to the end of the transaction.
pub fn acting_as<R>(user: Oid, work: impl FnOnce() -> R) -> R {
    let (mut former, mut context) = (pg_sys::InvalidOid, 0);
    let restricted = (pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION) as i32;
    // SAFETY: inside a transaction, whose end by an error sets both back.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&mut former, &mut context);
        pg_sys::SetUserIdAndSecContext(user, context | restricted);
    }
    let result = work();
    // SAFETY: as above.
    unsafe { pg_sys::SetUserIdAndSecContext(former, context) };
    result
}

/// What a statement gives; its failure becomes an error of the transaction.
pub fn or_raise<R>(found: Result<R, pgrx::spi::Error>) -> R {
    found.unwrap_or_else(|error| {
        ErrorReport::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, "statement of the embedding worker failed", "")
            .set_detail(format!("{error}."))
            .report(PgLogLevel::ERROR);
        unreachable!("an error report of this level does not return")
    })
}
