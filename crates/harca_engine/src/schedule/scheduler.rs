//! Whose turn it is.
//!
//! Interactive texts come first, the oldest of all models before the others. Bulk texts run when nothing interactive waits,
//! and one run of them in any case when the oldest has waited for [`PATIENCE`] runs of its own kind: so a flood of either
//! holds up the other for one run at most, and neither stands still. While interactive texts have come [`LATELY`], bulk runs are
//! as short as those of the strategy `latency`.
//!
//! Sessions that are answered together ask again one after the other. Were the first of them to run at once, it would run alone
//! and the others after it, for ever. So for `wait` after a run, the next one of its model and priority waits for company: until
//! as many texts are there as had a part in that run or were waiting at its end, or enough for a run. A session that is alone
//! waits for nobody, nor does anybody in an engine that was idle for longer.
//!
//! Several runs may go on at once. What waits is shared between those that may begin now: two texts are done sooner in two runs
//! than together in one. A model whose runtime runs it once at a time is left together, and while interactive texts have come
//! lately, bulk work has one run at most. A model that may have brought the engine down runs with nothing beside it, and so does
//! once more what has failed in company: the memory that it lacked may have been another run's.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use harca_core::protocol::priority::Priority;
use harca_core::protocol::settings::Strategy;

use super::lane::{Budget, Item, Lane};
use super::pace::Pace;

/// How many bulk runs' time a bulk text waits at most while others are served.
pub const PATIENCE: u64 = 8;

/// The least time that it waits then, in microseconds.
pub const LEAST_PATIENCE: u64 = 100_000;

/// Microseconds for which an interactive text is taken for a sign that others will come.
pub const LATELY: u64 = 1_000_000;

/// Most texts of a run.
pub const MAX_ROWS: usize = 256;

/// What may be changed while it works.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Texts that may wait.
    pub bound: usize,
    /// Microseconds after a run in which the next one waits for company.
    pub wait: u64,
    /// How long runs are to take.
    pub strategy: Strategy,
    /// Whether the processors are pressed: then runs take half of that.
    pub pressed: bool,
    /// Runs that may go on at once.
    pub runs: usize,
}

/// The texts of one run.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch<K, W> {
    /// Their model.
    pub model: K,
    /// Their priority.
    pub priority: Priority,
    /// They.
    pub items: Vec<Item<W>>,
}

impl<K, W> Batch<K, W> {
    /// Tokens of the run, padding included.
    #[must_use]
    pub fn padded(&self) -> u32 {
        let longest = self.items.iter().map(|item| item.length).max().unwrap_or(0);
        u32::try_from(self.items.len()).unwrap_or(u32::MAX).saturating_mul(longest)
    }
}

/// A run that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended<K> {
    /// Whose.
    pub model: K,
    /// Of what kind.
    pub priority: Priority,
    /// Texts that had a part in it.
    pub rows: usize,
    /// Their tokens, padding included.
    pub tokens: u32,
    /// Microseconds that it took.
    pub micros: u64,
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn<K, W> {
    /// Run this.
    Run(Batch<K, W>),
    /// Nothing before this time, unless something comes in.
    Wait(u64),
    /// Nothing until something comes in.
    Idle,
}

struct Queue<W> {
    lane: Lane<W>,
    pace: Pace,
    /// Microseconds of a bulk run of late.
    bulk_run: u64,
    /// What the last run of each priority has left.
    left: [Left; Priority::ALL.len()],
    /// Whether it has one run at a time.
    singly: bool,
}

/// What is known at the end of a run of those who may ask again.
#[derive(Clone, Copy, Default)]
struct Left {
    /// When that was.
    at: u64,
    /// Texts that had a part in it, and those that were waiting.
    texts: usize,
}

impl<W> Default for Queue<W> {
    fn default() -> Self {
        Self { lane: Lane::default(), pace: Pace::default(), bulk_run: 0, left: Default::default(), singly: false }
    }
}

/// A run that goes on.
struct Running<K> {
    model: K,
    priority: Priority,
    /// Whether another one went on at some time.
    company: bool,
}

/// All texts that wait.
pub struct Scheduler<K, W> {
    settings: Settings,
    queues: HashMap<K, Queue<W>>,
    running: Vec<Running<K>>,
    /// Models beside which nothing runs: those that are suspected, and those of which a run has failed.
    suspected: HashSet<K>,
    isolated: HashSet<K>,
    queued: usize,
    last: Priority,
    /// When an interactive text came last.
    interactive_at: Option<u64>,
}

impl<K: Copy + Eq + Hash + Ord, W> Scheduler<K, W> {
    /// One in which nothing waits.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            queues: HashMap::new(),
            running: Vec::new(),
            suspected: HashSet::new(),
            isolated: HashSet::new(),
            queued: 0,
            last: Priority::Bulk,
            interactive_at: None,
        }
    }

    /// Follows other settings; what waits already may be more than the new bound.
    pub fn set(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// What it follows.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Has a model run once at a time, or as often as others.
    pub fn run_singly(&mut self, model: K, singly: bool) {
        self.queues.entry(model).or_default().singly = singly;
    }

    /// Models beside which nothing runs, instead of those of before.
    pub fn suspect(&mut self, models: impl IntoIterator<Item = K>) {
        self.suspected = models.into_iter().collect();
    }

    /// How many texts wait.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// How many texts of a model wait.
    #[must_use]
    pub fn queued_for(&self, model: K, priority: Priority) -> usize {
        self.queues.get(&model).map_or(0, |queue| queue.lane.len(priority))
    }

    /// Whether a run goes on.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.running.is_empty()
    }

    /// Whether texts of a model wait.
    #[must_use]
    pub fn wants(&self, model: K) -> bool {
        self.queues.get(&model).is_some_and(|queue| !queue.lane.is_empty())
    }

    /// Padded tokens that the next run of a model may have.
    #[must_use]
    pub fn tokens(&self, model: K) -> u32 {
        self.queues.get(&model).map_or(0, |queue| self.budget(queue, self.settings.strategy).tokens)
    }

    /// Lets texts wait for their model, all of them or, where they are too many, none.
    ///
    /// # Errors
    /// The texts, given back.
    pub fn submit(&mut self, model: K, priority: Priority, items: Vec<Item<W>>) -> Result<(), Vec<Item<W>>> {
        // A single request finds room in an empty queue however large it is.
        if self.queued > 0 && self.queued + items.len() > self.settings.bound {
            return Err(items);
        }
        self.queued += items.len();
        if priority == Priority::Interactive {
            self.interactive_at = self.interactive_at.max(items.iter().map(|item| item.arrived).max());
        }
        let queue = self.queues.entry(model).or_default();
        items.into_iter().for_each(|item| queue.lane.push(priority, item));
        Ok(())
    }

    /// What is to be done at `now`; a run is to be followed by [`Self::finished`] or [`Self::over`].
    pub fn next(&mut self, now: u64) -> Turn<K, W> {
        let free = self.settings.runs.max(1).saturating_sub(self.running.len());
        if free == 0 || self.running.iter().any(|run| self.is_alone(run.model)) {
            return Turn::Idle;
        }
        let starving = self.oldest(Priority::Bulk, now).filter(|&(_, model, arrived)| {
            let run = self.queues.get(&model).map_or(0, |queue| queue.bulk_run);
            self.last == Priority::Interactive && now.saturating_sub(arrived) >= LEAST_PATIENCE.max(PATIENCE * run)
        });
        let chosen =
            starving.or_else(|| self.oldest(Priority::Interactive, now)).or_else(|| self.oldest(Priority::Bulk, now));
        let Some((priority, model, _)) = chosen else { return Turn::Idle };
        let alone = self.is_alone(model);
        if alone && !self.running.is_empty() {
            return Turn::Idle;
        }
        let short = priority == Priority::Bulk && self.is_asked(now);
        let wait = self.settings.wait;
        let strategy = if short { Strategy::Latency } else { self.settings.strategy };
        let Some(budget) = self.queues.get(&model).map(|queue| self.budget(queue, strategy)) else { return Turn::Idle };
        let Some(queue) = self.queues.get_mut(&model) else { return Turn::Idle };
        let left = &mut queue.left[priority as usize];
        let waiting = queue.lane.len(priority);
        if now < left.at + wait && waiting < left.texts && !queue.lane.fills(priority, budget) {
            return Turn::Wait(left.at + wait);
        }
        let shares = if short || alone || queue.singly { 1 } else { free };
        let rows = budget.rows.min(waiting.div_ceil(shares));
        let items = queue.lane.take(priority, Budget { rows, ..budget });
        left.texts = left.texts.saturating_sub(items.len());
        self.queued -= items.len();
        self.last = priority;
        self.running.iter_mut().for_each(|run| run.company = true);
        self.running.push(Running { model, priority, company: !self.running.is_empty() });
        Turn::Run(Batch { model, priority, items })
    }

    /// The run of an interactive text of so many tokens that is alone, with nothing waiting or running beside it, if its model
    /// needs no more than `most` microseconds for it: whoever brings it may run it at once. Followed by the same as after
    /// [`Self::next`].
    pub fn next_alone(&mut self, model: K, tokens: u32, now: u64, most: u32) -> Option<Batch<K, W>> {
        let micros = self.queues.get(&model)?.pace.micros(tokens)?;
        let alone = self.queued == 1 && self.running.is_empty() && self.queued_for(model, Priority::Interactive) == 1;
        if !alone || micros > f64::from(most) {
            return None;
        }
        match self.next(now) {
            Turn::Run(batch) => Some(batch),
            Turn::Wait(_) | Turn::Idle => None,
        }
    }

    /// Takes note of a run that has ended at `now`.
    pub fn finished(&mut self, run: Ended<K>, now: u64) {
        let Ended { model, priority, rows, tokens, micros } = run;
        self.over(model, priority);
        if let Some(queue) = self.queues.get_mut(&model) {
            queue.pace.record(tokens, micros);
            queue.left[priority as usize] = Left { at: now, texts: rows + queue.lane.len(priority) };
            if priority == Priority::Bulk {
                queue.bulk_run = micros;
            }
        }
    }

    /// A run is over, of which there is nothing to note.
    pub fn over(&mut self, model: K, priority: Priority) {
        self.end(model, priority);
        self.isolated.remove(&model);
    }

    fn end(&mut self, model: K, priority: Priority) {
        if let Some(place) = self.running.iter().position(|run| (run.model, run.priority) == (model, priority)) {
            self.running.swap_remove(place);
        }
    }

    /// A run has failed: nothing else begins until its texts are done with, alone. Whether it had company: then they are to be
    /// given back ([`Self::give_back`]).
    pub fn failed(&mut self, model: K, priority: Priority) -> bool {
        self.isolated.insert(model);
        self.running.iter().any(|run| (run.model, run.priority) == (model, priority) && run.company)
    }

    /// Ends a run that has failed in company: its texts wait again, before all others.
    pub fn give_back(&mut self, model: K, priority: Priority, items: Vec<Item<W>>) {
        self.end(model, priority);
        self.queued += items.len();
        let queue = self.queues.entry(model).or_default();
        items.into_iter().rev().for_each(|item| queue.lane.push_front(priority, item));
    }

    /// Takes out all texts that `unwanted` says, and gives their number.
    pub fn remove(&mut self, unwanted: impl Fn(&W) -> bool) -> usize {
        let removed = self.queues.values_mut().map(|queue| queue.lane.remove(&unwanted)).sum();
        self.queued -= removed;
        removed
    }

    /// Forgets a model for which nothing waits.
    pub fn forget(&mut self, model: K) {
        if !self.wants(model) {
            self.queues.remove(&model);
        }
    }

    /// Whether nothing may run beside a model.
    fn is_alone(&self, model: K) -> bool {
        self.suspected.contains(&model) || self.isolated.contains(&model)
    }

    /// Whether an interactive text has come lately.
    fn is_asked(&self, now: u64) -> bool {
        self.interactive_at.is_some_and(|at| now < at + LATELY)
    }

    /// The model whose text has waited longest, of those that may begin a run.
    fn oldest(&self, priority: Priority, now: u64) -> Option<(Priority, K, u64)> {
        let bulk_runs = || self.running.iter().any(|run| run.priority == Priority::Bulk);
        if priority == Priority::Bulk && self.is_asked(now) && bulk_runs() {
            return None;
        }
        let runs = |model: K| self.running.iter().any(|run| run.model == model);
        let may_begin = |model: K, queue: &Queue<W>| !(queue.singly && runs(model));
        let waiting = self.queues.iter().filter(|&(&model, queue)| may_begin(model, queue));
        let oldest = waiting.filter_map(|(&model, queue)| Some((queue.lane.oldest(priority)?, model))).min();
        oldest.map(|(arrived, model)| (priority, model, arrived))
    }

    fn budget(&self, queue: &Queue<W>, strategy: Strategy) -> Budget {
        let target = strategy.run_micros() / if self.settings.pressed { 2 } else { 1 };
        Budget { tokens: queue.pace.tokens(target), rows: MAX_ROWS }
    }
}

#[cfg(test)]
mod tests;
