//! Settings of what is counted and logged: statistics, drift, and the log of queries.

use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};

static TRACK_STATISTICS: GucSetting<bool> = GucSetting::<bool>::new(true);
static DRIFT_WINDOW: GucSetting<i32> = GucSetting::<i32>::new(10_000);
static QUERY_LOG_SAMPLE: GucSetting<f64> = GucSetting::<f64>::new(0.0);
static QUERY_LOG_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(7);
static QUERY_LOG_SIZE: GucSetting<i32> = GucSetting::<i32>::new(64);

/// Defines them.
pub(super) fn define() {
    GucRegistry::define_bool_guc(
        c"pg_harca.track_statistics",
        c"Counts hits of the shared cache, and the runs of a model and their times.",
        c"Misses are always counted: by them the server knows when to write the cache to its file.",
        &TRACK_STATISTICS,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_harca.drift_window",
        c"Answers of a window by which drift is seen.",
        c"The first window of a model is the reference, unless harca.set_drift_reference() has set one.",
        &DRIFT_WINDOW,
        500,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_float_guc(
        c"pg_harca.query_log_sample",
        c"Share of the queries that are logged with their text.",
        c"From 0, none, to 1, all.",
        &QUERY_LOG_SAMPLE,
        0.0,
        1.0,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_harca.query_log_retention",
        c"Days before today whose logged queries are kept.",
        c"0 keeps those of today alone.",
        &QUERY_LOG_RETENTION,
        0,
        3650,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_harca.query_log_size",
        c"Most that is logged in a day in each database.",
        c"What comes after is not logged, and counted.",
        &QUERY_LOG_SIZE,
        1,
        1024 * 1024,
        GucContext::Sighup,
        GucFlags::UNIT_MB,
    );
}

/// Whether what can be left uncounted is counted.
pub fn track_statistics() -> bool {
    TRACK_STATISTICS.get()
}

/// Answers of a window by which drift is seen.
pub fn drift_window() -> u64 {
    u64::try_from(DRIFT_WINDOW.get()).unwrap_or(10_000)
}

/// Share of the queries that are logged.
pub fn query_log_sample() -> f64 {
    QUERY_LOG_SAMPLE.get()
}

/// Days whose logged queries are kept beside today's.
pub fn query_log_retention() -> u32 {
    u32::try_from(QUERY_LOG_RETENTION.get()).unwrap_or(0)
}

/// Most bytes that are logged in a day in each database.
pub fn query_log_bytes() -> u64 {
    (1 << 20) * u64::try_from(QUERY_LOG_SIZE.get()).unwrap_or(0)
}
