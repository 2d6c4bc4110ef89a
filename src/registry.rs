//! Finds the model and the runtime that the settings name.

use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use harca_core::classify::Classifier;
use harca_core::error::Result;
use harca_core::session::Runtime;

use crate::gucs;

/// The model that travels inside the library, so that a fresh installation has no file to find.
const BUILTIN_ONNX: &[u8] = include_bytes!("../models/query_type/model.onnx");
static BUILTIN_ORT: &Aligned<[u8]> = &Aligned(*include_bytes!("../models/query_type/model.ort"));
const BUILTIN_MANIFEST: &str = include_str!("../models/query_type/manifest.json");

/// What a processor may read in its widest units.
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);

/// What a session is built for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// One process, now: the built-in model is taken from its ORT form, which is there 2 ms sooner and whose tables all
    /// processes share.
    ThisBackend,
    /// All processes to come: from its ONNX form, which the runtime fits to the processor, so that a run takes 5 % less.
    AllBackends,
}

/// File name of the ONNX Runtime library that `make install` puts into the extension's folder. The version is pinned
/// because later ones start threads (see `harca_core::session`).
const RUNTIME_FILE: &str = "libonnxruntime.so.1.24.4";

/// A model ready to answer, and what it was chosen by.
pub struct Model {
    /// The model itself.
    pub classifier: ManuallyDrop<Classifier>,
    setting: String,
    runtime_path: PathBuf,
    process: u32,
}

impl Model {
    /// Whether the settings still name this model and this runtime.
    pub fn is_chosen(&self) -> bool {
        self.setting == gucs::model() && self.runtime_path == runtime_path()
    }

    /// Frees the session; one that came from the postmaster stays, as the runtime must not take apart in one process
    /// what it has built in another.
    pub fn release(self) {
        if self.process == std::process::id() {
            drop(ManuallyDrop::into_inner(self.classifier));
        }
    }
}

/// Loads the runtime and the model that the settings name. Takes milliseconds: call it once and keep the result.
///
/// # Errors
/// As [`Runtime::load`] and [`Classifier::open`].
pub fn open(purpose: Purpose) -> Result<Model> {
    let (setting, runtime_path) = (gucs::model(), runtime_path());
    let runtime = Runtime::load(&runtime_path)?;
    let classifier = match model_folder(&setting) {
        None if purpose == Purpose::ThisBackend => Classifier::from_static(runtime, BUILTIN_MANIFEST, &BUILTIN_ORT.0)?,
        None => Classifier::from_bytes(runtime, BUILTIN_MANIFEST, BUILTIN_ONNX)?,
        Some(folder) => Classifier::open(runtime, &folder)?,
    };
    Ok(Model { classifier: ManuallyDrop::new(classifier), setting, runtime_path, process: std::process::id() })
}

/// Where the runtime is looked for.
pub fn runtime_path() -> PathBuf {
    gucs::onnxruntime_path().map_or_else(|| extension_folder().join(RUNTIME_FILE), PathBuf::from)
}

/// The folder of a model that is not built in: a bare name is one of the installed models.
fn model_folder(setting: &str) -> Option<PathBuf> {
    let path = Path::new(setting);
    match setting {
        gucs::BUILTIN_MODEL => None,
        _ if path.is_absolute() => Some(path.into()),
        _ => Some(extension_folder().join("models").join(path)),
    }
}

/// `pg_harca/` under the server's library directory.
fn extension_folder() -> PathBuf {
    crate::init::library_directory().join("pg_harca")
}
