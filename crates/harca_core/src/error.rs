//! The one error type of the core; the extension maps each variant to a SQLSTATE.

use std::fmt::Display;
use std::path::PathBuf;

/// Everything that can go wrong between a manifest and a set of scores.
///
/// The texts are single lines without a final stop, so that they can stand in a log line or a DETAIL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The manifest is not valid JSON, or says something that cannot be true.
    #[error("invalid model manifest: {0}")]
    Manifest(String),
    /// A model file cannot be read, or is not the file that its manifest describes.
    #[error("cannot use model file \"{}\": {reason}", path.display())]
    ModelFile {
        /// The file as it was asked for.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file of a model is of a kind that no database server should load, whatever it computes.
    #[error("model is refused: {0}")]
    Refused(String),
    /// The graph loads, but its inputs or outputs are not those that the manifest promises.
    #[error("model does not fit its manifest: {0}")]
    ModelShape(String),
    /// The ONNX Runtime library is missing, truncated, or another library.
    #[error("cannot load ONNX Runtime from \"{}\": {reason}", path.display())]
    Runtime {
        /// The library file as it was asked for.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The library is ONNX Runtime, but one that must not run inside a database server.
    #[error("ONNX Runtime {version} is not supported: {reason}")]
    RuntimeUnsupported {
        /// The version the library reports, such as `1.24.4`.
        version: String,
        /// Why it is refused.
        reason: String,
    },
    /// The model answers, but takes too long.
    #[error("\"{model}\" takes more than {bound_ms} ms for more than 5 of 100 queries")]
    Latency {
        /// Name and version of the model.
        model: String,
        /// The bound, in milliseconds.
        bound_ms: String,
    },
    /// The engine is not there, does not answer, or cannot do what it was asked for: soon it may.
    #[error("engine: {0}")]
    Engine(String),
    /// The engine has too much to do.
    #[error("engine: {0}")]
    Busy(String),
    /// What came in on a connection between a backend and the engine is not what the protocol allows.
    #[error("protocol violation: {0}")]
    Protocol(String),
    /// ONNX Runtime refused the model, or failed while it ran.
    #[error("ONNX Runtime: {0}")]
    Inference(String),
}

/// What every fallible function of the core returns.
pub type Result<T> = std::result::Result<T, Error>;

/// The words of a message on one line, cut at about 400 bytes: what comes from a file or a library may be of any form.
pub(crate) fn one_line(message: &impl Display) -> String {
    let text = message.to_string();
    let mut line = String::with_capacity(text.len().min(512));
    for word in text.split_whitespace() {
        if line.len() > 400 {
            line.push_str(" …");
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().take(200));
    }
    line
}
