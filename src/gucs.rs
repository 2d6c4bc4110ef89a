//! The settings of the extension, `pg_harca.*`, and typed getters for them.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::atomic::{AtomicU64, Ordering};

use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use pgrx::{pg_guard, pg_sys};

/// The value of `pg_harca.model` that names the model inside the library.
pub const BUILTIN_MODEL: &str = "builtin";

static ENABLED: GucSetting<bool> = GucSetting::<bool>::new(true);
static MODEL: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c"builtin"));
static ONNXRUNTIME_PATH: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));
static LOCAL_CACHE_SIZE: GucSetting<i32> = GucSetting::<i32>::new(1000);
static CACHE_TTL: GucSetting<i32> = GucSetting::<i32>::new(3600);
static MAX_QUERY_CHARS: GucSetting<i32> = GucSetting::<i32>::new(1024);
static MIN_CONFIDENCE: GucSetting<f64> = GucSetting::<f64>::new(0.0);

/// Counts assignments of the settings that choose a model, so that a backend sees a change without comparing strings
/// at every call.
static MODEL_SETTINGS: AtomicU64 = AtomicU64::new(0);

/// Defines every setting and reserves the prefix, so that a misspelt name is an error.
pub fn define() {
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
            c"\"builtin\", the name of a folder among the installed models, or the absolute path of a model folder.",
            &MODEL,
            GucContext::Suset,
            GucFlags::default(),
            None,
            Some(model_setting_assigned),
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
    GucRegistry::define_int_guc(
        c"pg_harca.local_cache_size",
        c"Answers that each backend keeps.",
        c"About 200 bytes each, taken as they come. 0 keeps none.",
        &LOCAL_CACHE_SIZE,
        0,
        1_000_000,
        GucContext::Userset,
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
    // SAFETY: called once per process, from _PG_init, after the last definition.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"pg_harca".as_ptr()) };
}

#[pg_guard]
unsafe extern "C-unwind" fn model_setting_assigned(_value: *const c_char, _extra: *mut c_void) {
    MODEL_SETTINGS.fetch_add(1, Ordering::Relaxed);
}

/// Whether the model may be used at all.
pub fn enabled() -> bool {
    ENABLED.get()
}

/// `pg_harca.model` as it was set.
pub fn model() -> String {
    string(&MODEL).unwrap_or_else(|| BUILTIN_MODEL.into())
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

/// Time to live of a cache entry in microseconds; 0 is for ever.
pub fn cache_ttl_micros() -> i64 {
    i64::from(CACHE_TTL.get()) * 1_000_000
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
