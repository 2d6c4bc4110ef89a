//! Settings of the registry of models: what may be registered and activated, and what a model may cost.

use std::time::Duration;

use harca_core::watch::breaker::Limits;
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};

static MAX_MODEL_SIZE: GucSetting<i32> = GucSetting::<i32>::new(64 * 1024);
static MAX_ACCURACY_DROP: GucSetting<f64> = GucSetting::<f64>::new(0.01);
static MAX_LATENCY_RATIO: GucSetting<f64> = GucSetting::<f64>::new(10.0);
static MAX_LATENCY: GucSetting<f64> = GucSetting::<f64>::new(10.0);
static LATENCY_WINDOW: GucSetting<i32> = GucSetting::<i32>::new(10);
static RETRY_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(60);

/// Defines them.
pub(super) fn define() {
    GucRegistry::define_int_guc(
        c"pg_harca.max_model_size",
        c"Largest graph that can be registered.",
        c"Each session that uses a registered model reads it into its own memory.",
        &MAX_MODEL_SIZE,
        1,
        256 * 1024,
        GucContext::Suset,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_float_guc(
        c"pg_harca.max_accuracy_drop",
        c"Accuracy that a model may lose against the active one and still be activated.",
        c"From 0 to 1: 0.01 is one point in a hundred. Both must have been evaluated on the same queries.",
        &MAX_ACCURACY_DROP,
        0.0,
        1.0,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_float_guc(
        c"pg_harca.max_latency_ratio",
        c"How many times slower than the active one, by its p95, a model may be and still be activated.",
        c"It must keep pg_harca.max_latency as well.",
        &MAX_LATENCY_RATIO,
        1.0,
        1e6,
        GucContext::Suset,
        GucFlags::default(),
    );
    // One for the whole server, as all backends judge a model together.
    GucRegistry::define_float_guc(
        c"pg_harca.max_latency",
        c"Time that 95 of 100 runs of a model for a query have to keep.",
        c"A model that breaks it for pg_harca.latency_window is given up until it keeps it again. 0 is no bound.",
        &MAX_LATENCY,
        0.0,
        60_000.0,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"pg_harca.latency_window",
        c"How long pg_harca.max_latency has to be broken before the previous model answers.",
        c"A window with fewer than 20 runs is not judged.",
        &LATENCY_WINDOW,
        1,
        3600,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"pg_harca.retry_interval",
        c"How long a model that has failed or is too slow is left alone before it is tried again.",
        c"Meanwhile the previous model answers, or the rules.",
        &RETRY_INTERVAL,
        1,
        86_400,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
}

/// Largest graph that can be registered, in bytes.
pub fn max_model_bytes() -> u64 {
    1024 * u64::try_from(MAX_MODEL_SIZE.get()).unwrap_or(0)
}

/// What a model may cost.
pub fn limits() -> Limits {
    let latency = Duration::from_secs_f64(MAX_LATENCY.get().max(0.0) / 1000.0);
    Limits {
        latency: (!latency.is_zero()).then_some(latency),
        window: i64::from(LATENCY_WINDOW.get()) * 1_000_000,
        retry: retry_interval(),
    }
}

/// How long a model that has failed is left alone, in microseconds.
pub fn retry_interval() -> i64 {
    i64::from(RETRY_INTERVAL.get()) * 1_000_000
}
