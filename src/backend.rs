//! What one backend keeps between calls: the session, the cache of answers, and the counters.
//!
//! The session is built when the first query needs it, never in the postmaster, and outlives errors and `DISCARD ALL`.
//! When it cannot be built or fails, the rules answer; that is tried again after a minute, or as soon as a setting
//! changes.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use harca_core::cache::{Counters, Key, LocalCache};
use harca_core::classification::Classification;
use harca_core::classify::Classifier;
use harca_core::error::{Error, Result};
use harca_core::rules;
use harca_core::session::{self, Runtime};
use once_cell::unsync::OnceCell;

use crate::text::{self, ServerText};
use crate::{error, gucs, init, registry};

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

/// Who answers: a model, or the rules.
struct Source {
    name: String,
    labels: Vec<String>,
}

impl Answer {
    /// The name of the type, `unknown` when the answer is less sure than the settings ask for.
    ///
    /// Judged when the answer is given: the cache keeps what the model said, so that a change of the setting counts at
    /// once and costs no entry.
    pub fn query_type(&self) -> &str {
        self.classification.query_type_if_sure(&self.source.labels, gucs::min_confidence())
    }

    /// The name of the model, with its version, or `rules`.
    pub fn model(&self) -> &str {
        &self.source.name
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
    pub model: Option<String>,
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
    secret: u64,
    cache: LocalCache,
    classifier: OnceCell<Classifier>,
    source: Rc<Source>,
    rules: Rc<Source>,
    failure: Option<Failure>,
    settings: u64,
    /// Identity of the model and all that an answer depends on beside the text; part of every cache key.
    seed: u64,
    warned: Vec<String>,
    pending_warning: Option<Error>,
    inferences: u64,
    rule_answers: u64,
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

/// Classifies queries, those that the cache does not hold in one run; one answer per query, in order.
pub fn classify_batch(queries: &[ServerText]) -> Vec<Answer> {
    let chars = gucs::max_query_chars();
    let prefixes: Vec<_> = queries.iter().map(|q| q.prefix(chars)).collect();
    with_backend(|backend, now| backend.classify_batch(&prefixes, chars, now))
}

/// Builds the session now, if it is not there.
///
/// # Errors
/// Why it cannot be built; a former failure is not remembered here.
pub fn load() -> Result<String> {
    with_backend(|backend, now| {
        backend.failure = None;
        backend.classifier(now).map(|_| ())?;
        Ok(backend.source.name.clone())
    })
}

/// Labels of whoever answers now, in the order of the scores.
///
/// Builds the session if it is not there, as a classification does: only a model itself says what its labels are.
pub fn labels() -> Vec<String> {
    with_backend(|backend, now| {
        let answering = if backend.classifier(now).is_ok() { &backend.source } else { &backend.rules };
        answering.labels.clone()
    })
}

/// What this backend knows of its model.
pub fn status() -> Status {
    with_backend(|backend, _| backend.status())
}

/// Forgets the answers of this backend.
pub fn reset_cache() {
    with_backend(|backend, _| backend.cache.clear());
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
        let rules = Rc::new(Source { name: rules::NAME.into(), labels: rules::LABELS.map(String::from).into() });
        Self {
            secret: init::random_secret(),
            cache: LocalCache::new(gucs::local_cache_size()),
            classifier: OnceCell::new(),
            source: Rc::clone(&rules),
            rules,
            failure: None,
            settings: gucs::model_settings_version(),
            seed: 0,
            warned: Vec::new(),
            pending_warning: None,
            inferences: 0,
            rule_answers: 0,
        }
    }

    fn follow_settings(&mut self) {
        self.cache.set_capacity(gucs::local_cache_size());
        let settings = gucs::model_settings_version();
        if settings != self.settings {
            self.settings = settings;
            self.classifier.take();
            self.failure = None;
        }
    }

    fn classify(&mut self, bytes: &[u8], chars: usize, now: i64) -> Answer {
        if self.classifier(now).is_err() {
            return self.answer_by_rules(bytes, chars);
        }
        let key = self.key(bytes, chars);
        if let Some(classification) = self.cache.get(key, now, gucs::cache_ttl_micros()) {
            return Answer { classification, source: Rc::clone(&self.source) };
        }
        let text = text::to_utf8(bytes, chars);
        let result = self.classifier(now).and_then(|classifier| classifier.classify(&text));
        match result {
            Ok(classification) => {
                self.inferences += 1;
                self.cache.put(key, classification, now);
                Answer { classification, source: Rc::clone(&self.source) }
            }
            Err(error) => {
                self.fail(error, now);
                self.answer_by_rules(bytes, chars)
            }
        }
    }

    fn classify_batch(&mut self, queries: &[&[u8]], chars: usize, now: i64) -> Vec<Answer> {
        if self.classifier(now).is_err() {
            return queries.iter().map(|bytes| self.answer_by_rules(bytes, chars)).collect();
        }
        let ttl = gucs::cache_ttl_micros();
        let keys: Vec<_> = queries.iter().map(|bytes| self.key(bytes, chars)).collect();
        let mut found: Vec<_> = keys.iter().map(|key| self.cache.get(*key, now, ttl)).collect();
        // A query that stands twice in the batch is run once.
        let mut missing: Vec<usize> = (0..queries.len()).filter(|&i| found[i].is_none()).collect();
        missing.sort_unstable_by_key(|&i| (keys[i], i));
        missing.dedup_by_key(|i| keys[*i]);
        let texts: Vec<_> = missing.iter().map(|&i| text::to_utf8(queries[i], chars)).collect();
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let mut classifications = Vec::with_capacity(texts.len());
        let result =
            self.classifier(now).and_then(|classifier| classifier.classify_batch(&texts, &mut classifications));
        if let Err(error) = result {
            self.fail(error, now);
            return queries.iter().map(|bytes| self.answer_by_rules(bytes, chars)).collect();
        }
        self.inferences += missing.len() as u64;
        for (&i, &classification) in missing.iter().zip(&classifications) {
            self.cache.put(keys[i], classification, now);
        }
        for i in 0..queries.len() {
            if found[i].is_none() {
                let place = missing.binary_search_by_key(&keys[i], |&j| keys[j]);
                found[i] = place.ok().map(|place| classifications[place]);
            }
        }
        found
            .into_iter()
            .zip(queries)
            .map(|(classification, bytes)| match classification {
                Some(classification) => Answer { classification, source: Rc::clone(&self.source) },
                None => self.answer_by_rules(bytes, chars),
            })
            .collect()
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
        if self.classifier.get().is_none() {
            match self.classifier.get_or_try_init(registry::open) {
                Ok(classifier) => {
                    let manifest = classifier.manifest();
                    self.source = Rc::new(Source {
                        name: format!("{} {}", manifest.name, manifest.version),
                        labels: manifest.labels.clone(),
                    });
                    self.seed = harca_core::cache::seed(self.secret, &manifest.sha256);
                }
                Err(error) => {
                    self.fail(error.clone(), now);
                    return Err(error);
                }
            }
        }
        self.classifier.get_mut().ok_or_else(|| Error::Inference("no session".into()))
    }

    /// Remembers a failure, and warns of each reason once.
    fn fail(&mut self, error: Error, now: i64) {
        let reason = error.to_string();
        if !self.warned.contains(&reason) {
            self.warned.push(reason);
            self.pending_warning = Some(error.clone());
        }
        self.classifier.take();
        self.failure = Some(Failure { error, at: now });
    }

    fn status(&self) -> Status {
        let runtime = Runtime::loaded();
        let loaded = self.classifier.get().map(Classifier::manifest);
        let state = match (gucs::enabled(), loaded, &self.failure) {
            (false, ..) => "off",
            (_, Some(_), _) => "ready",
            (_, _, Some(_)) => "failed",
            _ => "not loaded",
        };
        Status {
            state,
            model: loaded.map(|_| self.source.name.clone()),
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
            cache_entries: self.cache.len(),
            cache: self.cache.counters(),
        }
    }
}
