//! `harca.cache_statistics`, `harca.hit_curve`, `harca.inference_statistics`, `harca.memory_statistics`, `harca.cache_reset`, `harca.stat_reset`.
#![allow(unsafe_code)] // exported symbols

use harca_core::watch::model_stats::ModelStats;
use pgrx::pg_sys::Datum;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};

use crate::bridge::function_call::{Call, sql_function};
use crate::bridge::value::Value;
use crate::shared_memory::{self, Event};
use crate::{backend, process, settings};

sql_function!(pg_finfo_harca_cache_statistics, harca_cache_statistics, cache_statistics);
sql_function!(pg_finfo_harca_hit_curve, harca_hit_curve, hit_curve);
sql_function!(pg_finfo_harca_inference_statistics, harca_inference_statistics, inference_statistics);
sql_function!(pg_finfo_harca_memory_statistics, harca_memory_statistics, memory_statistics);
sql_function!(pg_finfo_harca_cache_reset, harca_cache_reset, cache_reset);
sql_function!(pg_finfo_harca_stat_reset, harca_stat_reset, stat_reset);

/// `harca.cache_statistics() → setof record`: a row for the shared cache and one for that of embeddings, if there are
/// any, and one for this backend's.
fn cache_statistics(call: &mut Call<'_>) -> Datum {
    let mut rows = call.rows();
    if let Some(shared) = shared_memory::attach().filter(shared_memory::Shared::has_cache) {
        let cache = shared.cache();
        let counts = shared.counts();
        let event = |event: Event| Value::from(counts[event as usize]);
        rows.push([
            Value::Text("shared"),
            (cache.capacity() as u64).into(),
            (cache.len() as u64).into(),
            (shared.cache_bytes() as u64).into(),
            event(Event::Hit),
            event(Event::Miss),
            event(Event::Eviction),
            event(Event::Expiration),
            shared.restored().into(),
            Value::BigInt(shared.counted_since()),
        ]);
    }
    if let Some(shared) = shared_memory::attach().filter(|shared| shared.vectors_bytes() > 0) {
        let cache = shared.vectors();
        let [hits, misses, evictions] = shared.vector_counts();
        rows.push([
            Value::Text("embeddings"),
            (cache.capacity() as u64).into(),
            (cache.len() as u64).into(),
            (shared.vectors_bytes() as u64).into(),
            hits.into(),
            misses.into(),
            evictions.into(),
            Value::Null,
            Value::Null,
            Value::BigInt(shared.counted_since()),
        ]);
    }
    let local = backend::local_cache();
    rows.push([
        Value::Text("local"),
        (settings::local_cache_size() as u64).into(),
        (local.entries as u64).into(),
        (local.bytes as u64).into(),
        local.counters.hits.into(),
        local.counters.misses.into(),
        local.counters.evictions.into(),
        local.counters.expirations.into(),
        Value::Null,
        Value::Null,
    ]);
    call.null()
}

/// `harca.hit_curve() → setof record`: a row for each size, once enough look-ups have been sampled.
fn hit_curve(call: &mut Call<'_>) -> Datum {
    let mut rows = call.rows();
    if let Some(shared) = shared_memory::attach().filter(shared_memory::Shared::has_cache)
        && let Some(curve) = shared.hit_curve()
    {
        for size in shared.curve_sizes() {
            rows.push([size.into(), Value::Double(curve.hit_ratio(size)), curve.lookups.into(), curve.keys.into()]);
        }
    }
    call.null()
}

/// `harca.inference_statistics() → setof record`: a row per model that has run; times in microseconds.
fn inference_statistics(call: &mut Call<'_>) -> Datum {
    let mut rows = call.rows();
    let models = shared_memory::attach().map_or(&[][..], |shared| shared.models());
    for model in models.iter().filter_map(ModelStats::counts) {
        let micros = |nanoseconds: u64| Value::Double(nanoseconds as f64 / 1000.0);
        let quantile = |q| model.runs.quantile(q).map_or(Value::Null, micros);
        rows.push([
            Value::Text(&model.name),
            model.queries.into(),
            model.runs.count().into(),
            micros(model.runs.sum()),
            quantile(0.5),
            quantile(0.95),
            quantile(0.99),
            micros(model.runs.max()),
        ]);
    }
    call.null()
}

/// `harca.memory_statistics() → setof record`: three rows for shared memory, if there is any, and three for each process
/// that has told of its own; some of these may have ended.
fn memory_statistics(call: &mut Call<'_>) -> Datum {
    let mut rows = call.rows();
    let own = (std::process::id(), backend::memory());
    let shared = shared_memory::attach();
    if let Some(shared) = shared {
        rows.push([Value::Null, Value::Text("shared cache"), (shared.cache_bytes() as u64).into()]);
        rows.push([Value::Null, Value::Text("embedding cache"), (shared.vectors_bytes() as u64).into()]);
        rows.push([Value::Null, Value::Text("statistics"), (shared.statistics_bytes() as u64).into()]);
    }
    let others = shared.iter().flat_map(shared_memory::Shared::told).filter(|(pid, _)| *pid != own.0);
    for (pid, memory) in std::iter::once(own).chain(others) {
        for (part, bytes) in
            [("session", memory.session), ("buffers", memory.buffers), ("local cache", memory.local_cache)]
        {
            rows.push([pid.into(), Value::Text(part), bytes.into()]);
        }
    }
    call.null()
}

/// `harca.cache_reset() → bigint`.
fn cache_reset(call: &mut Call<'_>) -> Datum {
    let local = backend::reset_cache();
    let shared = shared_memory::attach().map_or(0, |shared| shared.cache().clear() + shared.vectors().clear());
    call.value(((local + shared) as u64).into())
}

/// `harca.stat_reset() → void`.
fn stat_reset(call: &mut Call<'_>) -> Datum {
    match shared_memory::attach() {
        Some(shared) => shared.reset_counts(process::current_time()),
        None => ErrorReport::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "there are no shared statistics to reset",
            "",
        )
        .set_detail("Each session counts for itself.")
        .set_hint("Add pg_harca to shared_preload_libraries and restart the server.")
        .report(PgLogLevel::ERROR),
    }
    call.null()
}
