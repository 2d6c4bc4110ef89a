//! One query on its way to its answer: the cache, else the first model that can be asked, else the rules.

use std::time::Instant;

use harca_core::classify::classification::Classification;
use harca_core::watch::traffic::{Reason, Role, Tally};

use super::answer::Answer;
use super::query_log;
use super::state::Backend;
use crate::bridge::server_text;

impl Backend {
    pub(super) fn classify(&mut self, bytes: &[u8], chars: usize, now: i64) -> Answer {
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
        query_log::sample(bytes, chars, &answer);
        answer
    }

    /// The answer of the model at `place`, and whether it has run for it; none when it fails.
    pub(super) fn ask(
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
}
