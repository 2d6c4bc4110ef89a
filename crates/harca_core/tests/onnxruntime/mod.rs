//! The runtime that the tests of models take: the file that HARCA_ONNXRUNTIME names, or the one that
//! scripts/setup_onnxruntime.sh has fetched.

use std::path::{Path, PathBuf};

use harca_core::model::session::Runtime;

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The runtime, loaded once.
pub fn runtime() -> &'static Runtime {
    let path = std::env::var_os("HARCA_ONNXRUNTIME")
        .map_or_else(|| repository().join(".build/onnxruntime/libonnxruntime.so.1.24.4"), PathBuf::from);
    Runtime::load(&path).expect("run scripts/setup_onnxruntime.sh first")
}
