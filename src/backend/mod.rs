//! What one backend keeps between calls: the models that are to answer, the cache of answers, and the counters.
//!
//! A session comes from the postmaster, if it has built one that fits, or is built when the first query needs it. It
//! outlives errors and `DISCARD ALL`. When the active model cannot be had, fails or is too slow, the previous one answers,
//! and without one the rules; a model that has failed is tried again after `pg_harca.retry_interval`, or as soon as a
//! setting changes.

mod answer;
mod batch;
mod counting;
mod entry;
pub mod query_log;
mod status;

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::time::Instant;

use harca_core::classify::classification::Classification;
use harca_core::classify::feature_cache::FeatureCache;
use harca_core::classify::rules;
use harca_core::error::{Error, Result};
use harca_core::model::session;
use harca_core::text::key::Key;
use harca_core::watch::breaker::Change;
use harca_core::watch::traffic::{Reason, Role, Tally};
use pgrx::pg_sys;

pub use answer::Answer;
use answer::Names;
pub use counting::Blocks;
use counting::{Counting, Pace, Who, class_in, places};
use entry::Entry;
pub use status::{PartStatus, Status};

use crate::bridge::error_report;
use crate::bridge::server_text::{self, ServerName, ServerText};
use crate::process;
use crate::registry::{self, Deployment, Source};
use crate::settings;
use crate::shared_memory;
use crate::shared_memory::Memory;
use crate::shared_memory::answer_cache::{Cache, LocalUse};

thread_local! {
    // Never dropped: the runtime must not be torn down by an exit handler while PostgreSQL's own still run.
    static BACKEND: ManuallyDrop<RefCell<Backend>> = ManuallyDrop::new(RefCell::new(Backend::new()));
}

struct Backend {
    cache: Cache,
    /// Outlives the models: the next one may have the same encoder.
    features: Rc<RefCell<FeatureCache>>,
    deployment: Deployment,
    /// The models of the deployment, by the constants below, and no others.
    entries: [Option<Entry>; 3],
    /// The classes of the challenger among those of the active model, once both are known.
    challenger_places: Option<Vec<usize>>,
    rules: Rc<Names>,
    rules_counting: Counting,
    pace: Pace,
    /// What the runtime and the models have added to the memory of this process, in bytes.
    session_bytes: u64,
    /// What the other processes were told last.
    told: Option<Memory>,
    warned: Vec<String>,
    pending_warnings: Vec<Error>,
    inferences: u64,
    rule_answers: u64,
}

/// Places of [`Backend::entries`].
const ACTIVE: usize = 0;
const PREVIOUS: usize = 1;
const CHALLENGER: usize = 2;

/// Whom a query goes to, one after the other until somebody answers.
type Chain = &'static [(Role, usize)];

const DEFAULT_CHAIN: Chain = &[(Role::Active, ACTIVE), (Role::Fallback, PREVIOUS)];
const CHALLENGER_CHAIN: Chain = &[(Role::Challenger, CHALLENGER), (Role::Active, ACTIVE), (Role::Fallback, PREVIOUS)];

/// Classifies one query.
pub fn classify(query: ServerText) -> Answer {
    let chars = settings::max_query_chars();
    let bytes = query.prefix(chars);
    with_backend(|backend, now| backend.classify(bytes, chars, now))
}

/// Classifies queries, those that the cache does not hold in few runs; one answer per query, in order.
///
/// Between two runs, where nothing is borrowed, a cancelled query ends.
pub fn classify_batch(queries: &[ServerText]) -> Vec<Answer> {
    let chars = settings::max_query_chars();
    let prefixes: Vec<_> = queries.iter().map(|q| q.prefix(chars)).collect();
    let mut batch = with_backend(|backend, now| backend.begin(&prefixes, chars, now));
    // The models stay what they are until all is answered: a change is seen by the next call.
    while with_state(|backend, now| backend.run(&mut batch, now)) {
        pg_sys::check_for_interrupts!();
    }
    with_state(|backend, _| backend.answers(batch))
}

/// Builds the session of the active model now, if it is not there.
///
/// # Errors
/// Why it cannot be built; a former failure is not remembered here.
pub fn load() -> Result<ServerName> {
    with_backend(|backend, now| {
        backend.entries.iter_mut().flatten().for_each(Entry::forgive);
        backend.load(ACTIVE, now)?;
        backend.names(ACTIVE).map(|names| names.name()).ok_or_else(|| Error::Inference("no session".into()))
    })
}

/// Builds the session now, if it is not there, as a classification does; the name of whoever answers then.
pub fn prewarm() -> ServerName {
    with_backend(|backend, now| backend.answering(now).name())
}

/// Labels of whoever answers now, in the order of the scores.
///
/// Builds the session if it is not there, as a classification does: only a model itself says what its labels are.
pub fn labels() -> Vec<ServerName> {
    with_backend(|backend, now| backend.answering(now).server_labels().to_vec())
}

/// What this backend knows of its active model.
pub fn status() -> Status {
    with_backend(|backend, _| backend.status())
}

/// The models of the deployment. Those that are asked are loaded, so that what is wrong with them is known.
pub fn parts() -> Vec<PartStatus> {
    with_backend(|backend, now| backend.parts(now))
}

/// Adds what this backend has counted to what all share.
pub fn add_counts() {
    with_backend(|backend, _| backend.add_counts());
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

/// Runs `work` on the backend's state, after it has followed the settings and the deployment.
fn with_backend<R>(work: impl FnOnce(&mut Backend, i64) -> R) -> R {
    // Reads tables, which may end in an error: not while the state is borrowed.
    let deployment = registry::refresh(process::statement_time());
    with_state(|backend, now| {
        backend.follow_settings(deployment);
        work(backend, now)
    })
}

/// Runs `work` on the backend's state as it is, then gives the warnings it has left: `ereport` must not run while the
/// state is borrowed.
fn with_state<R>(work: impl FnOnce(&mut Backend, i64) -> R) -> R {
    let (result, warnings) = BACKEND.with(|backend| {
        let backend = &mut *backend.borrow_mut();
        let result = work(backend, process::statement_time());
        let none = backend.pending_warnings.is_empty();
        (result, if none { Vec::new() } else { std::mem::take(&mut backend.pending_warnings) })
    });
    for error in warnings {
        error_report::report(&error).report(pgrx::PgLogLevel::WARNING);
    }
    result
}

/// Called by the server; where an error has just ended a classification, what it has counted waits for the next time.
fn transaction_ended() {
    BACKEND.with(|backend| {
        if let Ok(mut backend) = backend.try_borrow_mut()
            && backend.pace.restart()
        {
            backend.add_counts();
            backend.release_idle();
        }
    });
}

/// Logs the query, if it is one of those that are.
fn log(bytes: &[u8], chars: usize, answer: &Answer) {
    if query_log::is_sampled() {
        query_log::append(
            &server_text::to_utf8(bytes, chars),
            answer.label(),
            answer.classification(),
            &answer.names().text,
        );
    }
}

impl Backend {
    fn new() -> Self {
        counting::at_transaction_end();
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

    fn follow_settings(&mut self, deployment: Option<Deployment>) {
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
    fn release_idle(&mut self) {
        let sound = self.entries[ACTIVE].as_ref().is_some_and(Entry::is_sound);
        if sound && self.entries[PREVIOUS].as_ref().is_some_and(Entry::is_loaded) {
            self.release_at(PREVIOUS);
        }
    }

    fn release_at(&mut self, place: usize) {
        if let Some(entry) = self.entries[place].take() {
            let before = session::private_memory();
            let mut entry = entry;
            entry.release();
            self.weigh(before);
            self.entries[place] = Some(entry);
        }
    }

    fn release(&mut self, entries: Vec<Entry>) {
        if entries.is_empty() {
            return;
        }
        let before = session::private_memory();
        entries.into_iter().for_each(|mut entry| entry.release());
        self.weigh(before);
        self.tell_memory();
    }

    /// Whom a query goes to.
    fn chain(&self, bytes: &[u8]) -> Chain {
        match &self.deployment.challenger {
            Some(challenger) if challenger.comparison.answers() && challenger.share.holds(bytes) => CHALLENGER_CHAIN,
            _ => DEFAULT_CHAIN,
        }
    }

    /// The place of the shadow, if there is one and it takes part in this query.
    fn shadow(&self, bytes: &[u8]) -> Option<usize> {
        let challenger = self.deployment.challenger.as_ref()?;
        (!challenger.comparison.answers() && challenger.share.holds(bytes)).then_some(CHALLENGER)
    }

    /// Whether the model at this place is to be asked; its session is built if it is not there.
    fn is_ready(&mut self, place: usize, now: i64) -> bool {
        if !settings::enabled() {
            return false;
        }
        let Some(entry) = &mut self.entries[place] else { return false };
        entry.is_admitted(now) && (entry.is_loaded() || self.load(place, now).is_ok())
    }

    fn load(&mut self, place: usize, now: i64) -> Result<()> {
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

    fn classify(&mut self, bytes: &[u8], chars: usize, now: i64) -> Answer {
        let answered = self.chain(bytes).iter().find_map(|&(role, place)| {
            let answer = self.is_ready(place, now).then(|| self.ask(role, place, bytes, chars, now));
            Some((role, place, answer??))
        });
        let answer = match answered {
            None => self.answer_by_rules(bytes, chars),
            Some((role, place, (answer, ran))) => {
                self.count(role, place, &answer, ran);
                if role == Role::Active
                    && let Some(shadow) = self.shadow(bytes)
                    && self.is_ready(shadow, now)
                    && let Some((opinion, ran)) = self.ask(Role::Shadow, shadow, bytes, chars, now)
                {
                    self.compare(&answer, &opinion, ran);
                }
                self.named(place, answer)
            }
        };
        log(bytes, chars, &answer);
        answer
    }

    /// The answer of the model at `place`, and whether it has run for it; none when it fails.
    fn ask(
        &mut self,
        role: Role,
        place: usize,
        bytes: &[u8],
        chars: usize,
        now: i64,
    ) -> Option<(Classification, bool)> {
        let key = self.key(place, bytes, chars);
        if let Some(answer) = self.cache.get(key, now) {
            return Some((answer, false));
        }
        let entry = self.entries[place].as_mut()?;
        let text = server_text::to_utf8(bytes, chars);
        let started = Instant::now();
        match entry.classifier()?.classify(&text) {
            Ok(answer) => {
                self.cache.put(key, answer, now);
                self.ran(role, place, 1, started.elapsed());
                Some((answer, true))
            }
            Err(error) => {
                self.fail(place, Reason::Inference, &error, now);
                self.tally(place, role, Tally::fail);
                None
            }
        }
    }

    /// Counts a run that gave answers.
    fn ran(&mut self, role: Role, place: usize, queries: usize, elapsed: std::time::Duration) {
        self.inferences += queries as u64;
        let since = self.deployment.since;
        let Some(entry) = &mut self.entries[place] else { return };
        if entry.ran(role, queries, elapsed, since) == Some(Change::Opened) {
            let bound = settings::limits().latency.unwrap_or_default().as_secs_f64() * 1000.0;
            let error = Error::Latency { model: entry.source.to_string(), bound_ms: bound.to_string() };
            self.warn(&error);
        }
        self.tell_memory();
    }

    /// Counts an answer.
    fn count(&mut self, role: Role, place: usize, answer: &Classification, ran: bool) {
        self.tally(place, role, |tally| tally.count(answer, ran));
    }

    /// Counts the answer of a shadow beside that of the active model.
    fn compare(&mut self, active: &Classification, shadow: &Classification, ran: bool) {
        if self.challenger_places.is_none() {
            let labels = |place| self.names(place).map(|names| names.labels.as_slice());
            self.challenger_places = labels(CHALLENGER).zip(labels(ACTIVE)).map(|(one, other)| places(one, other));
        }
        let column = class_in(self.challenger_places.as_deref().unwrap_or_default(), shadow);
        let row = active.class();
        self.tally(CHALLENGER, Role::Shadow, |tally| {
            tally.count(shadow, ran);
            tally.compare(row, column);
        });
    }

    fn tally(&mut self, place: usize, role: Role, count: impl FnOnce(&mut Tally)) {
        if !settings::track_statistics() {
            return;
        }
        if let Some(entry) = &mut self.entries[place] {
            count(entry.counting.of(role));
        }
        if self.pace.step() {
            self.pace.restart();
            self.add_counts();
        }
    }

    fn add_counts(&mut self) {
        let since = self.deployment.since;
        self.entries.iter_mut().flatten().for_each(|entry| entry.add_counts(since));
        let who = Who { model: rules::NAME, identity: "", since, now: process::current_time() };
        self.rules_counting.add(None, &who);
    }

    fn answer_by_rules(&mut self, bytes: &[u8], chars: usize) -> Answer {
        self.rule_answers += 1;
        let classification = rules::classify(&server_text::to_utf8(bytes, chars));
        if settings::track_statistics() {
            self.rules_counting.of(Role::Rules).count(&classification, true);
            self.pace.step();
        }
        Answer::new(classification, Rc::clone(&self.rules))
    }

    /// An answer of the model at `place`, with its names.
    fn named(&self, place: usize, answer: Classification) -> Answer {
        Answer::new(answer, Rc::clone(self.names(place).unwrap_or(&self.rules)))
    }

    fn names(&self, place: usize) -> Option<&Rc<Names>> {
        self.entries[place].as_ref().and_then(Entry::names)
    }

    fn key(&self, place: usize, bytes: &[u8], chars: usize) -> Key {
        let seed = self.entries[place].as_ref().map_or(0, Entry::seed);
        Key::new(bytes, seed ^ (chars as u64).rotate_left(32))
    }

    /// Whoever answers by default now; builds the session if it is not there.
    fn answering(&mut self, now: i64) -> &Names {
        let place = DEFAULT_CHAIN.iter().map(|(_, place)| *place).find(|&place| self.is_ready(place, now));
        place.and_then(|place| self.names(place)).unwrap_or(&self.rules)
    }

    /// Remembers a failure, and warns of each reason once.
    fn fail(&mut self, place: usize, reason: Reason, error: &Error, now: i64) {
        let before = session::private_memory();
        if let Some(entry) = &mut self.entries[place] {
            entry.fail(reason, error, now);
        }
        self.weigh(before);
        self.warn(error);
    }

    fn warn(&mut self, error: &Error) {
        let reason = error.to_string();
        if !self.warned.contains(&reason) {
            self.warned.push(reason);
            self.pending_warnings.push(error.clone());
        }
    }

    fn memory(&self) -> Memory {
        let models = self.entries.iter().flatten().filter_map(Entry::model);
        let buffers =
            models.map(|model| model.classifier.buffer_bytes()).sum::<usize>() + self.features.borrow().bytes();
        Memory { session: self.session_bytes, buffers: buffers as u64, local_cache: self.cache.local().bytes as u64 }
    }

    fn tell_memory(&mut self) {
        let memory = self.memory();
        if self.told != Some(memory)
            && let Some(shared) = shared_memory::attach()
        {
            shared.tell(memory);
            self.told = Some(memory);
        }
    }

    /// Puts down what the memory of this process has grown by since it was `before`, or lost.
    fn weigh(&mut self, before: Option<u64>) {
        if let Some((before, now)) = before.zip(session::private_memory()) {
            self.session_bytes = (self.session_bytes + now).saturating_sub(before);
        }
    }
}
