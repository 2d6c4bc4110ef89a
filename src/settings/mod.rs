//! The settings of the extension, `pg_harca.*`, and typed getters for them.
//!
//! A setting is declared in the file of its subject: one static, one sentence and what it costs, its range and unit, and the
//! tightest context in which it can count. A getter gives its value in the unit that the code works with; nobody else reads
//! the static.
//! Uses: [`process`](crate::process). Used by: every room above.
#![allow(unsafe_code)]

mod cache;
mod classification;
mod engine;
mod models;
mod watch;

use pgrx::guc::GucContext;
use pgrx::pg_sys;

use crate::process;

pub use cache::{
    MAX_CACHE_SIZE, cache_dump_interval, cache_size, cache_ttl_micros, embedding_cache_bytes, feature_cache_size,
    local_cache_size,
};
pub use classification::{
    ACTIVE_MODEL, BUILTIN_MODEL, Executor, batch_size, enabled, executor, max_query_chars, min_confidence, model,
    model_settings_version, onnxruntime_path, preload_session,
};
pub use engine::{
    Placement, engine, engine_memory, engine_onnxruntime_path, engine_providers, engine_queue, engine_strategy,
    engine_threads, engine_timeout, engine_wait, max_engine_model_bytes, placement,
};
pub use models::{limits, max_model_bytes, retry_interval};
pub use watch::{drift_window, query_log_bytes, query_log_retention, query_log_sample, track_statistics};

/// Defines every setting and reserves the prefix, so that a misspelt name is an error.
pub fn define() {
    classification::define();
    cache::define();
    models::define();
    engine::define();
    watch::define();
    // SAFETY: called once per process, from _PG_init, after the last definition.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"pg_harca".as_ptr()) };
}

/// The context of a setting that needs a restart: the server refuses one from a library that came after the start.
fn at_start() -> GucContext {
    if process::preloading() { GucContext::Postmaster } else { GucContext::Sighup }
}
