//! The background worker that writes the shared cache, and what searches have told, to their files every
//! `pg_harca.cache_dump_interval`.
#![allow(unsafe_code)] // an exported symbol

use std::time::{Duration, Instant};

use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder, SignalWakeFlags};
use pgrx::pg_guard;
use pgrx::pg_sys::{self, Datum};

use super::{attach, cache_file, calibration_file};
use crate::settings;

/// Seconds until a worker that has ended by an error is started again.
const RESTART_AFTER: Duration = Duration::from_secs(60);

/// Registers the worker. To be called from `_PG_init` in the postmaster.
pub fn register() {
    if settings::cache_size() == 0 {
        return;
    }
    BackgroundWorkerBuilder::new("pg_harca cache dump")
        .set_library("pg_harca")
        .set_function("pg_harca_dump_worker")
        .set_start_time(pgrx::bgworkers::BgWorkerStartTime::ConsistentState)
        .set_restart_time(Some(RESTART_AFTER))
        .load();
}

/// Sleeps, and writes what has changed since the last time when the interval is over.
#[doc(hidden)]
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_harca_dump_worker(_argument: Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    let Some(shared) = attach() else { return };
    let mut written_at = Instant::now();
    let mut written_changes = shared.changes();
    let mut written_calibrations = shared.calibrations().changes();
    loop {
        let interval = settings::cache_dump_interval();
        let rest = interval.map(|interval| interval.saturating_sub(written_at.elapsed()));
        // The postmaster writes the last dump, when nobody changes the cache any more.
        if !BackgroundWorker::wait_latch(rest) {
            return;
        }
        if BackgroundWorker::sighup_received() {
            // SAFETY: the main loop of a worker may read the configuration anew.
            unsafe { pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP) };
        }
        if settings::cache_dump_interval().is_some_and(|interval| written_at.elapsed() >= interval) {
            written_at = Instant::now();
            let changes = shared.changes();
            if changes != written_changes && cache_file::write(shared.secret(), shared.cache()) {
                written_changes = changes;
            }
            let changes = shared.calibrations().changes();
            if changes != written_calibrations && calibration_file::write(shared.calibrations()) {
                written_calibrations = changes;
            }
        }
    }
}
