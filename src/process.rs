//! What the server process lends to every room: its clocks, its secrets, its folders, the database it works for, and whether
//! it is the postmaster loading libraries. It knows no other room.
#![allow(unsafe_code)]

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr::{null, null_mut};

use pgrx::pg_sys;

/// Whether the postmaster is loading `shared_preload_libraries`.
pub fn preloading() -> bool {
    // SAFETY: reads a variable of the process.
    unsafe { pg_sys::process_shared_preload_libraries_in_progress }
}

/// The directory that this library was loaded from: the server's, or one of its `dynamic_library_path`.
pub fn library_directory() -> PathBuf {
    /// As `dlfcn.h` has it.
    #[repr(C)]
    struct Place {
        file: *const c_char,
        base: *mut c_void,
        symbol: *const c_char,
        address: *mut c_void,
    }
    unsafe extern "C" {
        fn dladdr(address: *const c_void, place: *mut Place) -> c_int;
    }
    let mut place = Place { file: null(), base: null_mut(), symbol: null(), address: null_mut() };
    // SAFETY: asks of which file a function of this library is; the name stays as long as the library is loaded, for good.
    // `pkglib_path` is a null-terminated string that the server sets before it loads any library.
    let (file, server) = unsafe {
        let known = dladdr(library_directory as *const c_void, &mut place) != 0 && !place.file.is_null();
        (known.then(|| CStr::from_ptr(place.file)), CStr::from_ptr((&raw const pg_sys::pkglib_path).cast()))
    };
    let path = |name: &CStr| PathBuf::from(OsStr::from_bytes(name.to_bytes()));
    file.and_then(|file| path(file).parent().map(PathBuf::from)).unwrap_or_else(|| path(server))
}

/// File name of the ONNX Runtime library that `make install` puts into the extension's folder. The version is pinned
/// because later ones start threads (see `harca_core::model::session`).
pub const ONNXRUNTIME_FILE: &str = "libonnxruntime.so.1.24.4";

/// When this server was started, in microseconds.
pub fn server_start() -> i64 {
    // SAFETY: reads a variable that the postmaster has set before any other process began.
    unsafe { pg_sys::PgStartTime }
}

/// The database that this backend is connected to, by the number that the server gives it.
pub fn database() -> u32 {
    // SAFETY: reads a variable that is fixed when the backend connects.
    unsafe { pg_sys::MyDatabaseId }.to_u32()
}

/// When the running statement began, in microseconds; the clock of the cache, which costs no system call.
pub fn statement_time() -> i64 {
    // Declared here, as the binding of pgrx saves the state of the error handler, which costs more than the call.
    unsafe extern "C" {
        safe fn GetCurrentStatementStartTimestamp() -> pg_sys::TimestampTz;
    }
    GetCurrentStatementStartTimestamp()
}

/// The time now, in microseconds, on the same clock.
pub fn current_time() -> i64 {
    // SAFETY: asks the system's clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}

/// Where the write-ahead log stands, of a standby what it has replayed of it: as long as it is the same, no permanent table
/// of the server has changed.
pub fn log_position() -> u64 {
    // SAFETY: reads what the server keeps in its shared memory, under locks of its own; no place for a timeline is given.
    unsafe {
        if pg_sys::RecoveryInProgress() {
            pg_sys::GetXLogReplayRecPtr(std::ptr::null_mut())
        } else {
            pg_sys::GetXLogInsertRecPtr()
        }
    }
}

/// A number that nobody outside this process can know.
pub fn random_secret() -> u64 {
    let mut secret = [0u8; 8];
    // SAFETY: fills exactly the bytes of the array.
    if !unsafe { pg_sys::pg_strong_random(secret.as_mut_ptr().cast(), secret.len()) } {
        pgrx::ereport!(
            ERROR,
            pgrx::PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            "could not generate a random secret for the cache"
        );
    }
    u64::from_ne_bytes(secret)
}
