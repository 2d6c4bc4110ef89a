//! Finds the model and the runtime that the settings name.

use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use harca_core::classify::{Classifier, ModelFiles};
use harca_core::error::Result;
use harca_core::session::Runtime;

use crate::gucs::{self, Executor};

/// The model that travels inside the library, so that a fresh installation has no file to find.
const BUILTIN_ONNX: &[u8] = include_bytes!("../models/query_type/model.onnx");
const BUILTIN_MANIFEST: &str = include_str!("../models/query_type/manifest.json");

/// File name of the ONNX Runtime library that `make install` puts into the extension's folder. The version is pinned
/// because later ones start threads (see `harca_core::session`).
const RUNTIME_FILE: &str = "libonnxruntime.so.1.24.4";

/// A model ready to answer, and what it was chosen by.
pub struct Model {
    /// The model itself.
    pub classifier: ManuallyDrop<Classifier>,
    setting: String,
    executor: Executor,
    runtime_path: PathBuf,
    process: u32,
}

impl Model {
    /// Whether the settings still name this model and this runtime.
    pub fn is_chosen(&self) -> bool {
        let runtime = !self.classifier.takes_runtime() || self.runtime_path == runtime_path();
        self.setting == gucs::model() && self.executor == gucs::executor() && runtime
    }

    /// Frees the session; one that came from the postmaster stays, as the runtime must not take apart in one process
    /// what it has built in another.
    pub fn release(self) {
        if self.process == std::process::id() {
            drop(ManuallyDrop::into_inner(self.classifier));
        }
    }
}

/// Loads the model that the settings name, and the runtime if the model takes it: that is milliseconds, so call it once
/// and keep the result.
///
/// # Errors
/// As [`ModelFiles::read`], [`Classifier::by_network`], [`Runtime::load`] and [`Classifier::by_runtime`].
pub fn open() -> Result<Model> {
    let (setting, executor, runtime_path) = (gucs::model(), gucs::executor(), runtime_path());
    let files = match model_folder(&setting) {
        None => ModelFiles::of_program(BUILTIN_MANIFEST, BUILTIN_ONNX)?,
        Some(folder) => ModelFiles::read(&folder)?,
    };
    let network = match executor {
        Executor::Auto => Classifier::by_network(&files)?,
        Executor::OnnxRuntime => None,
    };
    let classifier = match network {
        Some(classifier) => classifier,
        None => Classifier::by_runtime(&files, Runtime::load(&runtime_path)?)?,
    };
    Ok(Model {
        classifier: ManuallyDrop::new(classifier),
        setting,
        executor,
        runtime_path,
        process: std::process::id(),
    })
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
