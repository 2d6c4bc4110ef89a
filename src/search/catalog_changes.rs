//! How many changes a session has seen of what is kept about tables: of relations, schemas, types, functions and text search
//! configurations, and of the tables of the extension that say which can be searched.
//!
//! Of the first PostgreSQL tells every session by its invalidations (`utils/cache/inval.c`); of the others triggers do, by the
//! same means: they invalidate the relcache entry of their table, as `ALTER TABLE` would. So a change is seen by the own
//! session at once, by others when it is committed, by replicas when it is replayed, and is taken back where it is rolled
//! back. Any change of such an object counts, as to find out again what is kept takes tens of microseconds.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use pgrx::pg_sys::{self, Datum, Oid, SysCacheIdentifier};

use crate::bridge::own_table;

const CACHES: [SysCacheIdentifier::Type; 4] = [
    SysCacheIdentifier::NAMESPACEOID,
    SysCacheIdentifier::TYPEOID,
    SysCacheIdentifier::PROCOID,
    SysCacheIdentifier::TSCONFIGOID,
];

static LISTENING: AtomicBool = AtomicBool::new(false);
static SEEN: AtomicU64 = AtomicU64::new(0);

/// How many have been seen by now. What was found out before and after the same number is still so.
pub fn seen() -> u64 {
    if !LISTENING.swap(true, Relaxed) {
        // SAFETY: registered once for the life of the process; the functions only count.
        unsafe {
            pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), Datum::null());
            for cache in CACHES {
                pg_sys::CacheRegisterSyscacheCallback(cache as c_int, Some(row_changed), Datum::null());
            }
        }
    }
    SEEN.load(Relaxed)
}

/// The same, with those that other sessions have made and committed.
pub fn seen_everywhere() -> u64 {
    seen();
    own_table::accept_changes();
    seen()
}

/// Tells every session, when this transaction commits, that search targets have changed.
pub fn announce_change() {
    own_table::announce_change(c"search_target");
}

// Both run wherever messages are taken in, in the midst of a search too: they count, and nothing else.

unsafe extern "C-unwind" fn relation_changed(_argument: Datum, _relation: Oid) {
    SEEN.fetch_add(1, Relaxed);
}

unsafe extern "C-unwind" fn row_changed(_argument: Datum, _cache: c_int, _hash: u32) {
    SEEN.fetch_add(1, Relaxed);
}
