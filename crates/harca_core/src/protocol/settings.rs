//! What the server tells the engine to be: lines of JSON in the pipe that ties the two together.
//!
//! The engine reads its settings from standard input, one object a line. The first line makes it begin, each further one
//! changes what can be changed while it runs, and the end of the stream ends it: that is how it learns that the server is
//! gone.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::digest::Digest;

/// How the engine trades the time of one request against the work done in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// Runs of about 20 ms: somebody waits for each of them.
    Latency,
    /// Runs of about 60 ms.
    #[default]
    Balanced,
    /// Runs of about 250 ms, in which large batches pay.
    Throughput,
}

impl Strategy {
    /// Microseconds that a run is to take.
    #[must_use]
    pub fn run_micros(self) -> u32 {
        match self {
            Self::Latency => 20_000,
            Self::Balanced => 60_000,
            Self::Throughput => 250_000,
        }
    }
}

/// What the engine is to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineSettings {
    /// The socket that it listens on; a file that lies there is removed first.
    pub socket: PathBuf,
    /// Where it keeps the files of its models, without names; on the file system of the data folder.
    pub folder: PathBuf,
    /// The file in which it says what it is about to run, so that whoever starts it again knows what brought it down.
    pub at_work: PathBuf,
    /// The ONNX Runtime library.
    pub onnxruntime: PathBuf,
    /// Bytes that it may have.
    pub memory: u64,
    /// Threads of a run; 0 for the square root of the number of processors, so that as many runs can go on at once.
    pub threads: u32,
    /// Microseconds after a run in which the next one waits for those that asked together with it.
    pub wait: u32,
    /// Whether single requests or all of them together are to be fast.
    pub strategy: Strategy,
    /// Texts that may wait.
    pub queue: u32,
    /// Execution providers of models that name none, `cuda` or `cpu`, the best first.
    pub providers: Vec<String>,
    /// Models that are not to be run.
    pub quarantined: Vec<Digest>,
    /// Models that were at work when the engine crashed: nothing else runs beside them, so that the next crash tells more.
    #[serde(default)]
    pub suspected: Vec<Digest>,
}

/// The exit status of an engine that had more memory than it may have.
pub const OUT_OF_MEMORY: i32 = 70;

/// The exit status of an engine that could not begin.
pub const CANNOT_BEGIN: i32 = 71;

/// How important an [`Event`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For whoever looks into the log.
    Log,
    /// For an administrator.
    Warning,
}

/// What the engine has to say for the server's log: a line of JSON on standard output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// How important it is.
    pub level: Level,
    /// One line, in the manner of the server's messages.
    pub message: String,
    /// Whether the engine listens from now on.
    #[serde(default)]
    pub listening: bool,
}

impl EngineSettings {
    /// Threads of a run on so many processors.
    #[must_use]
    pub fn threads_of_a_run(&self, processors: usize) -> usize {
        match self.threads {
            0 => processors.isqrt(),
            threads => threads as usize,
        }
    }
}

/// Bytes of a place in the file of [`at_work`].
pub const AT_WORK_BYTES: usize = 33;

/// The models that the engine was about to run or load when it ended, from the file that it names by
/// [`EngineSettings::at_work`]: places of [`AT_WORK_BYTES`], a byte that is 1 while something is at work and the digest of the model.
#[must_use]
pub fn at_work(file: &[u8]) -> Vec<Digest> {
    let place = |place: &[u8]| match place.split_first() {
        Some((1, digest)) => digest.try_into().ok().map(Digest),
        _ => None,
    };
    file.chunks_exact(AT_WORK_BYTES).filter_map(place).collect()
}
