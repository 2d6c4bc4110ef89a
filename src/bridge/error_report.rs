//! Errors of the core as PostgreSQL reports them: one SQLSTATE, a lower-case message, the fact, and what to do.

use harca_core::error::Error;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::panic::ErrorReport;

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
        _ => (
            PgSqlErrorCode::ERRCODE_EXTERNAL_ROUTINE_EXCEPTION,
            "model cannot be run",
            "Set pg_harca.model to another model, or pg_harca.enabled to off.",
        ),
    };
    ErrorReport::new(code, message, "").set_detail(format!("{error}.")).set_hint(hint)
}
