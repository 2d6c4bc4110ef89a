//! What a backend counts of its answers, and the answers that only need counting: those of the rules.

use std::rc::Rc;
use std::time::Duration;

use harca_core::classify::classification::Classification;
use harca_core::classify::rules;
use harca_core::error::Error;
use harca_core::watch::breaker::Change;
use harca_core::watch::traffic::{Role, Tally};

use super::answer::Answer;
use super::counting::{Who, class_in, places};
use super::state::{ACTIVE, Backend, CHALLENGER};
use crate::bridge::server_text;
use crate::{process, settings};

impl Backend {
    /// Counts a run that gave answers.
    pub(super) fn ran(&mut self, role: Role, place: usize, queries: usize, elapsed: Duration) {
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
    pub(super) fn count(&mut self, role: Role, place: usize, answer: &Classification, ran: bool) {
        self.tally(place, role, |tally| tally.count(answer, ran));
    }

    /// Counts the answer of a shadow beside that of the active model.
    pub(super) fn compare(&mut self, active: &Classification, shadow: &Classification, ran: bool) {
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

    pub(super) fn tally(&mut self, place: usize, role: Role, count: impl FnOnce(&mut Tally)) {
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

    pub(super) fn add_counts(&mut self) {
        let since = self.deployment.since;
        self.entries.iter_mut().flatten().for_each(|entry| entry.add_counts(since));
        let who = Who { model: rules::NAME, identity: "", since, now: process::current_time() };
        self.rules_counting.add(None, &who);
    }

    pub(super) fn answer_by_rules(&mut self, bytes: &[u8], chars: usize) -> Answer {
        self.rule_answers += 1;
        let classification = rules::classify(&server_text::to_utf8(bytes, chars));
        if settings::track_statistics() {
            self.rules_counting.of(Role::Rules).count(&classification, true);
            self.pace.step();
        }
        Answer::new(classification, Rc::clone(&self.rules))
    }

    /// An answer of the model at `place`, with its names.
    pub(super) fn named(&self, place: usize, answer: Classification) -> Answer {
        Answer::new(answer, Rc::clone(self.names(place).unwrap_or(&self.rules)))
    }
}
