//! A graph in ONNX Runtime, on the first execution provider that takes it.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use harca_core::error::{Error, Result};
use ort::ep::{self, ExecutionProviderDispatch};
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{DynValue, Tensor, TensorElementType, ValueType};

use super::shared_run::SharedSession;
use super::{inference, one_line, runtime};

/// How models are to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The ONNX Runtime library.
    pub onnxruntime: PathBuf,
    /// Threads of a run.
    pub threads: usize,
    /// Execution providers, the best first; `cpu` is tried last in any case.
    pub providers: Vec<String>,
}

/// What goes into a graph: a name, the sizes, and the numbers.
pub enum Input<'a> {
    /// 32-bit integers.
    Int(&'a str, Vec<usize>, Vec<i32>),
    /// 64-bit integers.
    Long(&'a str, Vec<usize>, Vec<i64>),
}

/// What came out: the sizes and the numbers.
pub struct Answer {
    /// The sizes.
    pub shape: Vec<usize>,
    /// As many numbers as their product says.
    pub numbers: Vec<f32>,
}

/// A graph that is ready to run.
pub struct Graph {
    session: SharedSession,
    output: CString,
    provider: String,
    detail: String,
}

impl Graph {
    /// Loads `model`, an ONNX file, whose `output` is to be read and which has these `inputs`.
    ///
    /// # Errors
    /// [`Error::Inference`] when no provider takes it, [`Error::ModelShape`] when its inputs or outputs are others,
    /// [`Error::Runtime`] when there is no runtime.
    pub fn load(model: &Path, inputs: &[&str], output: &str, options: &Options) -> Result<Self> {
        let environment = runtime::environment(&options.onnxruntime)?;
        let mut missing = Vec::new();
        let wanted = options.providers.iter().map(String::as_str).filter(|name| *name != "cpu");
        let cpu_first = options.providers.first().is_some_and(|name| name == "cpu");
        let providers: Vec<&str> = if cpu_first { vec!["cpu"] } else { wanted.chain(["cpu"]).collect() };
        for name in providers {
            let session = Session::builder(&environment)
                .and_then(|b| Ok(b.with_no_environment_execution_providers()?))
                .and_then(|b| Ok(b.with_execution_providers([provider(name)])?))
                .and_then(|b| Ok(b.with_intra_threads(options.threads.max(1))?))
                .and_then(|b| Ok(b.with_inter_threads(1)?))
                // A thread that spins while it waits takes the processor from the server.
                .and_then(|b| Ok(b.with_intra_op_spinning(false)?))
                .and_then(|b| Ok(b.with_memory_pattern(false)?))
                .and_then(|b| Ok(b.with_log_level(LogLevel::Fatal)?))
                .and_then(|b| Ok(b.with_optimization_level(GraphOptimizationLevel::Level3)?))
                .and_then(|mut b| b.commit_from_file(model));
            match session {
                Ok(session) => {
                    let detail = missing.join("; ");
                    check(&session, inputs, output)?;
                    let session = SharedSession::new(session, name);
                    return Ok(Self { session, output: c_string(output)?, provider: name.into(), detail });
                }
                Err(error) if name == "cpu" => return Err(inference(error)),
                Err(error) => missing.push(format!("{name}: {}", one_line(&error.to_string()))),
            }
        }
        Err(Error::Inference("no execution provider was named".into()))
    }

    /// The provider that runs it, and why the better ones do not.
    #[must_use]
    pub fn provider(&self) -> (&str, &str) {
        (&self.provider, &self.detail)
    }

    /// Whether it runs in several threads at once.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.session.is_shared()
    }

    /// Runs it.
    ///
    /// # Errors
    /// [`Error::Inference`] when the runtime fails, [`Error::ModelShape`] when a number of the answer is not finite.
    pub fn run(&self, inputs: Vec<Input<'_>>) -> Result<Answer> {
        let mut values: Vec<(CString, DynValue)> = Vec::with_capacity(inputs.len());
        for input in inputs {
            let (name, value) = match input {
                Input::Int(name, shape, ids) => (name, Tensor::from_array((shape, ids)).map_err(inference)?.into_dyn()),
                Input::Long(name, shape, ids) => {
                    (name, Tensor::from_array((shape, ids)).map_err(inference)?.into_dyn())
                }
            };
            values.push((c_string(name)?, value));
        }
        let output = self.session.run(&values, &self.output).map_err(inference)?;
        let (shape, numbers) = output.try_extract_tensor::<f32>().map_err(inference)?;
        if !numbers.iter().all(|number| number.is_finite()) {
            return Err(Error::ModelShape("output holds a number that is not finite".into()));
        }
        let shape = shape.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect();
        Ok(Answer { shape, numbers: numbers.to_vec() })
    }
}

/// Whether a session has these inputs, and among its outputs one of 32-bit numbers of this name.
fn check(session: &Session, inputs: &[&str], name: &str) -> Result<()> {
    let outputs = || session.outputs().iter().map(|one| one.name()).collect::<Vec<_>>();
    let mut found: Vec<&str> = session.inputs().iter().map(|one| one.name()).collect();
    let mut expected = inputs.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    if found != expected {
        let (found, expected) = (found.join(", "), expected.join(", "));
        return Err(Error::ModelShape(format!("its inputs are {found}, expected {expected}")));
    }
    let Some(output) = session.outputs().iter().find(|one| one.name() == name) else {
        let found = outputs().join(", ");
        return Err(Error::ModelShape(format!("its outputs are {found}, \"{name}\" is not among them")));
    };
    match output.dtype() {
        ValueType::Tensor { ty: TensorElementType::Float32, .. } => Ok(()),
        other => Err(Error::ModelShape(format!("output \"{name}\" is {other:?}, expected float32"))),
    }
}

/// A name as the runtime takes it.
fn c_string(name: &str) -> Result<CString> {
    CString::new(name).map_err(|_| Error::Inference("a name of the graph holds a zero byte".into()))
}

fn provider(name: &str) -> ExecutionProviderDispatch {
    match name {
        "cuda" => ep::CUDA::default().build().error_on_failure(),
        _ => ep::CPU::default().build().error_on_failure(),
    }
}
