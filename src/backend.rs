//! What one backend keeps between calls: the session, the cache of answers, and the counters.
//!
//! The session comes from the postmaster, if it has built one that fits the settings, or is built when the first query
//! needs it. It outlives errors and `DISCARD ALL`. When it cannot be built or fails, the rules answer; that is tried
//! again after a minute, or as soon as a setting changes.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::time::{Duration, Instant};

use harca_core::cache::{Counters, Key};
use harca_core::classification::Classification;
use harca_core::classify::Classifier;
use harca_core::error::{Error, Result};
use harca_core::feature_cache::FeatureCache;
use harca_core::manifest::UNKNOWN;
use harca_core::model_stats::ModelStats;
use harca_core::rules;
use harca_core::session::{self, Runtime};
use pgrx::pg_sys;

use crate::cache::{Cache, LocalUse};
use crate::registry::Model;
use crate::shmem::Memory;
use crate::text::{self, ServerName, ServerText};
use crate::{error, gucs, init, preload, registry, shmem};

/// How long a failed model is left alone, in microseconds.
const RETRY_AFTER: i64 = 60_000_000;

thread_local! {
    // Never dropped: the runtime must not be torn down by an exit handler while PostgreSQL's own still run.
    static BACKEND: ManuallyDrop<RefCell<Backend>> = ManuallyDrop::new(RefCell::new(Backend::new()));
}

/// An answer with the names it needs to be shown.
#[derive(Clone)]
pub struct Answer {
    classification: Classification,
    source: Rc<Source>,
}

/// Who answers: a model, or the rules; names are kept as the server takes them, so that an answer costs no conversion.
struct Source {
    name: ServerName,
    labels: Vec<ServerName>,
    unknown: ServerName,
}

impl Source {
    fn new(name: &str, labels: &[impl AsRef<str>]) -> Self {
        Self {
            name: ServerName::new(name),
            labels: labels.iter().map(|label| ServerName::new(label.as_ref())).collect(),
            unknown: ServerName::new(UNKNOWN),
        }
    }
}

impl Answer {
    /// The name of the type, `unknown` when the answer is less sure than the settings ask for.
    ///
    /// Judged when the answer is given: the cache keeps what the model said, so that a change of the setting counts at
    /// once and costs no entry.
    pub fn query_type(&self) -> ServerName {
        let label = self.classification.label_if_sure(gucs::min_confidence());
        label.and_then(|i| self.source.labels.get(i)).copied().unwrap_or(self.source.unknown)
    }

    /// The name of the model, with its version, or `rules`.
    pub fn model(&self) -> ServerName {
        self.source.name
    }

    /// Confidence, scores and language.
    pub fn classification(&self) -> &Classification {
        &self.classification
    }
}

/// The state of the model in this backend.
pub struct Status {
    /// `off`, `not loaded`, `ready` or `failed`.
    pub state: &'static str,
    /// Name and version of the model, when one is loaded.
    pub model: Option<ServerName>,
    /// SHA-256 of the model file.
    pub sha256: Option<String>,
    /// Why there is no model.
    pub failure: Option<String>,
    /// Version of ONNX Runtime, once loaded.
    pub runtime_version: Option<&'static str>,
    /// File of ONNX Runtime, loaded or to be loaded.
    pub runtime_path: String,
    /// Threads of this process.
    pub threads: Option<usize>,
    /// Queries that the model has run on.
    pub inferences: u64,
    /// Queries that the rules answered.
    pub rule_answers: u64,
    /// Entries of the cache.
    pub cache_entries: usize,
    /// What the cache has done.
    pub cache: Counters,
}

struct Backend {
    cache: Cache,
    /// Outlives the model: the next one may have the same encoder.
    features: Rc<RefCell<FeatureCache>>,
    model: Option<Model>,
    /// Where all backends count the runs of this model.
    stats: Option<&'static ModelStats>,
    source: Rc<Source>,
    rules: Rc<Source>,
    failure: Option<Failure>,
    settings: u64,
    /// What the runtime and the model have added to the memory of this process, in bytes.
    session_bytes: u64,
    /// What the other processes were told last.
    told: Option<Memory>,
    /// Identity of the model and all that an answer depends on beside the text; part of every cache key.
    seed: u64,
    warned: Vec<String>,
    pending_warning: Option<Error>,
    inferences: u64,
    rule_answers: u64,
}

/// Queries on the way to their answers.
#[derive(Default)]
struct Batch<'q> {
    chars: usize,
    queries: Vec<Query<'q>>,
    /// Places of queries that the model has to answer, each text once, in the order of their keys.
    missing: Vec<usize>,
    /// How many of the missing ones the classifier is at work on.
    begun: usize,
    /// What the model has answered, in the order of the keys.
    found: Vec<(Key, Classification)>,
}

struct Query<'q> {
    bytes: &'q [u8],
    key: Key,
    /// What the cache has answered.
    answer: Option<Classification>,
}

struct Failure {
    error: Error,
    at: i64,
}

/// Classifies one query.
pub fn classify(query: ServerText) -> Answer {
    let chars = gucs::max_query_chars();
    let bytes = query.prefix(chars);
    with_backend(|backend, now| backend.classify(bytes, chars, now))
}

/// Classifies queries, those that the cache does not hold in few runs; one answer per query, in order.
///
/// Between two runs, where nothing is borrowed, a cancelled query ends.
pub fn classify_batch(queries: &[ServerText]) -> Vec<Answer> {
    let chars = gucs::max_query_chars();
    let prefixes: Vec<_> = queries.iter().map(|q| q.prefix(chars)).collect();
    let mut batch = with_backend(|backend, now| backend.look_up(&prefixes, chars, now));
    while with_backend(|backend, now| backend.run(&mut batch, now)) {
        pg_sys::check_for_interrupts!();
    }
    with_backend(|backend, _| backend.answers(batch))
}

/// Builds the session now, if it is not there.
///
/// # Errors
/// Why it cannot be built; a former failure is not remembered here.
pub fn load() -> Result<ServerName> {
    with_backend(|backend, now| {
        backend.failure = None;
        backend.classifier(now).map(|_| ())?;
        Ok(backend.source.name)
    })
}

/// Builds the session now, if it is not there, as a classification does; the name of whoever answers then.
pub fn prewarm() -> ServerName {
    with_backend(|backend, now| backend.answering(now).name)
}

/// Labels of whoever answers now, in the order of the scores.
///
/// Builds the session if it is not there, as a classification does: only a model itself says what its labels are.
pub fn labels() -> Vec<ServerName> {
    with_backend(|backend, now| backend.answering(now).labels.clone())
}

/// What this backend knows of its model.
pub fn status() -> Status {
    with_backend(|backend, _| backend.status())
}

/// Forgets the answers that this backend keeps for itself, and gives their number.
pub fn reset_cache() -> usize {
    with_backend(|backend, _| backend.cache.clear_local())
}

/// The cache that this backend keeps for itself.
pub fn local_cache() -> LocalUse {
    with_backend(|backend, _| backend.cache.local())
}

/// What this backend keeps in memory of its own.
pub fn memory() -> Memory {
    with_backend(|backend, _| {
        backend.tell_memory();
        backend.memory()
    })
}

/// Runs `work` on the backend's state, then gives the warning it has left: `ereport` must not run while the state is
/// borrowed.
fn with_backend<R>(work: impl FnOnce(&mut Backend, i64) -> R) -> R {
    let (result, warning) = BACKEND.with(|backend| {
        let backend = &mut *backend.borrow_mut();
        backend.follow_settings();
        let result = work(backend, init::statement_time());
        (result, backend.pending_warning.take())
    });
    if let Some(error) = warning {
        error::report(&error).report(pgrx::PgLogLevel::WARNING);
    }
    result
}

impl Backend {
    fn new() -> Self {
        let rules = Rc::new(Source::new(rules::NAME, &rules::LABELS));
        let cache = Cache::new();
        let features = Rc::new(RefCell::new(FeatureCache::new(gucs::feature_cache_size(), cache.secret())));
        Self {
            cache,
            features,
            model: None,
            stats: None,
            source: Rc::clone(&rules),
            rules,
            failure: None,
            settings: gucs::model_settings_version(),
            session_bytes: 0,
            told: None,
            seed: 0,
            warned: Vec::new(),
            pending_warning: None,
            inferences: 0,
            rule_answers: 0,
        }
    }

    fn follow_settings(&mut self) {
        self.cache.follow_settings();
        self.features.borrow_mut().set_capacity(gucs::feature_cache_size());
        let settings = gucs::model_settings_version();
        if settings != self.settings {
            self.settings = settings;
            self.failure = None;
            // A reload assigns every setting again, mostly to what it was.
            if self.model.as_ref().is_some_and(|model| !model.is_chosen()) {
                self.release_model();
            }
        }
    }

    fn classify(&mut self, bytes: &[u8], chars: usize, now: i64) -> Answer {
        if self.classifier(now).is_err() {
            return self.answer_by_rules(bytes, chars);
        }
        let key = self.key(bytes, chars);
        if let Some(classification) = self.cache.get(key, now) {
            return Answer { classification, source: Rc::clone(&self.source) };
        }
        let text = text::to_utf8(bytes, chars);
        let started = Instant::now();
        let result = self.classifier(now).and_then(|classifier| classifier.classify(&text));
        match result {
            Ok(classification) => {
                self.inferences += 1;
                self.record(1, started.elapsed());
                self.cache.put(key, classification, now);
                self.tell_memory();
                Answer { classification, source: Rc::clone(&self.source) }
            }
            Err(error) => {
                self.fail(error, now);
                self.answer_by_rules(bytes, chars)
            }
        }
    }

    fn look_up<'q>(&mut self, queries: &[&'q [u8]], chars: usize, now: i64) -> Batch<'q> {
        let answering = self.classifier(now).is_ok();
        let mut batch = Batch { chars, ..Batch::default() };
        for (place, bytes) in queries.iter().enumerate() {
            let key = self.key(bytes, chars);
            let answer = answering.then(|| self.cache.get(key, now)).flatten();
            batch.queries.push(Query { bytes, key, answer });
            if answering && answer.is_none() {
                batch.missing.push(place);
            }
        }
        // A query that stands twice in the batch is run once.
        batch.missing.sort_unstable_by_key(|&place| (batch.queries[place].key, place));
        batch.missing.dedup_by_key(|place| batch.queries[*place].key);
        batch
    }

    /// Does one run for what is missing; whether there is anything left to do.
    fn run(&mut self, batch: &mut Batch<'_>, now: i64) -> bool {
        if batch.missing.is_empty() {
            return false;
        }
        let result = self.classifier(now).and_then(|classifier| {
            if batch.begun == 0 {
                let missing = batch.missing.iter().map(|&place| text::to_utf8(batch.queries[place].bytes, batch.chars));
                let texts: Vec<_> = missing.collect();
                let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
                batch.begun = classifier.begin_batch(&texts, gucs::batch_size());
            }
            classifier.next_run()
        });
        match result {
            Ok(Some(run)) => self.record(run.rows, run.elapsed),
            Ok(None) => self.keep(batch, now),
            Err(error) => {
                self.fail(error, now);
                batch.missing.clear();
            }
        }
        !batch.missing.is_empty()
    }

    fn record(&self, queries: usize, elapsed: Duration) {
        if let Some(stats) = self.stats.filter(|_| gucs::track_statistics()) {
            stats.record(queries, elapsed);
        }
    }

    /// Takes over the answers of the texts that were begun.
    fn keep(&mut self, batch: &mut Batch<'_>, now: i64) {
        let Some(model) = &self.model else { return };
        for (place, &answer) in batch.missing.drain(..batch.begun).zip(model.classifier.batch_answers()) {
            let key = batch.queries[place].key;
            self.cache.put(key, answer, now);
            batch.found.push((key, answer));
        }
        self.inferences += batch.begun as u64;
        batch.begun = 0;
        self.tell_memory();
    }

    fn memory(&self) -> Memory {
        Memory {
            session: self.session_bytes,
            buffers: (self.model.as_ref().map_or(0, |model| model.classifier.buffer_bytes())
                + self.features.borrow().bytes()) as u64,
            local_cache: self.cache.local().bytes as u64,
        }
    }

    fn tell_memory(&mut self) {
        let memory = self.memory();
        if self.told != Some(memory)
            && let Some(shared) = shmem::attach()
        {
            shared.tell(memory);
            self.told = Some(memory);
        }
    }

    fn answers(&mut self, batch: Batch<'_>) -> Vec<Answer> {
        let answer = |query: &Query<'_>| {
            let classification = query.answer.or_else(|| {
                let place = batch.found.binary_search_by_key(&query.key, |(key, _)| *key).ok()?;
                Some(batch.found[place].1)
            });
            match classification {
                Some(classification) => Answer { classification, source: Rc::clone(&self.source) },
                None => self.answer_by_rules(query.bytes, batch.chars),
            }
        };
        batch.queries.iter().map(answer).collect()
    }

    fn answer_by_rules(&mut self, bytes: &[u8], chars: usize) -> Answer {
        self.rule_answers += 1;
        let classification = rules::classify(&text::to_utf8(bytes, chars));
        Answer { classification, source: Rc::clone(&self.rules) }
    }

    fn key(&self, bytes: &[u8], chars: usize) -> Key {
        Key::new(bytes, self.seed ^ (chars as u64).rotate_left(32))
    }

    /// The classifier, built at the first call; an error means that the rules are to answer.
    fn classifier(&mut self, now: i64) -> Result<&mut Classifier> {
        if !gucs::enabled() {
            return Err(Error::Inference("pg_harca.enabled is off".into()));
        }
        if let Some(failure) = &self.failure {
            if now.saturating_sub(failure.at) < RETRY_AFTER {
                return Err(failure.error.clone());
            }
            self.failure = None;
        }
        if self.model.is_none() {
            let before = session::private_memory();
            match preload::take().map_or_else(registry::open, Ok) {
                Ok(mut model) => {
                    self.weigh(before);
                    model.classifier.share_features(Rc::clone(&self.features));
                    let manifest = model.classifier.manifest();
                    let name = format!("{} {}", manifest.name, manifest.version);
                    self.source = Rc::new(Source::new(&name, &manifest.labels));
                    self.stats =
                        shmem::attach().and_then(|shared| ModelStats::of(shared.models(), &manifest.sha256, &name));
                    self.seed = harca_core::cache::seed(self.cache.secret(), &manifest.sha256);
                    self.model = Some(model);
                    self.tell_memory();
                }
                Err(error) => {
                    self.fail(error.clone(), now);
                    return Err(error);
                }
            }
        }
        self.model.as_mut().map(|model| &mut *model.classifier).ok_or_else(|| Error::Inference("no session".into()))
    }

    /// Whoever answers now; builds the session if it is not there.
    fn answering(&mut self, now: i64) -> &Source {
        if self.classifier(now).is_ok() { &self.source } else { &self.rules }
    }

    fn release_model(&mut self) {
        if let Some(model) = self.model.take() {
            let before = session::private_memory();
            model.release();
            self.weigh(before);
        }
    }

    /// Puts down what the memory of this process has grown by since it was `before`, or lost.
    fn weigh(&mut self, before: Option<u64>) {
        if let Some((before, now)) = before.zip(session::private_memory()) {
            self.session_bytes = (self.session_bytes + now).saturating_sub(before);
        }
    }

    /// Remembers a failure, and warns of each reason once.
    fn fail(&mut self, error: Error, now: i64) {
        let reason = error.to_string();
        if !self.warned.contains(&reason) {
            self.warned.push(reason);
            self.pending_warning = Some(error.clone());
        }
        self.release_model();
        self.failure = Some(Failure { error, at: now });
    }

    fn status(&self) -> Status {
        let runtime = Runtime::loaded();
        let loaded = self.model.as_ref().map(|model| model.classifier.manifest());
        let state = match (gucs::enabled(), loaded, &self.failure) {
            (false, ..) => "off",
            (_, Some(_), _) => "ready",
            (_, _, Some(_)) => "failed",
            _ => "not loaded",
        };
        Status {
            state,
            model: loaded.map(|_| self.source.name),
            sha256: loaded.map(|manifest| manifest.sha256.clone()),
            failure: self.failure.as_ref().map(|failure| failure.error.to_string()),
            runtime_version: runtime.map(Runtime::version),
            runtime_path: runtime
                .map_or_else(registry::runtime_path, |runtime| runtime.path().into())
                .to_string_lossy()
                .into_owned(),
            threads: session::thread_count(),
            inferences: self.inferences,
            rule_answers: self.rule_answers,
            cache_entries: self.cache.local().entries,
            cache: self.cache.counters(),
        }
    }
}
