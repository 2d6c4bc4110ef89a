//! Settings of the caches: of answers, shared and local, and of encoded queries.

use std::time::Duration;

use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};

use super::at_start;

/// The most that `pg_harca.cache_size` takes: 690 MB.
pub const MAX_CACHE_SIZE: i32 = 10_000_000;

static CACHE_SIZE: GucSetting<i32> = GucSetting::<i32>::new(10_000);
static EMBEDDING_CACHE_SIZE: GucSetting<i32> = GucSetting::<i32>::new(4096);
static CACHE_DUMP_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(300);
static LOCAL_CACHE_SIZE: GucSetting<i32> = GucSetting::<i32>::new(1000);
static FEATURE_CACHE_SIZE: GucSetting<i32> = GucSetting::<i32>::new(0);
static CACHE_TTL: GucSetting<i32> = GucSetting::<i32>::new(3600);

/// Defines them.
pub(super) fn define() {
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
        c"pg_harca.embedding_cache_size",
        c"Shared memory for the embeddings of queries.",
        c"Reserved as that of pg_harca.cache_size. A vector of 384 dimensions takes 1.7 kB. 0 keeps none.",
        &EMBEDDING_CACHE_SIZE,
        0,
        1024 * 1024,
        at_start(),
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_int_guc(
        c"pg_harca.cache_dump_interval",
        c"How often the shared cache, and what searches have told of their tables, are written to their files.",
        c"They are also written when the server stops, and read when it starts. 0 is only then. It needs \
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
}

/// Entries of the shared cache.
pub fn cache_size() -> usize {
    usize::try_from(CACHE_SIZE.get()).unwrap_or(0)
}

/// Bytes of the cache of embeddings.
pub fn embedding_cache_bytes() -> usize {
    usize::try_from(EMBEDDING_CACHE_SIZE.get()).unwrap_or(0) << 10
}

/// Time between two dumps of the shared cache; none when it is written at shutdown only.
pub fn cache_dump_interval() -> Option<Duration> {
    let seconds = u64::try_from(CACHE_DUMP_INTERVAL.get()).unwrap_or(0);
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// Entries of the backend's cache.
pub fn local_cache_size() -> usize {
    usize::try_from(LOCAL_CACHE_SIZE.get()).unwrap_or(0)
}

/// Encoded queries that a backend keeps.
pub fn feature_cache_size() -> usize {
    usize::try_from(FEATURE_CACHE_SIZE.get()).unwrap_or(0)
}

/// Time to live of a cache entry in microseconds; 0 is for ever.
pub fn cache_ttl_micros() -> i64 {
    i64::from(CACHE_TTL.get()) * 1_000_000
}
