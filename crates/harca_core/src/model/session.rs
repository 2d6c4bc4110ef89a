//! Runs an ONNX graph on feature ids and tokens. The only module that names ort.
//!
//! A database backend has one thread and lives long, so a [`Session`] takes no thread pool, no arena that grows and no
//! telemetry, and [`Runtime`] refuses a library that would start a thread.

mod library;

use std::fmt::Display;
use std::path::{Path, PathBuf};

use once_cell::sync::OnceCell;
use ort::environment::Environment;
use ort::ep;
use ort::logging::LogLevel;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{TensorElementType, TensorRef, ValueType};

use crate::error::{Error, Result, one_line};
use crate::model::manifest::{Manifest, TOKEN_IDS, TOKENS_INPUT};

static RUNTIME: OnceCell<Runtime> = OnceCell::new();

/// The ONNX Runtime library of this process, loaded once and never unloaded.
pub struct Runtime {
    environment: Environment,
    path: PathBuf,
    version: String,
    starts_threads: bool,
}

impl Runtime {
    /// Loads the library at `path`; after the first success every call gives that same runtime, whatever its `path`.
    ///
    /// A failed load leaves nothing behind and may be tried again, with one exception: a runtime that has started a
    /// thread cannot be unloaded, so it stays refused for the life of the process.
    ///
    /// # Errors
    /// [`Error::Runtime`] when the file is missing, truncated or another library, [`Error::RuntimeUnsupported`] when
    /// its version is outside the tested range or it starts a thread.
    pub fn load(path: &Path) -> Result<&'static Self> {
        let runtime = RUNTIME.get_or_try_init(|| Self::open(path))?;
        if runtime.starts_threads {
            return Err(Error::RuntimeUnsupported {
                version: runtime.version.clone(),
                reason: "it starts threads, which a database backend must not have".into(),
            });
        }
        Ok(runtime)
    }

    /// The runtime that a former [`Runtime::load`] has left in this process.
    #[must_use]
    pub fn loaded() -> Option<&'static Self> {
        RUNTIME.get().filter(|runtime| !runtime.starts_threads)
    }

    /// The version the library reports, such as `1.24.4`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The file the library came from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn open(path: &Path) -> Result<Self> {
        // Held until ort has opened the library, too: to close it in between is to relocate it twice, 2 ms.
        let (version, _library) = library::check(path)?;
        let threads = thread_count();
        let environment = ort::init_from(path)
            .map_err(|e| Error::Runtime { path: path.into(), reason: one_line(&e) })?
            .with_name("pg_harca")
            .with_telemetry(false)
            .with_execution_providers([ep::CPU::default().with_arena_allocator(false).build()])
            .build()
            .map_err(inference)?;
        // Warnings about a graph are for its author; a server log gets what this crate reports as an error.
        environment.set_log_level(LogLevel::Fatal);
        let starts_threads = matches!((threads, thread_count()), (Some(before), Some(after)) if after > before);
        Ok(Self { environment, path: path.into(), version, starts_threads })
    }
}

/// The version of the ONNX Runtime library at `path`, for a process that may have threads and so takes any.
///
/// # Errors
/// [`Error::Runtime`] when the file is missing, truncated or another library.
pub fn library_version(path: &Path) -> Result<String> {
    library::open(path).map(|(version, _library)| version)
}

/// How many threads this process has, where the system tells (Linux).
#[must_use]
pub fn thread_count() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/task").ok()?.count())
}

/// Bytes of memory that this process alone has written, where the system tells (Linux): what it shares with a process
/// it was forked from, or with the files it has mapped, is not among them. The kernel may be a few pages behind.
#[must_use]
pub fn private_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?.split_whitespace().next()?;
    Some(1024 * kilobytes.parse::<u64>().ok()?)
}

/// A loaded graph that turns feature ids, and tokens if the manifest asks for them, into logits.
pub struct Session {
    graph: ort::session::Session,
    input: String,
    tokens: bool,
    output: String,
    labels: usize,
}

impl Session {
    /// Builds a session for `model`, the bytes of an ONNX file, and checks it against its manifest.
    ///
    /// The bytes are copied by the runtime and need not outlive the call. Takes milliseconds, not microseconds.
    ///
    /// # Errors
    /// [`Error::Inference`] when the runtime cannot read the graph, [`Error::ModelShape`] when the graph's input or
    /// output is not the one the manifest promises, [`Error::RuntimeUnsupported`] when building it started a thread.
    pub fn build(runtime: &Runtime, manifest: &Manifest, model: &[u8]) -> Result<Self> {
        let threads = thread_count();
        let graph = ort::session::Session::builder(&runtime.environment)
            .and_then(|b| Ok(b.with_intra_threads(1)?))
            .and_then(|b| Ok(b.with_inter_threads(1)?))
            .and_then(|b| Ok(b.with_parallel_execution(false)?))
            .and_then(|b| Ok(b.with_memory_pattern(false)?))
            .and_then(|b| Ok(b.with_log_level(LogLevel::Fatal)?))
            .and_then(|b| Ok(b.with_optimization_level(GraphOptimizationLevel::Level3)?))
            .and_then(|mut b| b.commit_from_memory(model))
            .map_err(inference)?;
        let mut session = Self {
            graph,
            input: manifest.input.name.clone(),
            tokens: manifest.encoder.tokens.is_some(),
            output: manifest.output.name.clone(),
            labels: manifest.labels.len(),
        };
        session.check_signature()?;
        // A graph may still compute something of another shape than it declares: only a run tells.
        let mut logits = Vec::new();
        session.run(&[1, 2, 3, 0], &[1, 1, 1, 2, 0, 2, 3, 0, 3, 0, 0, 0], 2, &mut logits)?;
        if matches!((threads, thread_count()), (Some(before), Some(after)) if after > before) {
            return Err(Error::RuntimeUnsupported {
                version: runtime.version.clone(),
                reason: "the session started threads".into(),
            });
        }
        Ok(session)
    }

    /// Runs the graph on `rows` texts at once.
    ///
    /// `features` holds `rows` lines of equal length, padded with 0, and so does `tokens`, in groups of [`TOKEN_IDS`];
    /// a model without tokens ignores the latter. `logits` is replaced by `rows` × labels numbers.
    ///
    /// # Errors
    /// [`Error::Inference`] when the runtime fails, [`Error::ModelShape`] when the answer has another shape or holds a
    /// number that is not finite.
    pub fn run(&mut self, features: &[i32], tokens: &[i32], rows: usize, logits: &mut Vec<f32>) -> Result<()> {
        let width = |ids: &[i32]| ids.len() / rows.max(1);
        let input = TensorRef::from_array_view(([rows, width(features)], features)).map_err(inference)?;
        let outputs = if self.tokens {
            let shape = [rows, width(tokens) / TOKEN_IDS, TOKEN_IDS];
            let tokens = TensorRef::from_array_view((shape, tokens)).map_err(inference)?;
            self.graph.run(ort::inputs![self.input.as_str() => input, TOKENS_INPUT => tokens])
        } else {
            self.graph.run(ort::inputs![self.input.as_str() => input])
        }
        .map_err(inference)?;
        let (shape, values) = outputs[self.output.as_str()].try_extract_tensor::<f32>().map_err(inference)?;
        if values.len() != rows * self.labels || shape.len() != 2 {
            return Err(Error::ModelShape(format!(
                "output has the shape {:?}, expected [{rows}, {}]",
                &shape[..],
                self.labels
            )));
        }
        if !values.iter().all(|v| v.is_finite()) {
            return Err(Error::ModelShape("output holds a number that is not finite".into()));
        }
        logits.clear();
        logits.extend_from_slice(values);
        Ok(())
    }

    fn check_signature(&self) -> Result<()> {
        let fail = |reason: String| Err(Error::ModelShape(reason));
        // Dynamic dimensions are -1; the batch dimension has to be one, and so has the length of a line of ids.
        let logits = [-1, self.labels as i64];
        let inputs: [(&str, &[i64]); 2] = [(&self.input, &[-1, -1]), (TOKENS_INPUT, &[-1, -1, TOKEN_IDS as i64])];
        let outputs: [(&str, &[i64]); 1] = [(&self.output, &logits)];
        for (role, outlets, element, expected) in [
            ("input", self.graph.inputs(), TensorElementType::Int32, &inputs[..1 + usize::from(self.tokens)]),
            ("output", self.graph.outputs(), TensorElementType::Float32, &outputs),
        ] {
            if outlets.len() != expected.len() {
                return fail(format!("{} {role}s, expected {}", outlets.len(), expected.len()));
            }
            for (outlet, &(name, dimensions)) in outlets.iter().zip(expected) {
                if outlet.name() != name {
                    return fail(format!("{role} is named \"{}\", expected \"{name}\"", outlet.name()));
                }
                let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
                    return fail(format!("{role} \"{name}\" is not a tensor"));
                };
                let fits = *ty == element
                    && shape.len() == dimensions.len()
                    && shape.iter().zip(dimensions).all(|(&found, &size)| found < 0 || found == size);
                if !fits {
                    let found = &shape[..];
                    return fail(format!("{role} \"{name}\" is {ty:?} {found:?}, expected {element:?} {dimensions:?}"));
                }
            }
        }
        Ok(())
    }
}

fn inference(error: impl Display) -> Error {
    Error::Inference(one_line(&error))
}
