//! Settings of classification: which model answers, what runs it, and how much of a query it reads.
#![allow(unsafe_code)] // assign hooks

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering};

use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use pgrx::{PostgresGucEnum, pg_guard};

use super::at_start;

/// The value of `pg_harca.model` that leaves the choice to the registry of the database.
pub const ACTIVE_MODEL: &str = "active";

/// The value of `pg_harca.model` that names the model inside the library.
pub const BUILTIN_MODEL: &str = "builtin";

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
static PRELOAD_SESSION: GucSetting<bool> = GucSetting::<bool>::new(true);
static BATCH_SIZE: GucSetting<i32> = GucSetting::<i32>::new(0);
static MAX_QUERY_CHARS: GucSetting<i32> = GucSetting::<i32>::new(1024);
static MIN_CONFIDENCE: GucSetting<f64> = GucSetting::<f64>::new(0.0);

/// Counts assignments of the settings that choose a model, so that a backend sees a change without comparing strings
/// at every call.
static MODEL_SETTINGS: AtomicU64 = AtomicU64::new(0);

/// Defines them.
pub(super) fn define() {
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
