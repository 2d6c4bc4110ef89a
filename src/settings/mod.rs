//! The settings of the extension, `pg_harca.*`, and typed getters for them.
#![allow(unsafe_code)]

mod models;

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use pgrx::{PostgresGucEnum, pg_guard, pg_sys};

use crate::process;

pub use models::*;

/// The value of `pg_harca.model` that leaves the choice to the registry of the database.
pub const ACTIVE_MODEL: &str = "active";

/// The value of `pg_harca.model` that names the model inside the library.
pub const BUILTIN_MODEL: &str = "builtin";

/// The most that `pg_harca.cache_size` takes: 690 MB.
pub const MAX_CACHE_SIZE: i32 = 10_000_000;

/// Values of `pg_harca.executor`: what runs the graph of a model.
#[derive(Clone, Copy, PartialEq, Eq, PostgresGucEnum)]
pub enum Executor {
    /// This extension's own code where it can, else ONNX Runtime.
    #[name = c"auto"]
    Auto,
    /// ONNX Runtime, always.
    #[name = c"onnxruntime"]
    OnnxRuntime,
}

static ENABLED: GucSetting<bool> = GucSetting::<bool>::new(true);
static MODEL: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c"active"));
static EXECUTOR: GucSetting<Executor> = GucSetting::<Executor>::new(Executor::Auto);
static ONNXRUNTIME_PATH: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));
static LOCAL_CACHE_SIZE: GucSetting<i32> = GucSetting::<i32>::new(1000);
static FEATURE_CACHE_SIZE: GucSetting<i32> = GucSetting::<i32>::new(0);
static CACHE_TTL: GucSetting<i32> = GucSetting::<i32>::new(3600);
static TRACK_STATISTICS: GucSetting<bool> = GucSetting::<bool>::new(true);
static PRELOAD_SESSION: GucSetting<bool> = GucSetting::<bool>::new(true);
static CACHE_SIZE: GucSetting<i32> = GucSetting::<i32>::new(10_000);
static CACHE_DUMP_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(300);
static BATCH_SIZE: GucSetting<i32> = GucSetting::<i32>::new(0);
static MAX_QUERY_CHARS: GucSetting<i32> = GucSetting::<i32>::new(1024);
static MIN_CONFIDENCE: GucSetting<f64> = GucSetting::<f64>::new(0.0);

/// Counts assignments of the settings that choose a model, so that a backend sees a change without comparing strings
/// at every call.
static MODEL_SETTINGS: AtomicU64 = AtomicU64::new(0);

/// Defines every setting and reserves the prefix, so that a misspelt name is an error.
pub fn define() {
    // The server refuses a setting that needs a restart from a library that came after the start.
    let at_start = || if process::preloading() { GucContext::Postmaster } else { GucContext::Sighup };
    GucRegistry::define_bool_guc(
        c"pg_harca.enabled",
        c"Classifies queries with the model.",
        c"When off, the rules answer and no model is loaded.",
        &ENABLED,
        GucContext::Userset,
        GucFlags::default(),
    );
    // Superuser: both name files that the server process reads, and the second is code that it runs.
    // SAFETY: the hook cannot panic and is guarded all the same.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            c"pg_harca.model",
            c"Model that classifies queries.",
            c"\"active\" is what harca.activate_model has activated in the database, else the built-in one. Or \"builtin\", the name of a folder among the installed models, or the absolute path of a model folder.",
            &MODEL,
            GucContext::Suset,
            GucFlags::default(),
            None,
            Some(model_setting_assigned),
            None,
        );
        GucRegistry::define_enum_guc_with_hooks(
            c"pg_harca.executor",
            c"What runs the graph of a model.",
            c"\"auto\" takes the extension's own code for networks that harca_train has made, and ONNX Runtime for all else; \"onnxruntime\" always takes that.",
            &EXECUTOR,
            GucContext::Suset,
            GucFlags::default(),
            None,
            Some(executor_assigned),
            None,
        );
        GucRegistry::define_string_guc_with_hooks(
            c"pg_harca.onnxruntime_path",
            c"ONNX Runtime library file.",
            c"Empty uses the one that was installed with the extension. A backend loads it once.",
            &ONNXRUNTIME_PATH,
            GucContext::Suset,
            GucFlags::default(),
            None,
            Some(model_setting_assigned),
            None,
        );
    }
    GucRegistry::define_bool_guc(
        c"pg_harca.preload_session",
        c"Builds the session once in the postmaster, for all backends.",
        c"Counts at server start, when pg_harca is in shared_preload_libraries. When off, each backend builds its own.",
        &PRELOAD_SESSION,
        at_start(),
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_harca.cache_size",
        c"Answers that all backends keep together.",
        c"About 70 bytes each of shared memory, reserved at server start when pg_harca is in shared_preload_libraries; \
          else, on PostgreSQL 17 and later, when the first backend needs it. 0 keeps none.",
        &CACHE_SIZE,
        0,
        MAX_CACHE_SIZE,
        at_start(),
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_harca.cache_dump_interval",
        c"How often the shared cache is written to its file.",
        c"It is also written when the server stops, and read when it starts. 0 is only then. It needs \
          shared_preload_libraries.",
        &CACHE_DUMP_INTERVAL,
        0,
        86_400,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"pg_harca.local_cache_size",
        c"Answers that each backend keeps where there is no shared cache.",
        c"About 200 bytes each, taken as they come. 0 keeps none.",
        &LOCAL_CACHE_SIZE,
        0,
        1_000_000,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_harca.feature_cache_size",
        c"Queries that each backend keeps in encoded form, for models that share an encoder.",
        c"1 to 3 kB each. 0 keeps none. Worth it for a session that goes back and forth between models.",
        &FEATURE_CACHE_SIZE,
        0,
        100_000,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"pg_harca.track_statistics",
        c"Counts hits of the shared cache, and the runs of a model and their times.",
        c"Misses are always counted: by them the server knows when to write the cache to its file.",
        &TRACK_STATISTICS,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_harca.cache_ttl",
        c"How long a kept answer may be given again.",
        c"0 is for as long as the backend lives.",
        &CACHE_TTL,
        0,
        i32::MAX,
        GucContext::Userset,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"pg_harca.batch_size",
        c"Most queries in one run of the model by classify_queries.",
        c"0 finds out what is best for their lengths on this machine. A statement is cancelled between two runs.",
        &BATCH_SIZE,
        0,
        1024,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_harca.max_query_chars",
        c"Characters of a query that are read.",
        c"What follows does not change the answer, and costs nothing.",
        &MAX_QUERY_CHARS,
        16,
        8192,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_float_guc(
        c"pg_harca.min_confidence",
        c"Confidence below which the type of a query is \"unknown\".",
        c"Confidence and scores stay as they are. It holds for the rules too, which are never surer than 0.7.",
        &MIN_CONFIDENCE,
        0.0,
        1.0,
        GucContext::Userset,
        GucFlags::default(),
    );
    models::define();
    // SAFETY: called once per process, from _PG_init, after the last definition.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"pg_harca".as_ptr()) };
}

#[pg_guard]
unsafe extern "C-unwind" fn model_setting_assigned(_value: *const c_char, _extra: *mut c_void) {
    MODEL_SETTINGS.fetch_add(1, Ordering::Relaxed);
}

#[pg_guard]
unsafe extern "C-unwind" fn executor_assigned(_value: c_int, _extra: *mut c_void) {
    MODEL_SETTINGS.fetch_add(1, Ordering::Relaxed);
}

/// Whether the model may be used at all.
pub fn enabled() -> bool {
    ENABLED.get()
}

/// `pg_harca.model` as it was set.
pub fn model() -> String {
    string(&MODEL).unwrap_or_else(|| ACTIVE_MODEL.into())
}

/// `pg_harca.executor`.
pub fn executor() -> Executor {
    EXECUTOR.get()
}

/// `pg_harca.onnxruntime_path`, or nothing when the installed library is to be used.
pub fn onnxruntime_path() -> Option<String> {
    string(&ONNXRUNTIME_PATH)
}

/// Grows whenever a setting that chooses a model or a runtime is assigned.
pub fn model_settings_version() -> u64 {
    MODEL_SETTINGS.load(Ordering::Relaxed)
}

/// Entries of the backend's cache.
pub fn local_cache_size() -> usize {
    usize::try_from(LOCAL_CACHE_SIZE.get()).unwrap_or(0)
}

/// Whether what can be left uncounted is counted.
pub fn track_statistics() -> bool {
    TRACK_STATISTICS.get()
}

/// Encoded queries that a backend keeps.
pub fn feature_cache_size() -> usize {
    usize::try_from(FEATURE_CACHE_SIZE.get()).unwrap_or(0)
}

/// Time to live of a cache entry in microseconds; 0 is for ever.
pub fn cache_ttl_micros() -> i64 {
    i64::from(CACHE_TTL.get()) * 1_000_000
}

/// Entries of the shared cache.
pub fn cache_size() -> usize {
    usize::try_from(CACHE_SIZE.get()).unwrap_or(0)
}

/// Time between two dumps of the shared cache; none when it is written at shutdown only.
pub fn cache_dump_interval() -> Option<Duration> {
    let seconds = u64::try_from(CACHE_DUMP_INTERVAL.get()).unwrap_or(0);
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// Whether the postmaster builds the session for all backends.
pub fn preload_session() -> bool {
    PRELOAD_SESSION.get()
}

/// Most queries in one run of the model; 0 is as many as are best.
pub fn batch_size() -> usize {
    usize::try_from(BATCH_SIZE.get()).unwrap_or(0)
}

/// Characters of a query that are read.
pub fn max_query_chars() -> usize {
    usize::try_from(MAX_QUERY_CHARS.get()).unwrap_or(1024)
}

/// Confidence that an answer needs to keep its type, in the precision of confidences.
pub fn min_confidence() -> f32 {
    MIN_CONFIDENCE.get() as f32
}

fn string(setting: &GucSetting<Option<CString>>) -> Option<String> {
    setting.get().as_deref().map(CStr::to_string_lossy).filter(|s| !s.is_empty()).map(|s| s.into_owned())
}
