//! One query on its way to its answer: the cache, else the first model that can be asked, else the rules.

use std::time::Instant;

use harca_core::classify::classification::Classification;
use harca_core::watch::traffic::{Reason, Role, Tally};

use super::answer::Answer;
use super::query_log;
use super::state::Backend;
use crate::bridge::server_text;
use crate::engine::client::Outcome;

/// What a model has made of a query.
pub(super) enum Asked {
    /// An answer, and whether the model has run for it.
    Answer(Classification, bool),
    /// It has failed.
    Failed,
    /// Something of the server's is to be seen to first; then the query is asked again.
    Interrupted,
}

impl Backend {
    /// The answer; none when something of the server's is to be seen to first.
    pub(super) fn classify(&mut self, bytes: &[u8], chars: usize, now: i64) -> Option<Answer> {
        let mut answered = None;
        for &(role, place) in self.chain(bytes) {
            if !self.is_ready(place, now) {
                continue;
            }
            match self.ask(role, place, bytes, chars, now) {
                Asked::Answer(answer, ran) => {
                    answered = Some((role, place, answer, ran));
                    break;
                }
                Asked::Failed => {}
                Asked::Interrupted => return None,
            }
        }
        let answer = match answered {
            None => self.answer_by_rules(bytes, chars),
            Some((role, place, answer, ran)) => {
                let shadow = if role == Role::Active { self.shadow(bytes) } else { None };
                let mut opinion = None;
                if let Some(shadow) = shadow
                    && self.is_ready(shadow, now)
                {
                    match self.ask(Role::Shadow, shadow, bytes, chars, now) {
                        Asked::Answer(found, ran) => opinion = Some((found, ran)),
                        Asked::Failed => {}
                        // The first answer is in the cache when the query is asked again.
                        Asked::Interrupted => return None,
                    }
                }
                self.count(role, place, &answer, ran);
                if let Some((opinion, ran)) = opinion {
                    self.compare(&answer, &opinion, ran);
                }
                self.named(place, answer)
            }
        };
        query_log::sample(bytes, chars, &answer);
        Some(answer)
    }

    /// What the model at `place` makes of a query.
    pub(super) fn ask(&mut self, role: Role, place: usize, bytes: &[u8], chars: usize, now: i64) -> Asked {
        let key = self.key(place, bytes, chars);
        if let Some(answer) = self.cache.get(key, now) {
            return Asked::Answer(answer, false);
        }
        let Some(model) = self.entries[place].as_mut().and_then(|entry| entry.model_mut()) else {
            return Asked::Failed;
        };
        let text = server_text::to_utf8(bytes, chars);
        let started = Instant::now();
        match model.classify(&text) {
            Outcome::Interrupted => Asked::Interrupted,
            Outcome::Done(Ok(answer)) => {
                self.cache.put(key, answer, now);
                self.ran(role, place, 1, started.elapsed());
                Asked::Answer(answer, true)
            }
            Outcome::Done(Err(error)) => {
                self.fail(place, Reason::Inference, &error, now);
                self.tally(place, role, Tally::fail);
                Asked::Failed
            }
        }
    }
}
