//! What advice is given on. Names and literals come as SQL, quoted by whoever has gathered them.

use serde::Deserialize;

/// All that was gathered; what the caller may not read is not there.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The server and its settings.
    pub server: Option<Server>,
    /// The cache of answers that all sessions share.
    pub cache: Option<Cache>,
    /// Search targets.
    pub targets: Vec<Target>,
    /// Shadows beside the active model.
    pub shadows: Vec<Shadow>,
    /// Evaluations of other models on the labelled queries of one of the active model.
    pub evaluations: Vec<Evaluation>,
    /// Models that are given up as too slow.
    pub slow_models: Vec<SlowModel>,
    /// The engine.
    pub engine: Option<Engine>,
}

/// The server and its settings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Server {
    /// Its major version.
    pub version: u32,
    /// `shared_preload_libraries`; none where the caller may not see it.
    pub preloaded: Option<String>,
    /// Sessions that have loaded a model for themselves.
    pub sessions: u64,
    /// What these have in memory for it.
    pub session_bytes: u64,
    /// `work_mem`, in bytes.
    pub work_mem: u64,
}

/// The cache of answers that all sessions share.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Cache {
    /// Room, in answers.
    pub capacity: u64,
    /// Look-ups that found one.
    pub hits: u64,
    /// Look-ups that found none.
    pub misses: u64,
    /// Answers that made room for others.
    pub evictions: u64,
    /// Look-ups that the curve rests on.
    pub sampled: u64,
    /// Sizes, and the shares of hits there.
    pub curve: Vec<(u64, f64)>,
    /// Mean time of a run of the models, in microseconds.
    pub run_us: Option<f64>,
}

/// A search target.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Target {
    /// What searches call it.
    pub name: String,
    /// The same as a literal.
    pub literal: String,
    /// Its table.
    pub table: String,
    /// `pg_class.relkind` of that.
    pub kind: String,
    /// Rows of the table as the planner knows.
    pub rows: u64,
    /// Pages of the table, likewise.
    pub pages: u64,
    /// How old its statistics are, as `harca.stat_search_target` says.
    pub state: String,
    /// Documents when they were made.
    pub documents: Option<u64>,
    /// Rows that have changed since.
    pub changed_rows: Option<i64>,
    /// What makes its `tsvector` anew, where the parser has changed.
    pub renewal: Option<String>,
    /// Its `tsvector`.
    pub tsvector: Column,
    /// Its embeddings.
    pub embedding: Column,
    /// `cosine`, `l2` or `inner_product`.
    pub distance: String,
    /// Judgements that no tuning has seen.
    pub new_judgements: u64,
    /// What a tuning would do; none where nobody has measured.
    pub tuning: Option<Tuning>,
    /// How many of the nearest rows its vector index finds; likewise.
    pub recall: Option<Recall>,
}

/// A column of a search target.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Column {
    /// The column.
    pub name: String,
    /// Type of an embedding, without a schema.
    pub kind: String,
    /// Dimensions of an embedding, 0 for any.
    pub dimensions: i64,
    /// The operator class that an HNSW index of the target's distance has.
    pub class: String,
    /// The type of embeddings in half precision.
    pub half: String,
    /// Indexes that begin with it, or with an expression over it.
    pub indexes: Vec<Index>,
}

/// An index.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// Its access method.
    pub method: String,
    /// Its operator class.
    pub class: String,
    /// Whether queries may use it.
    pub valid: bool,
    /// Whether it has all rows, of the column itself or by `harca.with_frequencies`, and no other column.
    pub whole: bool,
}

/// What a tuning of a search target would do.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Tuning {
    /// Judged queries.
    pub queries: u64,
    /// nDCG at 10 as it is set.
    pub before: f64,
    /// nDCG at 10 by cross-validation.
    pub after: f64,
}

/// What a vector index finds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Recall {
    /// Queries that were tried.
    pub queries: u64,
    /// `hnsw.ef_search` of a search.
    pub ef_search: u64,
    /// Share of the ten nearest rows that are found with that.
    pub found: f64,
    /// Four times as much.
    pub wider: u64,
    /// What is found with that.
    pub found_wider: f64,
}

/// A shadow beside the active model.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Shadow {
    /// Its name and version.
    pub model: String,
    /// The same as a literal.
    pub literal: String,
    /// The active model.
    pub active: String,
    /// Answers that both have given.
    pub answers: u64,
    /// Share of them in which they agree.
    pub agreement: f64,
    /// Median time of a query.
    pub p50_us: f64,
    /// The same of the active model.
    pub active_p50_us: f64,
}

/// Evaluations of a model and of the active one on the same labelled queries.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Evaluation {
    /// Its name and version.
    pub model: String,
    /// The same as a literal.
    pub literal: String,
    /// The active model.
    pub active: String,
    /// Labelled queries.
    pub queries: u64,
    /// Share that it gets right.
    pub accuracy: f64,
    /// Share that the active model gets right.
    pub active_accuracy: f64,
    /// Median time of a query.
    pub p50_us: f64,
    /// The same of the active model.
    pub active_p50_us: f64,
}

/// A model that is given up as too slow.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct SlowModel {
    /// Its name and version.
    pub model: String,
    /// `pg_harca.max_latency`, in microseconds.
    pub bound_us: f64,
    /// Time that 95 of 100 queries keep.
    pub p95_us: f64,
    /// Runs that this is known from.
    pub runs: u64,
    /// Queries that something else has answered in its place.
    pub replaced: u64,
}

/// The engine.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Engine {
    /// `running`, `off` and the like.
    pub state: String,
    /// What needs it: models of the deployment, and of search targets.
    pub needed_by: Vec<String>,
    /// Memory that it has.
    pub memory: u64,
    /// Memory that it may have.
    pub memory_bound: u64,
    /// Models that were let go beyond 85 % of the bound.
    pub let_go_idle: u64,
    /// Models that were let go beyond 90 %.
    pub let_go_pressed: u64,
    /// Texts that wait.
    pub queued: u64,
    /// Texts that may wait.
    pub queue_bound: u64,
    /// Threads of a run.
    pub threads: u64,
    /// Processors of the machine.
    pub processors: u64,
    /// `pg_harca.engine_strategy`.
    pub strategy: String,
    /// Its models, a row for each priority.
    pub models: Vec<EngineModel>,
}

/// A model in the engine.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct EngineModel {
    /// Its name and version.
    pub model: String,
    /// The same as a literal.
    pub literal: String,
    /// `ready`, `gone`, `quarantined` and the like.
    pub state: String,
    /// `interactive` or `bulk`.
    pub priority: String,
    /// Requests that were answered.
    pub requests: u64,
    /// Requests that were refused or failed.
    pub failed: u64,
    /// Time that 95 of 100 requests have waited at most.
    pub wait_p95_us: f64,
    /// Time that 95 of 100 have run.
    pub run_p95_us: f64,
    /// Bytes of its files.
    pub bytes: u64,
}
