//! The state of one backend: which models it has, which of them are to be asked, and what went wrong.

use std::cell::RefCell;
use std::rc::Rc;

use harca_core::classify::feature_cache::FeatureCache;
use harca_core::error::{Error, Result};
use harca_core::model::session;
use harca_core::text::key::Key;
use harca_core::watch::traffic::{Reason, Role};

use super::answer::Names;
use super::counting::{Counting, Pace};
use super::entry::Entry;
use crate::registry::{Deployment, Source};
use crate::settings;
use crate::shared_memory::Memory;
use crate::shared_memory::answer_cache::Cache;

/// Places of [`Backend::entries`].
pub(super) const ACTIVE: usize = 0;
pub(super) const PREVIOUS: usize = 1;
pub(super) const CHALLENGER: usize = 2;

/// Whom a query goes to, one after the other until somebody answers.
pub(super) type Chain = &'static [(Role, usize)];

pub(super) const DEFAULT_CHAIN: Chain = &[(Role::Active, ACTIVE), (Role::Fallback, PREVIOUS)];
pub(super) const CHALLENGER_CHAIN: Chain =
    &[(Role::Challenger, CHALLENGER), (Role::Active, ACTIVE), (Role::Fallback, PREVIOUS)];

/// What one backend keeps between calls.
pub struct Backend {
    pub(super) cache: Cache,
    /// Outlives the models: the next one may have the same encoder.
    pub(super) features: Rc<RefCell<FeatureCache>>,
    pub(super) deployment: Deployment,
    /// The models of the deployment, by the constants below, and no others.
    pub(super) entries: [Option<Entry>; 3],
    /// The classes of the challenger among those of the active model, once both are known.
    pub(super) challenger_places: Option<Vec<usize>>,
    pub(super) rules: Rc<Names>,
    pub(super) rules_counting: Counting,
    pub(super) pace: Pace,
    /// What the runtime and the models have added to the memory of this process, in bytes.
    pub(super) session_bytes: u64,
    /// What the other processes were told last.
    pub(super) told: Option<Memory>,
    pub(super) warned: Vec<String>,
    pub(super) pending_warnings: Vec<Error>,
    pub(super) inferences: u64,
    pub(super) rule_answers: u64,
}

impl Backend {
    pub(super) fn new() -> Self {
        let cache = Cache::new();
        let features = Rc::new(RefCell::new(FeatureCache::new(settings::feature_cache_size(), cache.secret())));
        Self {
            cache,
            features,
            deployment: Deployment::of(Source::Builtin),
            entries: [Some(Entry::new(Source::Builtin)), None, None],
            challenger_places: None,
            rules: Rc::new(Names::of_rules()),
            rules_counting: Counting::default(),
            pace: Pace::default(),
            session_bytes: 0,
            told: None,
            warned: Vec::new(),
            pending_warnings: Vec::new(),
            inferences: 0,
            rule_answers: 0,
        }
    }

    pub(super) fn follow_settings(&mut self, deployment: Option<Deployment>) {
        self.cache.follow_settings();
        self.features.borrow_mut().set_capacity(settings::feature_cache_size());
        let Some(deployment) = deployment else { return };
        self.add_counts();
        let mut former: Vec<Entry> = self.entries.iter_mut().filter_map(Option::take).collect();
        let mut entry = |source: &Source| match former.iter().position(|entry| entry.source == *source) {
            Some(place) => former.swap_remove(place),
            None => Entry::new(source.clone()),
        };
        self.entries = [
            Some(entry(&deployment.active)),
            deployment.previous.as_ref().map(&mut entry),
            deployment.challenger.as_ref().map(|challenger| entry(&challenger.source)),
        ];
        self.deployment = deployment;
        self.challenger_places = None;
        for entry in self.entries.iter_mut().flatten() {
            // Counts begin anew with the deployment.
            entry.counting = Counting::default();
            entry.forgive();
        }
        self.rules_counting = Counting::default();
        self.release(former);
        // A reload assigns every setting again, mostly to what it was.
        for place in [ACTIVE, PREVIOUS, CHALLENGER] {
            if self.entries[place].as_ref().and_then(Entry::model).is_some_and(|model| !model.is_current()) {
                self.release_at(place);
            }
        }
        self.release_idle();
    }

    /// Frees the session of the previous model when the active one needs no replacement.
    pub(super) fn release_idle(&mut self) {
        let sound = self.entries[ACTIVE].as_ref().is_some_and(Entry::is_sound);
        if sound && self.entries[PREVIOUS].as_ref().is_some_and(Entry::is_loaded) {
            self.release_at(PREVIOUS);
        }
    }

    pub(super) fn release_at(&mut self, place: usize) {
        if let Some(entry) = self.entries[place].take() {
            let before = session::private_memory();
            let mut entry = entry;
            entry.release();
            self.weigh(before);
            self.entries[place] = Some(entry);
        }
    }

    pub(super) fn release(&mut self, entries: Vec<Entry>) {
        if entries.is_empty() {
            return;
        }
        let before = session::private_memory();
        entries.into_iter().for_each(|mut entry| entry.release());
        self.weigh(before);
        self.tell_memory();
    }

    /// Whom a query goes to.
    pub(super) fn chain(&self, bytes: &[u8]) -> Chain {
        match &self.deployment.challenger {
            Some(challenger) if challenger.comparison.answers() && challenger.share.holds(bytes) => CHALLENGER_CHAIN,
            _ => DEFAULT_CHAIN,
        }
    }

    /// The place of the shadow, if there is one and it takes part in this query.
    pub(super) fn shadow(&self, bytes: &[u8]) -> Option<usize> {
        let challenger = self.deployment.challenger.as_ref()?;
        (!challenger.comparison.answers() && challenger.share.holds(bytes)).then_some(CHALLENGER)
    }

    /// Whether the model at this place is to be asked; its session is built if it is not there.
    pub(super) fn is_ready(&mut self, place: usize, now: i64) -> bool {
        if !settings::enabled() {
            return false;
        }
        let Some(entry) = &mut self.entries[place] else { return false };
        entry.is_admitted(now) && (entry.is_loaded() || self.load(place, now).is_ok())
    }

    pub(super) fn load(&mut self, place: usize, now: i64) -> Result<()> {
        let Some(entry) = &mut self.entries[place] else { return Err(Error::Inference("no model".into())) };
        if entry.is_loaded() {
            return Ok(());
        }
        let before = session::private_memory();
        match entry.load(self.cache.secret(), &self.features, now) {
            Ok(()) => {
                self.weigh(before);
                self.tell_memory();
                Ok(())
            }
            Err(error) => {
                self.fail(place, Reason::Load, &error, now);
                Err(error)
            }
        }
    }

    pub(super) fn names(&self, place: usize) -> Option<&Rc<Names>> {
        self.entries[place].as_ref().and_then(Entry::names)
    }

    pub(super) fn key(&self, place: usize, bytes: &[u8], chars: usize) -> Key {
        let seed = self.entries[place].as_ref().map_or(0, Entry::seed);
        Key::new(bytes, seed ^ (chars as u64).rotate_left(32))
    }

    /// Whoever answers by default now; builds the session if it is not there.
    pub(super) fn answering(&mut self, now: i64) -> &Names {
        let place = DEFAULT_CHAIN.iter().map(|(_, place)| *place).find(|&place| self.is_ready(place, now));
        place.and_then(|place| self.names(place)).unwrap_or(&self.rules)
    }

    /// Remembers a failure, and warns of each reason once.
    pub(super) fn fail(&mut self, place: usize, reason: Reason, error: &Error, now: i64) {
        let before = session::private_memory();
        if let Some(entry) = &mut self.entries[place] {
            entry.fail(reason, error, now);
        }
        self.weigh(before);
        self.warn(error);
    }

    pub(super) fn warn(&mut self, error: &Error) {
        let reason = error.to_string();
        if !self.warned.contains(&reason) {
            self.warned.push(reason);
            self.pending_warnings.push(error.clone());
        }
    }
}
