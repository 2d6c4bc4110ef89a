//! Models as the engine runs them: what they read of a text, and what comes out of a run.
//!
//! Promises: a model that cannot be loaded, or fails, comes out as an error; a run's numbers are finite and as many as its
//! texts need. Only `graph`, `shared_run` and `runtime` name ort, only `transformer` names tokenizers.
//!
//! - [`files`]: the files of a model, as they came in and were checked.
//! - [`transformer`]: a tokenizer and a graph; [`encoded`]: the core's encoder and a graph or network.
//! - [`pooling`]: from the states of tokens to a vector.
//! - [`runtime`], [`graph`]: ONNX Runtime; `shared_run`: a graph in several threads at once.

pub mod encoded;
pub mod files;
pub mod graph;
pub mod pooling;
pub mod runtime;
mod shared_run;
pub mod transformer;

use harca_core::error::{Error, Result};
use harca_core::model::transformer::AnyManifest;
use harca_core::protocol::message::Texts;

use files::ModelFiles;
use graph::Options;

/// What a model reads of one text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Ids of its tokens; of a model with the core's encoder, its features.
    pub ids: Vec<i32>,
    /// Which of two texts each token belongs to, where that is not 0 for all; of a model with the core's encoder, its tokens.
    pub types: Vec<i32>,
    /// Tokens, by which runs are measured.
    pub length: u32,
    /// Whether the text was longer than the model reads.
    pub truncated: bool,
}

/// Numbers that came out of a run: `width` for each text, in the order of the texts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values {
    /// Numbers for each text.
    pub width: usize,
    /// All of them.
    pub numbers: Vec<f32>,
}

/// A model ready to run.
pub trait Model: Send + Sync {
    /// What it reads of texts, in any thread.
    ///
    /// # Errors
    /// [`Error::Inference`] when it does not read such texts.
    fn read(&self, texts: &Texts) -> Result<Vec<Reading>>;

    /// Runs on what it has read.
    ///
    /// # Errors
    /// [`Error::Inference`] when the runtime fails, [`Error::ModelShape`] when the answer has another shape than its
    /// manifest promises or holds a number that is not finite.
    fn run(&self, batch: &[&Reading]) -> Result<Values>;

    /// The execution provider that it runs on, and what others were not had for.
    fn provider(&self) -> (&str, &str);

    /// Whether several of its runs may go on at once.
    fn is_shared(&self) -> bool;
}

/// Makes models of files.
pub trait Loader: Send + Sync {
    /// Loads a model, which may take long.
    ///
    /// # Errors
    /// Whatever is wrong with it.
    fn load(&self, files: &ModelFiles, options: &Options) -> Result<Box<dyn Model>>;

    /// Version of ONNX Runtime, once it was needed.
    fn runtime(&self) -> Option<String>;
}

/// Loads models as their manifests say.
#[derive(Debug, Default)]
pub struct ManifestLoader;

impl Loader for ManifestLoader {
    fn load(&self, files: &ModelFiles, options: &Options) -> Result<Box<dyn Model>> {
        match files.manifest() {
            AnyManifest::Transformer(manifest) => {
                let model = transformer::Transformer::load(manifest, files, options)?;
                Ok(Box::new(model))
            }
            AnyManifest::Encoded(manifest) => {
                let model = encoded::EncodedModel::load(manifest, files, options)?;
                Ok(Box::new(model))
            }
        }
    }

    fn runtime(&self) -> Option<String> {
        runtime::version()
    }
}

fn inference(error: impl std::fmt::Display) -> Error {
    Error::Inference(one_line(&error.to_string()))
}

/// The words of a message on one line, cut at about 1,000 characters.
pub(crate) fn one_line(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(1000) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line,
    }
}
