//! What a backend tells of itself: of its active model, and of all models of the deployment.

use harca_core::cache::local::Counters;
use harca_core::error::Error;
use harca_core::model::session::{self, Runtime};
use harca_core::watch::traffic::Health;

use super::entry::Entry;
use super::state::{ACTIVE, Backend, CHALLENGER};
use crate::bridge::server_text::ServerName;
use crate::registry::Model;
use crate::{registry, settings};

/// The state of the active model in this backend.
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
    /// Queries that models have run on.
    pub inferences: u64,
    /// Queries that the rules answered.
    pub rule_answers: u64,
    /// Entries of the cache.
    pub cache_entries: usize,
    /// What the cache has done.
    pub cache: Counters,
}

/// A model of the deployment as this backend sees it.
pub struct PartStatus {
    /// In which part.
    pub role: &'static str,
    /// Name and version.
    pub model: String,
    /// What all backends know of it, if any has asked for it.
    pub health: Option<&'static Health>,
    /// Whether this backend has its session.
    pub loaded: bool,
    /// Why this backend does not use it.
    pub failure: Option<String>,
}

impl Backend {
    /// The models of the deployment; those that are asked are loaded.
    pub(super) fn parts(&mut self, now: i64) -> Vec<PartStatus> {
        self.entries.iter_mut().flatten().for_each(|entry| entry.claim_health(now));
        let enabled = settings::enabled();
        for place in [ACTIVE, CHALLENGER] {
            if enabled && self.entries[place].as_mut().is_some_and(|entry| entry.is_admitted(now)) {
                // What is wrong is remembered, and shown below.
                let _ = self.load(place, now);
            }
        }
        let shadow = self.deployment.challenger.as_ref().is_some_and(|one| !one.comparison.answers());
        let roles = ["active", "previous", if shadow { "shadow" } else { "challenger" }];
        let parts = self.entries.iter().zip(roles).filter_map(|(entry, role)| Some((entry.as_ref()?, role)));
        parts
            .map(|(entry, role)| PartStatus {
                role,
                model: entry.names().map_or_else(|| entry.source.to_string(), |names| names.text.clone()),
                health: entry.health(),
                loaded: entry.is_loaded(),
                failure: entry.failure().map(Error::to_string),
            })
            .collect()
    }

    /// What is known of the active model.
    pub(super) fn status(&self) -> Status {
        let runtime = Runtime::loaded();
        let active = self.entries[ACTIVE].as_ref();
        let loaded = active.and_then(Entry::model);
        let failure = active.and_then(Entry::failure);
        let state = match (settings::enabled(), loaded, failure) {
            (false, ..) => "off",
            (_, Some(_), _) => "ready",
            (_, _, Some(_)) => "failed",
            _ => "not loaded",
        };
        Status {
            state,
            model: loaded.and_then(|_| Some(self.names(ACTIVE)?.name())),
            sha256: loaded.map(Model::sha256),
            failure: failure.map(Error::to_string),
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
