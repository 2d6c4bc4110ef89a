//! One session of ONNX Runtime that several threads run at once.
//!
//! ort asks for a session of one's own for each run, because not every execution provider keeps its state apart. That of the
//! processor does: "Multiple threads are allowed to run this function" says onnxruntime/core/session/inference_session.h of
//! `Run`, and a model is in memory once however many runs it has.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

use ort::memory::Allocator;
use ort::session::Session;
use ort::value::DynValue;
use ort::{AsPointer, sys};

/// A session that any thread runs.
pub struct SharedSession {
    session: Session,
    /// Held for a run of a provider that does not run a session in several threads.
    turn: Option<Mutex<()>>,
}

impl SharedSession {
    /// A session of an execution provider.
    pub fn new(session: Session, provider: &str) -> Self {
        Self { session, turn: (provider != "cpu").then(Mutex::default) }
    }

    /// Whether it runs in several threads at once.
    pub fn is_shared(&self) -> bool {
        self.turn.is_none()
    }

    /// Runs it for one of its outputs.
    ///
    /// # Errors
    /// Whatever the runtime says.
    pub fn run(&self, inputs: &[(CString, DynValue)], output: &CStr) -> ort::Result<DynValue> {
        let _turn = self.turn.as_ref().map(|turn| turn.lock().unwrap_or_else(PoisonError::into_inner));
        let names: Vec<*const std::ffi::c_char> = inputs.iter().map(|(name, _)| name.as_ptr()).collect();
        let values: Vec<*const sys::OrtValue> = inputs.iter().map(|(_, value)| value.ptr()).collect();
        let outputs = [output.as_ptr()];
        let mut found: *mut sys::OrtValue = ptr::null_mut();
        // SAFETY: names and values are as many as is said, and live beyond the call, as does the session; no run options are
        // those of the runtime; for an output that is null the runtime allocates one. Other threads run the session at the
        // same time where its provider is the processor's (see above), and else none.
        let status = unsafe {
            (ort::api().Run)(
                self.session.ptr().cast_mut(),
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
}
