//! Shared memory with preload: the postmaster reserves it, fills it from the files of a former run, and writes these when it
//! stops.
#![allow(unsafe_code)]

use std::sync::atomic::Ordering::Relaxed;

use pgrx::{pg_guard, pg_sys};

use super::{Layout, SHARED, Shared, cache_file, calibration_file};

/// Reserves the memory. To be called from `_PG_init` in the postmaster.
pub fn reserve() {
    static mut FORMER_REQUEST: pg_sys::shmem_request_hook_type = None;
    static mut FORMER_STARTUP: pg_sys::shmem_startup_hook_type = None;

    #[pg_guard]
    unsafe extern "C-unwind" fn request() {
        // SAFETY: the postmaster calls the hook once, before it makes shared memory; a former hook is to be called too.
        unsafe {
            if let Some(former) = FORMER_REQUEST {
                former();
            }
            pg_sys::RequestAddinShmemSpace(Layout::wanted().bytes());
        }
    }

    #[pg_guard]
    unsafe extern "C-unwind" fn startup() {
        let file = cache_file::read();
        let former_run = file.as_deref().and_then(cache_file::check);
        // SAFETY: the postmaster calls the hook alone, when it has made shared memory: no lock is needed (Windows, where
        // each backend calls it, is not supported). The size is the one that was requested, the memory is zeroed and
        // aligned to the cache line, and it is there as long as this process has it mapped.
        let shared = unsafe {
            if let Some(former) = FORMER_STARTUP {
                former();
            }
            let layout = Layout::wanted();
            let mut found = false;
            let memory = pg_sys::ShmemInitStruct(c"pg_harca".as_ptr(), layout.bytes(), &mut found);
            let sets = memory.byte_add(layout.head_bytes()).cast();
            layout.write_header(memory.cast(), former_run.map(|dump| dump.secret()));
            Shared::at(memory.cast(), sets, memory.byte_add(layout.vectors_from()).cast())
        };
        if let Some(former_run) = former_run {
            shared.header.restored.store(cache_file::restore(former_run, shared.cache()), Relaxed);
        }
        calibration_file::restore(shared.calibrations());
        SHARED.set(Some(shared));
        // SAFETY: the postmaster runs it before it detaches from shared memory, and forgets it when a crash makes it take the
        // memory apart.
        unsafe { pg_sys::on_shmem_exit(Some(shut_down), pg_sys::Datum::null()) };
    }

    #[pg_guard]
    unsafe extern "C-unwind" fn shut_down(code: std::ffi::c_int, _argument: pg_sys::Datum) {
        // As pg_stat_statements: what a crash has left is not to be trusted.
        if code == 0
            && let Some(shared) = SHARED.get()
        {
            if shared.has_cache() {
                cache_file::write(shared.secret(), shared.cache());
            }
            calibration_file::write(shared.calibrations());
        }
    }

    // SAFETY: the postmaster is alone while it loads libraries, and does so once.
    unsafe {
        FORMER_REQUEST = pg_sys::shmem_request_hook;
        pg_sys::shmem_request_hook = Some(request);
        FORMER_STARTUP = pg_sys::shmem_startup_hook;
        pg_sys::shmem_startup_hook = Some(startup);
    }
}
