//! Shared memory without preload, on PostgreSQL 17 and later: segments of the registry of dynamic shared memory.

use std::ffi::{CStr, c_void};
use std::ptr;

use pgrx::pg_sys::panic::{CaughtError, ErrorReport};
use pgrx::{PgLogLevel, PgSqlErrorCode, PgTryBuilder, pg_guard};

use super::*;

thread_local! {
    /// Bytes that [`make_sets`] is to make: the registry gives it the address alone.
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

/// Attaches to the memory, or makes it.
///
/// When the system has none to give, one warning says so and the backend has its own cache: no query fails for it.
pub fn attach() -> Option<Shared> {
    // SAFETY: a backend runs it, inside a transaction. The head has the same size in every process; the sets have the
    // size that its maker wrote there. The registry's memory stays mapped until the process ends, and segments begin
    // at a page.
    PgTryBuilder::new(|| unsafe {
        let header: *const Header = segment(c"pg_harca", Layout::wanted().head_bytes(), make_head).cast();
        let sets = sets(c"pg_harca cache", (*header).sets * size_of::<Set>());
        let vector_sets = self::sets(c"pg_harca embeddings", (*header).vector_sets * size_of::<VectorSet>());
        Some(Shared::at(header, sets.cast(), vector_sets.cast()))
    })
    .catch_others(|error| {
        // SAFETY: the registry may have left its lock behind, and a function call holds no other.
        unsafe { pg_sys::LWLockReleaseAll() };
        let (CaughtError::PostgresError(cause)
        | CaughtError::ErrorReport(cause)
        | CaughtError::RustPanic { ereport: cause, .. }) = error;
        ErrorReport::new(PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY, "shared cache is not available", "")
            .set_detail(format!("{}.", cause.message()))
            .set_hint("This session has a cache of its own. Add pg_harca to shared_preload_libraries, or set pg_harca.cache_size to 0.")
            .report(PgLogLevel::WARNING);
        None
    })
    .execute()
}

/// The sets of a cache, of so many bytes in all.
///
/// # Safety
/// As [`segment`].
unsafe fn sets(name: &CStr, bytes: usize) -> *const c_void {
    BYTES.set(bytes);
    // SAFETY: by the contract.
    if bytes == 0 { ptr::null() } else { unsafe { segment(name, bytes, make_sets) } }
}

/// # Safety
/// In a backend, inside a transaction.
unsafe fn segment(name: &CStr, bytes: usize, make: unsafe extern "C-unwind" fn(*mut c_void)) -> *mut c_void {
    let mut found = false;
    // SAFETY: by the contract of `attach`; the registry calls `make` under its lock, once for the life of the server.
    unsafe { pg_sys::GetNamedDSMSegment(name.as_ptr(), bytes, Some(make), &mut found) }
}

#[pg_guard]
unsafe extern "C-unwind" fn make_head(memory: *mut c_void) {
    let layout = Layout::wanted();
    // SAFETY: the memory is ours alone and has this size; a used segment may come with old content.
    unsafe {
        ptr::write_bytes(memory.cast::<u8>(), 0, layout.head_bytes());
        layout.write_header(memory.cast(), None);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn make_sets(memory: *mut c_void) {
    // SAFETY: as in `make_head`; zeroed sets are empty.
    unsafe { ptr::write_bytes(memory.cast::<u8>(), 0, BYTES.get()) };
}
