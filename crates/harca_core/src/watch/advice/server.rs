//! The library, the shared cache, and the memory of a statement.

use super::facts::{Cache, Server, Target};
use super::{Advice, Severity, bytes, micros, round_up};

pub(super) const PRELOAD: &str = "preload";
pub(super) const SHARED_CACHE: &str = "shared cache";
pub(super) const WORK_MEM: &str = "work_mem";

/// The release from which a library that is not preloaded has shared memory all the same.
const SHARED_WITHOUT_PRELOAD: u32 = 17;

/// Bytes of an answer in the shared cache.
const ANSWER_BYTES: u64 = 70;
/// The largest `pg_harca.cache_size`.
const MOST_ANSWERS: u64 = 10_000_000;
/// The share of all look-ups that a larger cache has to answer in addition.
const WORTH: f64 = 0.05;
/// The same, from which it is more than a notice.
const WORTH_MUCH: f64 = 0.2;

/// Bytes that a bitmap of rows takes for a page of the table: an entry of PostgreSQL's `tidbitmap.c` and two pointers.
const BITMAP_PAGE_BYTES: u64 = 64;
/// Rows that a pass of the keyword leg reads at most: the default of `max_matches`.
const PASS_ROWS: u64 = 20_000;

/// The library is not preloaded.
pub(super) fn preload(server: &Server, advice: &mut Vec<Advice>) {
    let Some(setting) = &server.preloaded else { return };
    let unquoted = |name: &str| name.trim().trim_matches('"').to_owned();
    let libraries: Vec<String> = setting.split(',').map(unquoted).filter(|name| !name.is_empty()).collect();
    if libraries.iter().any(|name| name.rsplit('/').next() == Some("pg_harca")) {
        return;
    }
    let others: String = libraries.iter().map(|name| format!(", '{}'", name.replace('\'', "''"))).collect();
    let cache = match server.version {
        ..SHARED_WITHOUT_PRELOAD => "keeps a cache, counts and judges models for itself",
        _ => "the shared cache begins empty after a restart",
    };
    advice.push(Advice {
        severity: Severity::Warning,
        rule: PRELOAD,
        subject: "shared_preload_libraries".into(),
        finding: format!(
            "it is \"{setting}\", without pg_harca; {} of the present sessions have loaded a model for themselves, {} in all",
            server.sessions,
            bytes(server.session_bytes)
        ),
        why: format!("each session builds the session of the model at its first query, and {cache}"),
        gain: format!("{} now, and the first query of a session costs no more than the others", bytes(server.session_bytes)),
        statement: format!("ALTER SYSTEM SET shared_preload_libraries = 'pg_harca'{others} -- then restart the server"),
    });
}

/// The shared cache is too small for what is asked.
pub(super) fn shared_cache(cache: &Cache, advice: &mut Vec<Advice>) {
    let Some((_, now)) = cache.curve.iter().find(|(size, _)| *size >= cache.capacity) else { return };
    if cache.evictions == 0 {
        return;
    }
    let best = cache.curve.iter().map(|(_, ratio)| *ratio).fold(*now, f64::max);
    // The smallest that has nearly all that is to be had.
    let enough = now + 0.9 * (best - now);
    let Some((size, ratio)) = cache.curve.iter().find(|(_, ratio)| *ratio >= enough) else { return };
    let gain = ratio - now;
    let wanted = round_up(*size as f64).min(MOST_ANSWERS);
    if gain < WORTH || wanted <= cache.capacity {
        return;
    }
    let lookups = cache.hits + cache.misses;
    let saved = gain * lookups as f64;
    let time = cache.run_us.map_or_else(String::new, |run| format!(" of {} each", micros(run)));
    advice.push(Advice {
        severity: if gain >= WORTH_MUCH { Severity::Warning } else { Severity::Notice },
        rule: SHARED_CACHE,
        subject: "pg_harca.cache_size".into(),
        finding: format!(
            "it has room for {} answers and has put out {}; {:.1} % of {lookups} look-ups were hits",
            cache.capacity,
            cache.evictions,
            100.0 * cache.hits as f64 / (lookups as f64).max(1.0)
        ),
        why: format!(
            "queries come again after more others than there is room for: by the reuse distances of {} sampled look-ups a \
             cache of {} has {:.1} % of hits, one of {wanted} {:.1} %",
            cache.sampled,
            cache.capacity,
            100.0 * now,
            100.0 * ratio
        ),
        gain: format!(
            "{:.1} % of the look-ups, {saved:.0} runs of the model{time} since the counts began, for {} more of shared memory",
            100.0 * gain,
            bytes((wanted - cache.capacity) * ANSWER_BYTES)
        ),
        statement: format!("ALTER SYSTEM SET pg_harca.cache_size = {wanted} -- then restart the server"),
    });
}

/// The bitmap of a keyword leg has no room.
pub(super) fn work_mem(server: &Server, targets: &[Target], advice: &mut Vec<Advice>) {
    let reads_bitmap = |target: &&Target| {
        target.tsvector.indexes.iter().any(|index| index.method == "gin" && index.valid && index.whole)
    };
    let Some(largest) = targets.iter().filter(reads_bitmap).max_by_key(|target| target.pages) else { return };
    let pages = largest.pages.min(PASS_ROWS);
    let needed = pages * BITMAP_PAGE_BYTES;
    if server.work_mem == 0 || server.work_mem >= needed {
        return;
    }
    let room = server.work_mem / BITMAP_PAGE_BYTES;
    advice.push(Advice {
        severity: Severity::Notice,
        rule: WORK_MEM,
        subject: largest.name.clone(),
        finding: format!(
            "work_mem is {}, room for the rows of {room} pages; the table has {} pages, and a keyword leg may read rows of {pages}",
            bytes(server.work_mem),
            largest.pages
        ),
        why: "a bitmap without room keeps whole pages: every document on them is read and checked again".into(),
        gain: format!("at most the documents of {} pages a pass, for {} at most", pages - room, bytes(needed)),
        statement: format!("ALTER ROLE CURRENT_USER SET work_mem = '{}kB' -- or of the roles that search", needed.div_ceil(1024)),
    });
}
