//! Finds the models that the settings and the tables of this database name, and the runtime.
//!
//! # How a change is seen
//!
//! Which models answer stands in the table `harca.deployment`. A backend reads it once and keeps it until somebody changes
//! it: a trigger of the table then sends an invalidation of the table's relcache entry, as `ALTER TABLE` would. PostgreSQL
//! delivers it when the transaction commits, never when it rolls back, to every backend of the database, to the own one at
//! once, and by WAL to those of physical replicas (`utils/cache/inval.c`). Backends take in such messages when they begin a
//! transaction or lock a table; [`refresh`] does so at every statement, so that one inside a long transaction sees the
//! change as well. All this needs no preloaded library.
//!
//! The tables are read as the server reads its catalogs, by a scan with a snapshot of the latest committed state and the
//! transaction's own changes: it needs no rights of the caller's, runs in parallel workers and on replicas, and sees in a
//! REPEATABLE READ transaction what other sessions see.
//!
//! # The room
//!
//! Promises: finding a model needs no right of the caller's and no SPI. Only `labelled_rows` runs SQL, the caller's own.
//! Uses: [`engine`](crate::engine), [`settings`], [`bridge`](crate::bridge), [`process`](crate::process). Used by: [`backend`](crate::backend),
//! [`api`](crate::api), [`init`](crate::init).
//!
//! - [`engine_model`]: a model that the engine runs.
//! - `tables`: the tables of the registry as a backend reads them.
//! - [`preloaded_models`]: what deployments name is loaded by the engine before anybody asks for it.
//! - [`preloaded_session`]: the session that the postmaster builds for all backends.
//! - `labelled_rows`: labelled queries for an evaluation.

pub mod engine_model;
mod labelled_rows;
pub mod preloaded_models;
pub mod preloaded_session;
mod tables;

use std::cell::Cell;
use std::fmt;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use harca_core::classify::classification::Classification;
use harca_core::classify::classifier::Classifier;
use harca_core::error::{Error, Result};
use harca_core::model::deployment::{Comparison, Share};
use harca_core::model::files::ModelFiles;
use harca_core::model::manifest::Manifest;
use harca_core::model::session::Runtime;
use harca_core::model::transformer::{AnyManifest, Task, TransformerManifest};

use crate::bridge::own_table;
use crate::engine::client::{self, Outcome};
use crate::settings::{self, Executor, Placement};
use engine_model::{EngineModel, Origin};

pub use labelled_rows::labelled_rows;
pub use tables::announce_change;

/// The model that travels inside the library, so that a fresh installation has no file to find.
const BUILTIN_ONNX: &[u8] = include_bytes!("../../models/query_type/model.onnx");
const BUILTIN_MANIFEST: &str = include_str!("../../models/query_type/manifest.json");

/// What a model may take to run in each backend, where that is left to its cost: for one query, and for its graph.
const MOST_TIME: Duration = Duration::from_millis(2);
const MOST_BYTES: u64 = 16 << 20;

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The library.
    Builtin,
    /// A folder, as `pg_harca.model` names it.
    Folder(String),
    /// A row of `harca.model`: its key, and its identity, which is empty where there is no such row.
    Registered {
        /// Name and version.
        model: String,
        /// What tells it from a model that had the name before.
        identity: String,
    },
}

impl Source {
    /// A model as `harca.deployment` names it.
    fn deployed(model: &str) -> Self {
        match model {
            settings::BUILTIN_MODEL => Self::Builtin,
            _ => Self::Registered { model: model.into(), identity: tables::identity(model).unwrap_or_default() },
        }
    }

    /// What tells it from every other one.
    pub fn identity(&self) -> &str {
        match self {
            Self::Builtin => settings::BUILTIN_MODEL,
            Self::Folder(folder) => folder,
            Self::Registered { identity, .. } => identity,
        }
    }

    fn files(&self) -> Result<ModelFiles> {
        match self {
            Self::Builtin => ModelFiles::of_program(BUILTIN_MANIFEST, BUILTIN_ONNX),
            Self::Folder(folder) => ModelFiles::read(&model_folder(folder)),
            Self::Registered { model, identity } => {
                let fail = |reason: &str| Error::ModelFile { path: model.into(), reason: reason.into() };
                let (manifest, graph) = tables::model(model).ok_or_else(|| fail("it is not registered"))?;
                let files = ModelFiles::of_registry(&manifest, graph.into())?;
                if files.identity() != identity {
                    return Err(fail("its manifest is not the one that was registered"));
                }
                Ok(files)
            }
        }
    }
}

impl fmt::Display for Source {
    /// Name and version as far as they are known before the model is loaded.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin => f.write_str(&builtin_name()),
            Self::Folder(folder) => f.write_str(folder),
            Self::Registered { model, .. } => f.write_str(model),
        }
    }
}

/// Which models are to answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployment {
    /// The one that answers.
    pub active: Source,
    /// The one that answers when the active one cannot.
    pub previous: Option<Source>,
    /// The one that is compared with the active one.
    pub challenger: Option<Challenger>,
    /// Since when all this holds, in microseconds as of PostgreSQL: statistics begin anew with every change.
    pub since: i64,
}

/// A model that is compared with the active one.
#[derive(Debug, Clone, PartialEq)]
pub struct Challenger {
    /// The model.
    pub source: Source,
    /// How.
    pub comparison: Comparison,
    /// On which queries.
    pub share: Share,
}

impl Deployment {
    /// One model alone, as before anything was activated.
    pub fn of(active: Source) -> Self {
        Self { active, previous: None, challenger: None, since: 0 }
    }

    fn current() -> Self {
        let setting = settings::model();
        match setting.as_str() {
            settings::ACTIVE_MODEL => tables::deployment().map_or_else(|| Self::of(Source::Builtin), Self::from_row),
            _ => Self::of(chosen(&setting)),
        }
    }

    fn from_row(row: tables::Deployment) -> Self {
        let active = Source::deployed(&row.active);
        let previous = row.previous.as_deref().map(Source::deployed).filter(|previous| *previous != active);
        let challenger =
            row.comparison.as_deref().and_then(Comparison::named).zip(row.challenger).map(|(comparison, model)| {
                Challenger {
                    source: Source::deployed(&model),
                    comparison,
                    share: Share::of(row.share.unwrap_or(0.0), &model),
                }
            });
        Self {
            previous,
            challenger: challenger.filter(|challenger| challenger.source != active),
            active,
            since: row.changed_at,
        }
    }
}

/// The model that `pg_harca.model` names, where that is not the registry.
fn chosen(setting: &str) -> Source {
    match setting {
        settings::ACTIVE_MODEL | settings::BUILTIN_MODEL => Source::Builtin,
        _ => Source::Folder(setting.into()),
    }
}

/// What the postmaster, which has no database, takes for the active model.
pub fn without_database() -> Source {
    chosen(&settings::model())
}

/// The deployment, if it may have changed since the last call, and at the first one; `now` is the statement's time.
///
/// Reads tables, so it may raise an error, a cancel among them; then the next call reads again.
pub fn refresh(now: i64) -> Option<Deployment> {
    thread_local! {
        static STATEMENT: Cell<i64> = const { Cell::new(i64::MIN) };
        static SETTINGS: Cell<Option<u64>> = const { Cell::new(None) };
    }
    if STATEMENT.replace(now) != now {
        own_table::accept_changes();
    }
    let settings = Some(settings::model_settings_version());
    if SETTINGS.get() == settings && !tables::is_changed() {
        return None;
    }
    let deployment = tables::while_unchanged(Deployment::current);
    SETTINGS.set(settings);
    Some(deployment)
}

/// What runs a model.
pub enum Runner {
    /// This process.
    Here(ManuallyDrop<Box<Classifier>>),
    /// The engine.
    Engine(Box<EngineModel>),
}

/// A model ready to answer, and what it was chosen by.
pub struct Model {
    /// What runs it.
    pub runner: Runner,
    /// Where it came from.
    pub source: Source,
    executor: Executor,
    placement: Placement,
    runtime_path: PathBuf,
    process: u32,
}

impl Model {
    /// Whether the settings still name what runs it.
    pub fn is_current(&self) -> bool {
        let runtime = match &self.runner {
            Runner::Here(classifier) => !classifier.takes_runtime() || self.runtime_path == runtime_path(),
            Runner::Engine(_) => true,
        };
        self.executor == settings::executor() && self.placement == settings::placement() && runtime
    }

    /// Name and version.
    pub fn name(&self) -> String {
        match &self.runner {
            Runner::Here(classifier) => name(classifier.manifest()),
            Runner::Engine(model) => {
                let (name, version) = model.manifest().name();
                format!("{name} {version}")
            }
        }
    }

    /// What its scores stand for.
    pub fn labels(&self) -> &[String] {
        match &self.runner {
            Runner::Here(classifier) => &classifier.manifest().labels,
            Runner::Engine(model) => model.types(),
        }
    }

    /// What an answer depends on beside the text.
    pub fn identity(&self) -> &str {
        match &self.runner {
            Runner::Here(classifier) => classifier.identity(),
            Runner::Engine(model) => model.identity(),
        }
    }

    /// SHA-256 of the graph.
    pub fn sha256(&self) -> String {
        match &self.runner {
            Runner::Here(classifier) => classifier.manifest().sha256.to_ascii_lowercase(),
            Runner::Engine(model) => model.manifest().digests().0.to_ascii_lowercase(),
        }
    }

    /// What runs it: `network`, the code of the extension, `onnxruntime` in the backend, or the `engine`.
    pub fn executor(&self) -> &'static str {
        match &self.runner {
            Runner::Here(classifier) if classifier.takes_runtime() => "onnxruntime",
            Runner::Here(_) => "network",
            Runner::Engine(_) => "engine",
        }
    }

    /// Classifies one text.
    pub fn classify(&mut self, text: &str) -> Outcome<Classification> {
        match &mut self.runner {
            Runner::Here(classifier) => Outcome::Done(classifier.classify(text)),
            Runner::Engine(model) => match model.classify(&[text]) {
                Outcome::Interrupted => Outcome::Interrupted,
                Outcome::Done(answers) => Outcome::Done(answers.and_then(|answers| {
                    answers.first().copied().ok_or_else(|| Error::Engine("it has given no answer".into()))
                })),
            },
        }
    }

    /// Bytes of the buffers that it keeps in this process.
    pub fn buffer_bytes(&self) -> usize {
        match &self.runner {
            Runner::Here(classifier) => classifier.buffer_bytes(),
            Runner::Engine(_) => 0,
        }
    }

    /// Frees the session. One that came from the postmaster is given back instead: the runtime must not take apart in one
    /// process what it has built in another.
    pub fn release(self) -> Option<Self> {
        if self.process != std::process::id() {
            return Some(self);
        }
        if let Runner::Here(classifier) = self.runner {
            drop(ManuallyDrop::into_inner(classifier));
        }
        None
    }
}

/// Loads a model, and the runtime if the model takes it: that is milliseconds, so call it once and keep the result. One that
/// the engine runs is loaded there, when it is asked first.
///
/// # Errors
/// As [`ModelFiles::read`], [`Classifier::by_network`], [`Runtime::load`] and [`Classifier::by_runtime`];
/// [`Error::ModelShape`] for one that does not classify, [`Error::Engine`] for one that the engine runs while that is off.
pub fn open(source: &Source) -> Result<Model> {
    let model = match in_engine(source)? {
        Some(_) if !settings::engine() => return Err(Error::Engine("pg_harca.engine is off".into())),
        Some(model) => with_settings(source, Runner::Engine(Box::new(model))),
        None => cheaper(source, start(source, &source.files()?)?)?,
    };
    match &model.runner {
        Runner::Engine(found) if found.task() != Task::Classification => {
            Err(Error::ModelShape("it does not classify, but gives vectors or scores of pairs".into()))
        }
        _ => Ok(model),
    }
}

/// A model that makes vectors of texts, which the engine runs.
///
/// # Errors
/// As [`open`]; [`Error::ModelShape`] for one that makes something else.
pub fn open_embedder(source: &Source) -> Result<EngineModel> {
    let found = in_engine(source)?.filter(|model| model.task() == Task::Embedding);
    found.ok_or_else(|| Error::ModelShape("it makes no vectors of texts".into()))
}

/// The model, if the engine is to run it whatever it costs.
fn in_engine(source: &Source) -> Result<Option<EngineModel>> {
    let everything = settings::placement() == Placement::Engine;
    let by_cost = settings::placement() == Placement::Auto && settings::engine();
    match source {
        Source::Registered { model, identity } => {
            let fail = |reason: &str| Error::ModelFile { path: model.into(), reason: reason.into() };
            let manifest = tables::manifest(model).ok_or_else(|| fail("it is not registered"))?;
            let transformer = matches!(AnyManifest::parse(&manifest)?, AnyManifest::Transformer(_));
            let large = || tables::sizes(model).is_some_and(|(graph, _)| graph > MOST_BYTES);
            if !(transformer || everything || by_cost && large()) {
                return Ok(None);
            }
            let found = EngineModel::new(&manifest, Origin::Table(model.clone()))?;
            if found.identity() != identity {
                return Err(fail("its manifest is not the one that was registered"));
            }
            if transformer && settings::placement() == Placement::Backend {
                return Err(Error::Refused("a model with a tokenizer runs in the engine alone".into()));
            }
            Ok(Some(found))
        }
        Source::Builtin if everything => {
            let origin = Origin::Memory(Bytes::from_static(BUILTIN_ONNX), Bytes::new());
            EngineModel::new(BUILTIN_MANIFEST, origin).map(Some)
        }
        Source::Builtin | Source::Folder(_) => Ok(None),
    }
}

/// The model in the engine, where that is allowed and what it has just taken in this process was too much for each backend.
fn cheaper(source: &Source, mut model: Model) -> Result<Model> {
    let by_cost = settings::placement() == Placement::Auto && settings::engine();
    let (Source::Registered { model: name, .. }, Runner::Here(classifier)) = (source, &mut model.runner) else {
        return Ok(model);
    };
    if !by_cost || fastest(classifier)? <= MOST_TIME {
        return Ok(model);
    }
    let json = tables::manifest(name);
    let fail = || Error::ModelFile { path: name.into(), reason: "it is not registered".into() };
    let moved = EngineModel::new(&json.ok_or_else(fail)?, Origin::Table(name.clone()))?;
    model.release();
    Ok(with_settings(source, Runner::Engine(Box::new(moved))))
}

/// The time of the fastest of its golden queries: whatever else the machine does makes a time longer, never shorter.
fn fastest(classifier: &mut Classifier) -> Result<Duration> {
    let golden: Vec<String> = classifier.manifest().golden.iter().map(|golden| golden.query.clone()).collect();
    let mut fastest = Duration::MAX;
    for query in &golden {
        let began = Instant::now();
        classifier.classify(query)?;
        fastest = fastest.min(began.elapsed());
        if fastest <= MOST_TIME {
            break;
        }
    }
    Ok(fastest)
}

/// Loads a model that somebody wants to register, and gives it with what it would be registered by.
///
/// # Errors
/// As [`ModelFiles::of_applicant`] and [`open`].
pub fn try_out(manifest: &str, graph: Bytes) -> Result<Model> {
    let files = ModelFiles::of_applicant(manifest, graph, settings::max_model_bytes())?;
    let source = Source::Registered { model: name(files.manifest()), identity: files.identity().into() };
    start(&source, &files)
}

/// The same for a model with a tokenizer, which the engine loads and tries. It waits, and a cancel ends it.
///
/// # Errors
/// As [`TransformerManifest::of_applicant`], and those of the engine.
pub fn try_out_transformer(manifest: &str, graph: Bytes, tokenizer: Bytes) -> Result<EngineModel> {
    TransformerManifest::of_applicant(manifest, &graph, &tokenizer, settings::max_engine_model_bytes())?;
    let model = EngineModel::new(manifest, Origin::Memory(graph, tokenizer))?;
    client::wait(|| client::load(&model, None))?;
    Ok(model)
}

/// The model that people call so: by name and version, by name alone, or `builtin`.
///
/// # Errors
/// [`Error::ModelFile`] when there is none.
pub fn named(name: &str) -> Result<Source> {
    if name == settings::BUILTIN_MODEL || name == builtin_name() {
        return Ok(Source::Builtin);
    }
    let fail = || Error::ModelFile { path: name.into(), reason: "it is not registered".into() };
    tables::latest(name).map(|model| Source::deployed(&model)).ok_or_else(fail)
}

/// The model of this name in the registry, or the built-in one, loaded.
///
/// # Errors
/// As [`open`].
pub fn open_named(model: &str) -> Result<Model> {
    open(&Source::deployed(model))
}

fn start(source: &Source, files: &ModelFiles) -> Result<Model> {
    let network = match settings::executor() {
        Executor::Auto => Classifier::by_network(files)?,
        Executor::OnnxRuntime => None,
    };
    let classifier = match network {
        Some(classifier) => classifier,
        None => Classifier::by_runtime(files, Runtime::load(&runtime_path())?)?,
    };
    Ok(with_settings(source, Runner::Here(ManuallyDrop::new(Box::new(classifier)))))
}

fn with_settings(source: &Source, runner: Runner) -> Model {
    Model {
        runner,
        source: source.clone(),
        executor: settings::executor(),
        placement: settings::placement(),
        runtime_path: runtime_path(),
        process: std::process::id(),
    }
}

/// Name and version of a model, as the column `model` shows them.
pub fn name(manifest: &Manifest) -> String {
    format!("{} {}", manifest.name, manifest.version)
}

/// Name and version of the built-in model.
fn builtin_name() -> String {
    Manifest::parse(BUILTIN_MANIFEST).map_or_else(|_| settings::BUILTIN_MODEL.into(), |manifest| name(&manifest))
}

/// The manifest of the built-in model, and the bytes of its graph.
pub fn builtin() -> (&'static str, usize) {
    (BUILTIN_MANIFEST, BUILTIN_ONNX.len())
}

/// Where the runtime is looked for.
pub fn runtime_path() -> PathBuf {
    settings::onnxruntime_path()
        .map_or_else(|| extension_folder().join(crate::process::ONNXRUNTIME_FILE), PathBuf::from)
}

/// The folder of a model: a bare name is one of the installed models.
fn model_folder(setting: &str) -> PathBuf {
    let path = Path::new(setting);
    if path.is_absolute() { path.into() } else { extension_folder().join("models").join(path) }
}

/// `pg_harca/` under the server's library directory.
fn extension_folder() -> PathBuf {
    crate::process::library_directory().join("pg_harca")
}
