//! The ONNX Runtime library of the engine.
//!
//! It may be newer than a backend accepts, and start threads of its own: the engine never forks.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use harca_core::error::{Error, Result};
use harca_core::model::session::library_version;
use ort::environment::Environment;
use ort::logging::LogLevel;

use super::one_line;

struct Runtime {
    environment: Environment,
    version: String,
}

static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);

/// The environment of the library at `path`, which is loaded at the first call and then stays what it is.
///
/// # Errors
/// [`Error::Runtime`] when there is no such library, or it is older than ort needs.
pub fn environment(path: &Path) -> Result<Environment> {
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = &*runtime {
        return Ok(runtime.environment.clone());
    }
    let fail = |reason: String| Error::Runtime { path: path.into(), reason: one_line(&reason) };
    let version = library_version(path)?;
    let environment = ort::init_from(path)
        .map_err(|e| fail(e.to_string()))?
        .with_name("pg_harca_engine")
        .with_telemetry(false)
        .build()
        .map_err(|e| fail(e.to_string()))?;
    environment.set_log_level(LogLevel::Fatal);
    *runtime = Some(Runtime { environment: environment.clone(), version });
    Ok(environment)
}

/// The version of the library, once it is loaded.
#[must_use]
pub fn version() -> Option<String> {
    RUNTIME.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|runtime| runtime.version.clone())
}
