//! Many queries on their way to their answers: those that the cache does not hold go to each model in few runs.

use std::time::{Duration, Instant};

use harca_core::classify::batch::MAX_TEXTS;
use harca_core::classify::classification::Classification;
use harca_core::text::key::Key;
use harca_core::watch::traffic::{Reason, Role, Tally};

use super::answer::Answer;
use super::entry::Entry;
use super::query_log;
use super::state::{Backend, Chain};
use crate::bridge::server_text;
use crate::engine::client::Outcome;
use crate::registry::Runner;
use crate::settings;

/// Queries on the way to their answers.
pub struct Batch<'q> {
    chars: usize,
    queries: Vec<Query<'q>>,
    /// What models have still to do; the last is at work.
    work: Vec<Work>,
    /// Whether the shadow has been asked.
    compared: bool,
}

struct Query<'q> {
    bytes: &'q [u8],
    /// Whom it goes to, if nobody has answered it yet.
    chain: Chain,
    answer: Option<(Role, usize, Classification, bool)>,
    opinion: Option<(Classification, bool)>,
}

/// What one model has to do.
struct Work {
    role: Role,
    place: usize,
    /// Queries by their keys, in the order of the keys; one text may stand here more than once.
    waiting: Vec<(Key, usize)>,
    /// Queries that the model has to run on, each text once, in the order of their keys.
    missing: Vec<(Key, usize)>,
    /// How many of the missing ones the classifier is at work on.
    begun: usize,
    /// What the model has answered, in the order of the keys.
    found: Vec<(Key, Classification)>,
}

/// What one step of a model's work has come to.
enum Step {
    /// A run over so many queries, which took so long.
    Ran(usize, Duration),
    /// The answers of all that was begun.
    Answers(Vec<Classification>),
    /// The same, after a single run that took so long.
    AnswersOf(Vec<Classification>, Duration),
}

impl Backend {
    /// Looks queries up, and gives what is left to do.
    pub fn begin<'q>(&mut self, queries: &[&'q [u8]], chars: usize, now: i64) -> Batch<'q> {
        let query = |bytes: &&'q [u8]| Query { bytes, chain: self.chain(bytes), answer: None, opinion: None };
        let queries: Vec<_> = queries.iter().map(query).collect();
        let mut batch = Batch { chars, queries, work: Vec::new(), compared: false };
        let all = (0..batch.queries.len()).collect();
        self.assign(&mut batch, all, now);
        batch
    }

    /// Gives each of these queries to the first of its chain who can be asked; those without anybody stay unanswered.
    fn assign(&mut self, batch: &mut Batch<'_>, queries: Vec<usize>, now: i64) {
        let mut work: Vec<Work> = Vec::new();
        for place in queries {
            let mut chain = batch.queries[place].chain;
            while let Some((&(role, model), rest)) = chain.split_first() {
                if self.is_ready(model, now) {
                    self.give(&mut work, batch, role, model, place, now);
                    break;
                }
                chain = rest;
            }
            batch.queries[place].chain = chain;
        }
        batch.work.extend(work.into_iter().filter_map(Work::begin));
    }

    /// Looks a query up for one model, or puts it to its work.
    fn give(&mut self, work: &mut Vec<Work>, batch: &mut Batch<'_>, role: Role, model: usize, place: usize, now: i64) {
        let query = &mut batch.queries[place];
        let key = self.key(model, query.bytes, batch.chars);
        if let Some(answer) = self.cache.get(key, now) {
            return query.take(role, model, answer, false);
        }
        match work.iter_mut().find(|work| work.role == role) {
            Some(work) => work.waiting.push((key, place)),
            None => work.push(Work::new(role, model, (key, place))),
        }
    }

    /// Does one run for what is missing; whether there is anything left to do.
    pub fn run(&mut self, batch: &mut Batch<'_>, now: i64) -> bool {
        let Some(mut work) = batch.work.pop() else {
            if !batch.compared {
                batch.compared = true;
                self.ask_shadow(batch, now);
            }
            return !batch.work.is_empty();
        };
        let Some(model) = self.entries[work.place].as_mut().and_then(Entry::model_mut) else {
            self.give_up(batch, work, now);
            return true;
        };
        let texts: Vec<_> = match (&model.runner, work.begun) {
            // What was encoded before is still there.
            (Runner::Here(_), 1..) => Vec::new(),
            _ => {
                let missing = work.missing.iter().take(MAX_TEXTS);
                missing.map(|&(_, place)| server_text::to_utf8(batch.queries[place].bytes, batch.chars)).collect()
            }
        };
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let done = match &mut model.runner {
            Runner::Here(classifier) => {
                if work.begun == 0 {
                    work.begun = classifier.begin_batch(&texts, settings::batch_size());
                }
                classifier.next_run().map(|run| match run {
                    Some(run) => Step::Ran(run.rows, run.elapsed),
                    None => Step::Answers(classifier.batch_answers().to_vec()),
                })
            }
            Runner::Engine(model) => {
                let started = Instant::now();
                match model.classify(&texts) {
                    // Asked again when that was seen to.
                    Outcome::Interrupted => {
                        batch.work.push(work);
                        return true;
                    }
                    Outcome::Done(answers) => answers.map(|answers| {
                        work.begun = answers.len();
                        Step::AnswersOf(answers, started.elapsed())
                    }),
                }
            }
        };
        let answers = match done {
            Ok(Step::Ran(rows, elapsed)) => {
                self.ran(work.role, work.place, rows, elapsed);
                batch.work.push(work);
                return true;
            }
            Ok(Step::Answers(answers)) => answers,
            Ok(Step::AnswersOf(answers, elapsed)) => {
                self.ran(work.role, work.place, answers.len(), elapsed);
                answers
            }
            Err(error) => {
                self.fail(work.place, Reason::Inference, &error, now);
                self.tally(work.place, work.role, Tally::fail);
                self.give_up(batch, work, now);
                return true;
            }
        };
        for ((key, _), answer) in work.missing.drain(..work.begun).zip(answers) {
            self.cache.put(key, answer, now);
            work.found.push((key, answer));
        }
        work.begun = 0;
        if work.missing.is_empty() {
            work.finish(batch);
        } else {
            batch.work.push(work);
        }
        true
    }

    /// Gives what a model has not answered to the next in the chain.
    fn give_up(&mut self, batch: &mut Batch<'_>, work: Work, now: i64) {
        let shadow = work.role == Role::Shadow;
        let left = work.finish(batch);
        if shadow {
            return;
        }
        for &place in &left {
            let query = &mut batch.queries[place];
            query.chain = query.chain.get(1..).unwrap_or_default();
        }
        self.assign(batch, left, now);
    }

    /// Puts the queries that the active model has answered to its shadow.
    fn ask_shadow(&mut self, batch: &mut Batch<'_>, now: i64) {
        let mut work = Vec::new();
        for place in 0..batch.queries.len() {
            let query = &batch.queries[place];
            if matches!(query.answer, Some((Role::Active, ..)))
                && let Some(shadow) = self.shadow(query.bytes)
                && self.is_ready(shadow, now)
            {
                self.give(&mut work, batch, Role::Shadow, shadow, place, now);
            }
        }
        batch.work.extend(work.into_iter().filter_map(Work::begin));
    }

    /// The answers, once nothing is left to do.
    pub fn answers(&mut self, batch: Batch<'_>) -> Vec<Answer> {
        let chars = batch.chars;
        let answer = |query: &Query<'_>| {
            let answer = match &query.answer {
                None => self.answer_by_rules(query.bytes, chars),
                Some((role, place, answer, ran)) => {
                    self.count(*role, *place, answer, *ran);
                    if let Some((opinion, ran)) = &query.opinion {
                        self.compare(answer, opinion, *ran);
                    }
                    self.named(*place, *answer)
                }
            };
            query_log::sample(query.bytes, chars, &answer);
            answer
        };
        batch.queries.iter().map(answer).collect()
    }
}

impl Query<'_> {
    fn take(&mut self, role: Role, place: usize, answer: Classification, ran: bool) {
        match role {
            Role::Shadow => self.opinion = Some((answer, ran)),
            _ => self.answer = Some((role, place, answer, ran)),
        }
    }
}

impl Work {
    fn new(role: Role, place: usize, first: (Key, usize)) -> Self {
        Self { role, place, waiting: vec![first], missing: Vec::new(), begun: 0, found: Vec::new() }
    }

    /// Sorts it out; none where there is nothing to do.
    fn begin(mut self) -> Option<Self> {
        self.waiting.sort_unstable();
        self.missing.clone_from(&self.waiting);
        // A query that stands twice in the batch is run once.
        self.missing.dedup_by_key(|(key, _)| *key);
        (!self.missing.is_empty()).then_some(self)
    }

    /// Hands the answers over, and gives the queries that have none.
    fn finish(self, batch: &mut Batch<'_>) -> Vec<usize> {
        let Self { role, place: model, waiting, found, .. } = self;
        let mut left = Vec::new();
        for (key, place) in waiting {
            match found.binary_search_by_key(&key, |(known, _)| *known) {
                Ok(found_at) => batch.queries[place].take(role, model, found[found_at].1, true),
                Err(_) => left.push(place),
            }
        }
        left
    }
}
