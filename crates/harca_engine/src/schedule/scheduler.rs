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

use std::collections::HashMap;
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
        Self { lane: Lane::default(), pace: Pace::default(), bulk_run: 0, left: Default::default() }
    }
}

/// All texts that wait.
pub struct Scheduler<K, W> {
    settings: Settings,
    queues: HashMap<K, Queue<W>>,
    queued: usize,
    last: Priority,
    /// When an interactive text came last.
    interactive_at: Option<u64>,
}

impl<K: Copy + Eq + Hash + Ord, W> Scheduler<K, W> {
    /// One in which nothing waits.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, queues: HashMap::new(), queued: 0, last: Priority::Bulk, interactive_at: None }
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

    /// What is to be done at `now`; a run is to be followed by [`Self::finished`].
    pub fn next(&mut self, now: u64) -> Turn<K, W> {
        let starving = self.oldest(Priority::Bulk).filter(|&(_, model, arrived)| {
            let run = self.queues.get(&model).map_or(0, |queue| queue.bulk_run);
            self.last == Priority::Interactive && now.saturating_sub(arrived) >= LEAST_PATIENCE.max(PATIENCE * run)
        });
        let chosen = starving.or_else(|| self.oldest(Priority::Interactive)).or_else(|| self.oldest(Priority::Bulk));
        let Some((priority, model, _)) = chosen else { return Turn::Idle };
        let wait = self.settings.wait;
        let strategy = match (priority, self.interactive_at) {
            (Priority::Bulk, Some(at)) if now < at + LATELY => Strategy::Latency,
            _ => self.settings.strategy,
        };
        let Some(budget) = self.queues.get(&model).map(|queue| self.budget(queue, strategy)) else { return Turn::Idle };
        let Some(queue) = self.queues.get_mut(&model) else { return Turn::Idle };
        let Left { at, texts } = queue.left[priority as usize];
        if now < at + wait && queue.lane.len(priority) < texts && !queue.lane.fills(priority, budget) {
            return Turn::Wait(at + wait);
        }
        let items = queue.lane.take(priority, budget);
        self.queued -= items.len();
        self.last = priority;
        Turn::Run(Batch { model, priority, items })
    }

    /// Takes note of a run that has ended at `now`.
    pub fn finished(&mut self, run: Ended<K>, now: u64) {
        let Ended { model, priority, rows, tokens, micros } = run;
        if let Some(queue) = self.queues.get_mut(&model) {
            queue.pace.record(tokens, micros);
            queue.left[priority as usize] = Left { at: now, texts: rows + queue.lane.len(priority) };
            if priority == Priority::Bulk {
                queue.bulk_run = micros;
            }
        }
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

    fn oldest(&self, priority: Priority) -> Option<(Priority, K, u64)> {
        let waiting = self.queues.iter().filter_map(|(&model, queue)| Some((queue.lane.oldest(priority)?, model)));
        waiting.min().map(|(arrived, model)| (priority, model, arrived))
    }

    fn budget(&self, queue: &Queue<W>, strategy: Strategy) -> Budget {
        let target = strategy.run_micros() / if self.settings.pressed { 2 } else { 1 };
        Budget { tokens: queue.pace.tokens(target), rows: MAX_ROWS }
    }
}

#[cfg(test)]
mod tests {
    use Priority::{Bulk, Interactive};

    use super::*;

    const SETTINGS: Settings = Settings { bound: 100, wait: 500, strategy: Strategy::Balanced, pressed: false };

    fn items(arrived: u64, lengths: &[u32]) -> Vec<Item<u64>> {
        lengths.iter().map(|&length| Item { arrived, length, work: arrived }).collect()
    }

    fn scheduler() -> Scheduler<char, u64> {
        Scheduler::new(SETTINGS)
    }

    fn ended(priority: Priority, rows: usize, tokens: u32, micros: u64) -> Ended<char> {
        Ended { model: if priority == Interactive { 'a' } else { 'b' }, priority, rows, tokens, micros }
    }

    fn ran(turn: Turn<char, u64>) -> (char, Priority, usize) {
        match turn {
            Turn::Run(batch) => (batch.model, batch.priority, batch.items.len()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_idle_engine_waits_for_nobody() {
        let mut scheduler = scheduler();
        assert_eq!(scheduler.next(0), Turn::Idle);
        scheduler.submit('a', Interactive, items(10, &[5])).unwrap();
        assert_eq!(ran(scheduler.next(10)), ('a', Interactive, 1));
        assert_eq!(scheduler.next(11), Turn::Idle);
    }

    #[test]
    fn those_who_asked_together_are_waited_for() {
        let mut scheduler = scheduler();
        scheduler.submit('a', Interactive, items(0, &[5, 5])).unwrap();
        assert_eq!(ran(scheduler.next(0)).2, 2);
        scheduler.submit('a', Interactive, items(900, &[5])).unwrap();
        scheduler.finished(ended(Interactive, 2, 10, 1000), 1000);
        assert_eq!(scheduler.next(1000), Turn::Wait(1500));
        scheduler.submit('a', Interactive, items(1200, &[6])).unwrap();
        assert_eq!(scheduler.next(1200), Turn::Wait(1500));
        scheduler.submit('a', Interactive, items(1300, &[6])).unwrap();
        assert_eq!(ran(scheduler.next(1300)), ('a', Interactive, 3));
        // One of them does not come again.
        scheduler.finished(ended(Interactive, 3, 18, 1000), 2300);
        scheduler.submit('a', Interactive, items(2400, &[5, 5])).unwrap();
        assert_eq!(scheduler.next(2400), Turn::Wait(2800));
        assert_eq!(ran(scheduler.next(2800)).2, 2);
        scheduler.finished(ended(Interactive, 2, 10, 1000), 3800);
        scheduler.submit('a', Interactive, items(3900, &[5, 5])).unwrap();
        assert_eq!(ran(scheduler.next(3900)).2, 2);
        // Enough for a run: no more is waited for.
        scheduler.finished(ended(Interactive, 200, 400, 1000), 5000);
        scheduler.submit('a', Interactive, items(5000, &[512; 3])).unwrap();
        assert!(matches!(scheduler.next(5000), Turn::Run(_)));
    }

    #[test]
    fn who_is_alone_or_late_waits_for_nobody() {
        let mut scheduler = scheduler();
        scheduler.submit('a', Interactive, items(0, &[5])).unwrap();
        assert_eq!(ran(scheduler.next(0)).2, 1);
        scheduler.finished(ended(Interactive, 1, 5, 1000), 1000);
        scheduler.submit('a', Interactive, items(1100, &[5])).unwrap();
        assert_eq!(ran(scheduler.next(1100)).2, 1);
        scheduler.finished(ended(Interactive, 4, 20, 1000), 2100);
        scheduler.submit('a', Interactive, items(2600, &[5])).unwrap();
        assert_eq!(ran(scheduler.next(2600)).2, 1);
    }

    #[test]
    fn bulk_comes_last_but_comes() {
        let mut scheduler = scheduler();
        scheduler.submit('b', Bulk, items(0, &[5; 4])).unwrap();
        scheduler.submit('a', Interactive, items(10, &[5])).unwrap();
        assert_eq!(ran(scheduler.next(20)), ('a', Interactive, 1));
        scheduler.submit('a', Interactive, items(30, &[5])).unwrap();
        assert_eq!(ran(scheduler.next(40)).1, Interactive);
        let late = LEAST_PATIENCE + 1;
        scheduler.submit('a', Interactive, items(50, &[5])).unwrap();
        scheduler.submit('b', Bulk, items(50, &[5000])).unwrap();
        assert_eq!(ran(scheduler.next(late)), ('b', Bulk, 4));
        // Not twice in a row while somebody waits.
        assert_eq!(ran(scheduler.next(late)).1, Interactive);
        assert_eq!(ran(scheduler.next(late + 1)).1, Bulk);
    }

    #[test]
    fn slow_bulk_runs_come_seldom() {
        let mut scheduler = scheduler();
        scheduler.finished(ended(Bulk, 1, 100, 50_000), 0);
        scheduler.submit('b', Bulk, items(0, &[5])).unwrap();
        scheduler.queues.get_mut(&'b').unwrap().bulk_run = 50_000;
        scheduler.last = Interactive;
        scheduler.submit('a', Interactive, items(0, &[5])).unwrap();
        assert_eq!(ran(scheduler.next(PATIENCE * 50_000 - 1)).1, Interactive);
        scheduler.submit('a', Interactive, items(0, &[5])).unwrap();
        assert_eq!(ran(scheduler.next(PATIENCE * 50_000)).1, Bulk);
    }

    #[test]
    fn bulk_runs_are_short_while_somebody_asks() {
        let mut scheduler = scheduler();
        scheduler.submit('b', Bulk, items(0, &[10; 90])).unwrap();
        for tokens in [200, 1000, 600] {
            scheduler.finished(ended(Bulk, 20, tokens, 100 * u64::from(tokens)), 1);
        }
        scheduler.submit('a', Interactive, items(2, &[5])).unwrap();
        assert_eq!(ran(scheduler.next(2)).1, Interactive);
        assert_eq!(ran(scheduler.next(3)), ('b', Bulk, 20));
        assert_eq!(ran(scheduler.next(2 + LATELY)), ('b', Bulk, 60));
    }

    #[test]
    fn the_oldest_model_is_first() {
        let mut scheduler = scheduler();
        scheduler.submit('b', Interactive, items(5, &[5])).unwrap();
        scheduler.submit('a', Interactive, items(6, &[5])).unwrap();
        assert_eq!(ran(scheduler.next(10)).0, 'b');
        assert_eq!(ran(scheduler.next(10)).0, 'a');
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut scheduler = scheduler();
        scheduler.submit('a', Bulk, items(0, &[1; 60])).unwrap();
        assert_eq!(scheduler.submit('b', Interactive, items(1, &[1; 41])).unwrap_err().len(), 41);
        scheduler.submit('b', Interactive, items(1, &[1; 40])).unwrap();
        assert_eq!((scheduler.queued(), scheduler.queued_for('b', Interactive)), (100, 40));
        assert_eq!(scheduler.remove(|&work| work == 0), 60);
        assert_eq!(scheduler.queued(), 40);
        scheduler.remove(|_| true);
        scheduler.submit('a', Bulk, items(0, &[1; 500])).unwrap();
        assert_eq!(scheduler.queued(), 500);
    }

    #[test]
    fn a_pressed_machine_gets_smaller_runs() {
        let mut scheduler = scheduler();
        scheduler.submit('a', Bulk, items(0, &[1; 4])).unwrap();
        let Turn::Run(batch) = scheduler.next(0) else { panic!() };
        assert_eq!(batch.padded(), 4);
        for tokens in [200, 1000, 600] {
            scheduler.finished(ended(Interactive, 4, tokens, 100 * u64::from(tokens)), 1);
        }
        assert_eq!(scheduler.tokens('a'), 600);
        scheduler.set(Settings { pressed: true, ..SETTINGS });
        assert_eq!(scheduler.tokens('a'), 300);
        scheduler.forget('a');
        assert_eq!(scheduler.tokens('a'), 0);
    }
}
