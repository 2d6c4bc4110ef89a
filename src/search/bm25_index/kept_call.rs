//! A function of another extension's that keeps what it has worked out from one call to the next, as it does between the rows
//! of a statement, for as long as the session lasts.
#![allow(unsafe_code)]

use std::ffi::c_void;

use pgrx::PgMemoryContexts;
use pgrx::pg_sys::{self, Datum, Oid};

/// What it has left behind by working anew is freed after so many times.
const MOST_RENEWALS: u32 = 8;

/// The function, with what it keeps.
#[derive(Clone, Copy)]
pub struct KeptCall {
    function: Oid,
    memory: pg_sys::MemoryContext,
    info: *mut pg_sys::FmgrInfo,
    kept: *mut c_void,
    renewals: u32,
}

impl KeptCall {
    /// A function that keeps nothing yet. What it will keep is only freed by [`KeptCall::forget`]: one for a session.
    pub fn new(function: Oid) -> Self {
        // SAFETY: a fresh memory context below that of the session.
        let memory = unsafe {
            PgMemoryContexts::TopMemoryContext.switch_to(|_| {
                pg_sys::AllocSetContextCreateExtended(
                    pg_sys::CurrentMemoryContext,
                    c"pg_harca kept call".as_ptr(),
                    pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
                    pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
                    pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
                )
            })
        };
        let mut call = Self { function, memory, info: std::ptr::null_mut(), kept: std::ptr::null_mut(), renewals: 0 };
        call.forget(function);
        call
    }

    /// Frees what was kept; it is that function from now on.
    pub fn forget(&mut self, function: Oid) {
        // SAFETY: nothing but this refers to what the context holds, as no call is under way.
        unsafe {
            pg_sys::MemoryContextReset(self.memory);
            self.info = pg_sys::MemoryContextAllocZero(self.memory, size_of::<pg_sys::FmgrInfo>()).cast();
            pg_sys::fmgr_info_cxt(function, self.info, self.memory);
        }
        (self.function, self.kept, self.renewals) = (function, std::ptr::null_mut(), 0);
    }

    /// Whether it is to forget before it is called for that function.
    pub fn is_stale(&self, function: Oid) -> bool {
        self.function != function || self.renewals > MOST_RENEWALS
    }

    /// Calls it. Raises its errors.
    ///
    /// # Safety
    /// The function must take two values of these types, give a `double precision` for all that are not null, and keep
    /// nothing that a later call could find wrong.
    pub unsafe fn double(&mut self, first: Datum, second: Datum) -> f64 {
        // SAFETY: by the contract.
        let (given, kept) = unsafe {
            let given = pg_sys::FunctionCall2Coll(self.info, pg_sys::DEFAULT_COLLATION_OID, first, second);
            (given, (*self.info).fn_extra)
        };
        if kept != self.kept {
            self.kept = kept;
            self.renewals += 1;
        }
        f64::from_bits(given.value() as u64)
    }
}
