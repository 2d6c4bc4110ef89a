//! What the engine tells of itself.

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::frame::at_most;
use super::priority::Priority;
use crate::error::Result;

/// Most models that a status names.
pub const MAX_MODELS: usize = 1024;

/// Longest text of a status, in bytes.
pub const MAX_TEXT_BYTES: usize = 4 << 10;

/// What the engine tells of itself. Times are microseconds, those of the clock since 1970.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EngineStatus {
    /// Its process.
    pub pid: u32,
    /// When it began.
    pub started_at: i64,
    /// Version of ONNX Runtime; empty as long as no model has needed it.
    pub runtime: String,
    /// Threads that a run has.
    pub threads: u32,
    /// Bytes of memory that it has.
    pub memory: u64,
    /// Bytes that it may have.
    pub memory_bound: u64,
    /// Connections that are open.
    pub connections: u32,
    /// Texts that wait.
    pub queued: u32,
    /// Texts that may wait.
    pub queue_bound: u32,
    /// Times that the number of threads was lowered or raised because the processors were pressed or idle.
    pub threads_changed: u64,
    /// Models that were let go because memory was short: beyond 85 % of the bound those that nobody had asked for lately, beyond
    /// 90 % all that had nothing to do.
    pub let_go: [u64; 2],
    /// Requests that were dropped before they ran, because nobody waited any more.
    pub cancelled: u64,
    /// The models it has, or was asked for and could not load.
    pub models: Vec<ModelStatus>,
}

/// How a model is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Its files are on their way, or it is being loaded.
    #[default]
    Loading,
    /// It answers.
    Ready,
    /// It could not be loaded, or does not work.
    Broken,
    /// It is not run, because it has brought the engine down.
    Quarantined,
    /// It was let go, and is loaded again when somebody asks for it.
    Gone,
}

impl State {
    /// As users read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Ready => "ready",
            Self::Broken => "broken",
            Self::Quarantined => "quarantined",
            Self::Gone => "gone",
        }
    }
}

/// What the engine tells of a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelStatus {
    /// The model; `None` stands for none.
    pub digest: Option<Digest>,
    /// Name and version.
    pub name: String,
    /// How it is.
    pub state: State,
    /// Bytes of its files.
    pub bytes: u64,
    /// The execution provider that runs it.
    pub provider: String,
    /// What is wrong with it, or which providers were not had, and why; empty where there is nothing to say.
    pub detail: String,
    /// Microseconds that loading it took.
    pub loaded_in: u64,
    /// Runs and their texts and tokens, padding aside.
    pub runs: u64,
    /// Texts that were read.
    pub texts: u64,
    /// Tokens that were read.
    pub tokens: u64,
    /// Texts that were cut.
    pub truncated: u64,
    /// Microseconds that the runs took.
    pub busy: u64,
    /// Padded tokens that the next run may have.
    pub batch_tokens: u32,
    /// The same by priority, in the order of [`Priority::ALL`].
    pub by_priority: [PriorityStatus; Priority::ALL.len()],
}

/// What the engine tells of a model's requests of one priority.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PriorityStatus {
    /// Requests that were answered.
    pub requests: u64,
    /// Requests that failed or were refused.
    pub failed: u64,
    /// Texts that wait.
    pub queued: u32,
    /// p50, p95 and p99 of the time that requests waited.
    pub wait: [u64; 3],
    /// The same of the time that they ran.
    pub run: [u64; 3],
}

impl EngineStatus {
    pub(super) fn check(&self) -> Result<()> {
        at_most("models of a status", self.models.len(), MAX_MODELS)?;
        at_most("bytes of a text", self.runtime.len(), MAX_TEXT_BYTES)?;
        self.models
            .iter()
            .flat_map(|model| [&model.name, &model.provider, &model.detail])
            .try_for_each(|text| at_most("bytes of a text", text.len(), MAX_TEXT_BYTES))
    }
}
