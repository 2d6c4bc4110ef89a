//! A model as one backend has it: loaded or not, healthy or not.

use std::cell::RefCell;
use std::rc::Rc;

use harca_core::classify::feature_cache::FeatureCache;
use harca_core::error::{Error, Result};
use harca_core::text::key;
use harca_core::watch::breaker::Change;
use harca_core::watch::model_stats::ModelStats;
use harca_core::watch::traffic::{Claim, Health, Owner, Reason, Role};
use std::time::Duration;

use super::answer::Names;
use super::counting::{Blocks, Counting, Who};
use crate::registry::{self, Model, Runner, Source, preloaded_session};
use crate::{process, settings, shared_memory};

/// Runs without an answer, one after the other, after which a model is left alone: a single query that it cannot take
/// must not cost all others their model.
const STRIKES: u32 = 3;

/// Microseconds that a model of the engine is left alone when the engine does not answer.
const ENGINE_PAUSE: i64 = 1_000_000;

/// A model as this backend has it.
pub struct Entry {
    /// Where it comes from.
    pub source: Source,
    /// What it has answered.
    pub counting: Counting,
    model: Option<Model>,
    names: Option<Rc<Names>>,
    /// Identity of the model and all that an answer depends on beside the text; part of every cache key.
    seed: u64,
    /// Where all backends count the runs of this model.
    stats: Option<&'static ModelStats>,
    health: Option<Claim<Health>>,
    failure: Option<Failure>,
    strikes: u32,
}

struct Failure {
    error: Error,
    at: i64,
}

impl Entry {
    /// A model that is not loaded yet.
    pub fn new(source: Source) -> Self {
        Self {
            source,
            counting: Counting::default(),
            model: None,
            names: None,
            seed: 0,
            stats: None,
            health: None,
            failure: None,
            strikes: 0,
        }
    }

    /// Whether it may be asked: it has not failed, or long enough ago, and the latency bound lets it.
    pub fn is_admitted(&mut self, now: i64) -> bool {
        if let Some(failure) = &self.failure {
            // An engine that has ended is back within seconds.
            let pause = match failure.error {
                Error::Engine(_) | Error::Busy(_) => ENGINE_PAUSE.min(settings::retry_interval()),
                _ => settings::retry_interval(),
            };
            if now.saturating_sub(failure.at) < pause {
                return false;
            }
            self.failure = None;
        }
        // What other sessions have found counts before this one has loaded it.
        self.claim_health(now);
        match self.health() {
            Some(health) => {
                health.breaker.is_closed() || health.breaker.admits(process::current_time(), &settings::limits())
            }
            None => true,
        }
    }

    /// Whether nothing speaks against it at all: neither a failure nor a broken latency bound, nor probation after it.
    pub fn is_sound(&self) -> bool {
        self.failure.is_none() && self.strikes == 0 && self.health().is_none_or(|health| health.breaker.is_closed())
    }

    /// Whether its session is there.
    pub fn is_loaded(&self) -> bool {
        self.model.is_some()
    }

    /// Builds the session, or takes the one that was inherited.
    ///
    /// # Errors
    /// As [`registry::open`].
    pub fn load(&mut self, secret: u64, features: &Rc<RefCell<FeatureCache>>, now: i64) -> Result<()> {
        self.claim_health(now);
        let mut model = preloaded_session::take(&self.source).map_or_else(|| registry::open(&self.source), Ok)?;
        if let Runner::Here(classifier) = &mut model.runner {
            classifier.share_features(Rc::clone(features));
        }
        let name = model.name();
        let identity = model.identity();
        self.names = Some(Rc::new(Names::new(&name, model.labels())));
        self.stats = shared_memory::attach().and_then(|shared| ModelStats::of(shared.models(), identity, &name));
        self.seed = key::seed(secret, identity);
        self.model = Some(model);
        Ok(())
    }

    /// The model to be run, if it is loaded.
    pub fn model_mut(&mut self) -> Option<&mut Model> {
        self.model.as_mut()
    }

    /// The loaded model.
    pub fn model(&self) -> Option<&Model> {
        self.model.as_ref()
    }

    /// Its names, once it was loaded.
    pub fn names(&self) -> Option<&Rc<Names>> {
        self.names.as_ref()
    }

    /// Part of the keys of its answers.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Why it does not answer.
    pub fn failure(&self) -> Option<&Error> {
        self.failure.as_ref().map(|failure| &failure.error)
    }

    /// Frees the session.
    pub fn release(&mut self) {
        if let Some(model) = self.model.take() {
            preloaded_session::release(model);
        }
    }

    /// Forgets that it has failed.
    pub fn forgive(&mut self) {
        self.failure = None;
        self.strikes = 0;
    }

    /// Remembers that it gave no answer; after [`STRIKES`] in a row it is left alone for a while.
    pub fn fail(&mut self, reason: Reason, error: &Error, now: i64) {
        self.claim_health(now);
        if let Some(health) = self.health.and_then(|claim| claim.used(now)) {
            health.fail(reason, process::current_time());
        }
        self.strikes += 1;
        let away = matches!(error, Error::Engine(_) | Error::Protocol(_));
        if reason == Reason::Load || away || self.strikes >= STRIKES {
            self.release();
            self.strikes = 0;
            self.failure = Some(Failure { error: error.clone(), at: now });
        }
    }

    /// Counts a run that gave answers; what that has changed of the latency bound.
    pub fn ran(&mut self, role: Role, queries: usize, elapsed: Duration, since: i64) -> Option<Change> {
        self.strikes = 0;
        let now = process::current_time();
        if settings::track_statistics() {
            if let Some(stats) = self.stats {
                stats.record(queries, elapsed);
            }
            self.with_who(since, now, |counting, who| counting.record(role, queries, elapsed, who));
        }
        let per_query = elapsed / u32::try_from(queries.max(1)).unwrap_or(u32::MAX);
        self.health.and_then(|claim| claim.used(now))?.breaker.record(now, per_query, &settings::limits())
    }

    /// Adds what was counted to what all backends share.
    pub fn add_counts(&mut self, since: i64) {
        let now = process::current_time();
        if self.is_loaded() {
            self.claim_health(now);
        }
        let health = self.health();
        self.with_who(since, now, |counting, who| counting.add(health, who));
    }

    fn with_who(&mut self, since: i64, now: i64, work: impl FnOnce(&mut Counting, &Who<'_>)) {
        if let Some(names) = &self.names {
            let who = Who { model: &names.text, identity: self.source.identity(), since, now };
            work(&mut self.counting, &who);
        }
    }

    /// Where its health is kept.
    pub fn health(&self) -> Option<&'static Health> {
        self.health.and_then(|claim| claim.block())
    }

    /// Finds the place where its health is kept, if it is not known or another model has it now.
    pub fn claim_health(&mut self, now: i64) {
        if self.health().is_none() {
            let owner = Owner {
                database: process::database(),
                role: Role::Active,
                since: 0,
                model: self.source.to_string(),
                identity: self.source.identity().into(),
            };
            self.health = Claim::of(Blocks::get().healths, &owner, now);
        }
    }
}
