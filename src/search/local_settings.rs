//! Settings that a search changes for its own statements alone.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};

use pgrx::pg_sys;

use super::catalog;

/// Settings that go back to what they were when it is dropped, or by the error that ends the transaction or
/// subtransaction.
pub struct LocalSettings(c_int);

impl LocalSettings {
    /// None is changed yet.
    pub fn begin() -> Self {
        // SAFETY: ended by `drop` or by the error that ends the transaction or subtransaction.
        Self(unsafe { pg_sys::NewGUCNestLevel() })
    }

    /// Changes a setting that every user may change.
    pub fn set(&self, name: &CStr, value: &str) {
        let value = catalog::server_string(value).unwrap_or_default();
        // SAFETY: strings that are copied; the level that has begun last is this one, as they end in reverse order.
        unsafe {
            pg_sys::set_config_option(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        }
    }
}

impl Drop for LocalSettings {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: ends the level that `begin` has begun.
            unsafe { pg_sys::AtEOXact_GUC(true, self.0) };
        }
    }
}

/// The value of a setting; none where there is no such.
pub fn setting(name: &CStr) -> Option<String> {
    // SAFETY: the value is a string that the setting keeps, or null.
    unsafe {
        let value = pg_sys::GetConfigOption(name.as_ptr(), true, false);
        (!value.is_null()).then(|| CStr::from_ptr(value).to_string_lossy().into_owned())
    }
}
