//! Errors of the core as PostgreSQL reports them: one SQLSTATE, a lower-case message, the fact, and what to do. And all
//! errors in the server's encoding.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::panic::AssertUnwindSafe;

use harca_core::error::Error;
use pgrx::pg_sys::panic::{CaughtError, ErrorReport, ErrorReportWithLevel};
use pgrx::pg_sys::{self, Datum};
use pgrx::{PgSqlErrorCode, PgTryBuilder};

use super::server_text;

thread_local! {
    /// An error on its way to [`raise_kept`].
    static KEPT: Cell<Option<Box<ErrorReportWithLevel>>> = const { Cell::new(None) };
}

/// Runs a function. Where the server's text is not UTF-8, an error is kept for [`raise_kept`], which its caller must call:
/// pgrx hands messages on as the bytes of a Rust string, which are no text of such a server.
pub fn keeping(work: impl FnOnce() -> Datum) -> Datum {
    if server_text::server_is_utf8() {
        return work();
    }
    PgTryBuilder::new(AssertUnwindSafe(work))
        .catch_others(|error| {
            let (CaughtError::PostgresError(cause)
            | CaughtError::ErrorReport(cause)
            | CaughtError::RustPanic { ereport: cause, .. }) = error;
            KEPT.set(Some(Box::new(cause)));
            Datum::null()
        })
        .execute()
}

/// Raises the error that was kept, if one was, in the server's encoding.
///
/// # Safety
/// It does not return then, and unwinds nothing: no caller up to PostgreSQL may have anything to drop.
pub unsafe fn raise_kept() {
    // As of `elog.c`; without the guard of pgrx, which would turn it into a Rust string again.
    unsafe extern "C-unwind" {
        fn ThrowErrorData(error: *mut pg_sys::ErrorData);
    }
    if let Some(cause) = KEPT.take() {
        let string = |text: Option<&str>| match text {
            // SAFETY: a text that was made a moment ago, as a string in memory of the server's.
            Some(text) => unsafe { pg_sys::text_to_cstring(server_text::from_utf8(text).cast_mut_ptr()) },
            None => std::ptr::null_mut(),
        };
        let mut error = pg_sys::ErrorData {
            elevel: pg_sys::elog::PgLogLevel::ERROR as i32,
            sqlerrcode: cause.sql_error_code() as i32,
            message: string(Some(cause.message())),
            detail: string(cause.detail()),
            hint: string(cause.hint()),
            ..Default::default()
        };
        drop(cause);
        // SAFETY: a whole error, which is copied; nothing here is left to drop.
        unsafe { ThrowErrorData(&raw mut error) };
    }
}

/// What PostgreSQL is to report for `error`.
pub fn report(error: &Error) -> ErrorReport {
    let (code, message, hint) = match error {
        Error::Manifest(_) => (
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "model manifest is invalid",
            "Export the model again, or set pg_harca.model to another one.",
        ),
        Error::ModelFile { .. } => (
            PgSqlErrorCode::ERRCODE_UNDEFINED_FILE,
            "model cannot be read",
            "Set pg_harca.model to \"builtin\" or to a folder that holds manifest.json and the file it names, readable \
             by the server.",
        ),
        Error::ModelShape(_) => (
            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            "model does not fit its manifest",
            "Export the model and its manifest together, or set pg_harca.model to another one.",
        ),
        Error::Refused(_) => (
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            "model is refused",
            "Export it as one file of standard ONNX operators, without loops, and not larger than pg_harca.max_model_size.",
        ),
        Error::Latency { .. } => (
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "model is too slow",
            "The previous model answers until it is fast again. See harca.health(), and pg_harca.max_latency for the bound.",
        ),
        Error::Runtime { .. } => (
            PgSqlErrorCode::ERRCODE_UNDEFINED_FILE,
            "ONNX Runtime cannot be loaded",
            "Run \"make install\" for this server, or set pg_harca.onnxruntime_path to a complete library file.",
        ),
        Error::RuntimeUnsupported { .. } => (
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            "ONNX Runtime version is not supported",
            "Run \"make install\" for this server, or set pg_harca.onnxruntime_path to a supported version; then \
             reconnect.",
        ),
        Error::Engine(_) => (
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "engine does not answer",
            "See harca.health() for how it is, and pg_harca.engine for whether there is to be one.",
        ),
        Error::Busy(_) => (
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
            "engine is busy",
            "Ask again later, with fewer texts at once, or raise pg_harca.engine_queue.",
        ),
        Error::Protocol(_) => (
            PgSqlErrorCode::ERRCODE_PROTOCOL_VIOLATION,
            "engine does not speak as this library does",
            "Install library and engine together with \"make install\", then restart the server.",
        ),
        _ => (
            PgSqlErrorCode::ERRCODE_EXTERNAL_ROUTINE_EXCEPTION,
            "model cannot be run",
            "Set pg_harca.model to another model, or pg_harca.enabled to off.",
        ),
    };
    ErrorReport::new(code, message, "").set_detail(format!("{error}.")).set_hint(hint)
}
