//! One session of ONNX Runtime that several threads run at once.
//!
//! ort asks for a session of one's own for each run, because not every execution provider keeps its state apart. That of the
//! processor does: "Multiple threads are allowed to run this function" says onnxruntime/core/session/inference_session.h of
//! `Run`, and a model is in memory once however many runs it has.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::ptr::{self, NonNull};

use ort::memory::Allocator;
use ort::session::Session;
use ort::value::DynValue;
use ort::{AsPointer, sys};

/// Runs a session of the processor's provider, of which other threads may be running it, for one of its outputs.
///
/// # Errors
/// Whatever the runtime says.
pub fn run(session: &Session, inputs: &[(CString, DynValue)], output: &CStr) -> ort::Result<DynValue> {
    let names: Vec<*const std::ffi::c_char> = inputs.iter().map(|(name, _)| name.as_ptr()).collect();
    let values: Vec<*const sys::OrtValue> = inputs.iter().map(|(_, value)| value.ptr()).collect();
    let outputs = [output.as_ptr()];
    let mut found: *mut sys::OrtValue = ptr::null_mut();
    // SAFETY: names and values are as many as is said, and live beyond the call, as does the session; no run options are
    // those of the runtime; for an output that is null the runtime allocates one. It only reads the session (see above).
    let status = unsafe {
        (ort::api().Run)(
            session.ptr().cast_mut(),
            ptr::null(),
            names.as_ptr(),
            values.as_ptr(),
            values.len(),
            outputs.as_ptr(),
            outputs.len(),
            &raw mut found,
        )
    };
    // SAFETY: it comes from the call above and is given to nobody else.
    unsafe { ort::Error::result_from_status(status) }?;
    let found = NonNull::new(found).ok_or_else(|| ort::Error::new("a run without an output"))?;
    // SAFETY: the run has made the value and nobody else has it. A value keeps the allocator that frees it by itself: the one
    // that is named here is that of ort's own copies.
    Ok(unsafe { DynValue::from_ptr(found, Some(&Allocator::default())) })
}
