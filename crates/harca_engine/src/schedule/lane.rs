//! The texts that wait for one model.

use std::collections::VecDeque;

use harca_core::protocol::priority::Priority;

/// Texts that are looked through for company of the oldest one. More would seldom be closer in length, and to sort them takes
/// time in which nothing runs.
const WINDOW: usize = 1024;

/// A text that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item<W> {
    /// When it came, in microseconds.
    pub arrived: u64,
    /// Its tokens.
    pub length: u32,
    /// What is to be done with it.
    pub work: W,
}

/// What a run may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Tokens, padding included.
    pub tokens: u32,
    /// Texts.
    pub rows: usize,
}

impl Budget {
    /// Whether so many texts, the longest of this length, are within it.
    fn bears(self, rows: usize, longest: u32) -> bool {
        rows <= self.rows && rows as u64 * u64::from(longest) <= u64::from(self.tokens)
    }
}

/// The texts that wait for one model, in the order in which they came.
#[derive(Debug)]
pub struct Lane<W> {
    waiting: [VecDeque<Item<W>>; Priority::ALL.len()],
    /// Sum of their lengths.
    tokens: [u64; Priority::ALL.len()],
}

impl<W> Default for Lane<W> {
    fn default() -> Self {
        Self { waiting: Default::default(), tokens: Default::default() }
    }
}

impl<W> Lane<W> {
    /// Puts a text at the end.
    pub fn push(&mut self, priority: Priority, item: Item<W>) {
        self.tokens[priority as usize] += u64::from(item.length);
        self.waiting[priority as usize].push_back(item);
    }

    /// Puts a text before all others.
    pub fn push_front(&mut self, priority: Priority, item: Item<W>) {
        self.tokens[priority as usize] += u64::from(item.length);
        self.waiting[priority as usize].push_front(item);
    }

    /// When the oldest text came.
    #[must_use]
    pub fn oldest(&self, priority: Priority) -> Option<u64> {
        self.waiting[priority as usize].front().map(|item| item.arrived)
    }

    /// How many texts wait.
    #[must_use]
    pub fn len(&self, priority: Priority) -> usize {
        self.waiting[priority as usize].len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.iter().all(VecDeque::is_empty)
    }

    /// Whether there is enough for a run, so that it is no use to wait for more.
    #[must_use]
    pub fn fills(&self, priority: Priority, budget: Budget) -> bool {
        self.len(priority) >= budget.rows || self.tokens[priority as usize] >= u64::from(budget.tokens)
    }

    /// Takes the oldest text and those that go best with it: the closest to its length, as long as the run stays within
    /// `budget` and no more than half of it is padding. The oldest one is taken whatever its length.
    pub fn take(&mut self, priority: Priority, budget: Budget) -> Vec<Item<W>> {
        let waiting = &mut self.waiting[priority as usize];
        let Some(oldest) = waiting.front().map(|item| item.length) else { return Vec::new() };
        let mut by_length: Vec<(u32, usize)> =
            waiting.iter().take(WINDOW).enumerate().map(|(place, item)| (item.length, place)).collect();
        by_length.sort_unstable();
        let head = by_length.partition_point(|&one| one < (oldest, 0));
        let (mut from, mut to, mut sum) = (head, head + 1, u64::from(oldest));
        loop {
            let longest = |to: usize| by_length[to - 1].0;
            let shorter = from.checked_sub(1).map(|at| (oldest - by_length[at].0, at));
            let longer = by_length.get(to).map(|&(length, _)| (length - oldest, to));
            let fits = |at: usize, longest: u32| {
                let rows = to - from + 1;
                let sum = sum + u64::from(by_length[at].0);
                budget.bears(rows, longest) && rows as u64 * u64::from(longest) <= 2 * sum
            };
            let shorter = shorter.filter(|&(_, at)| fits(at, longest(to)));
            let longer = longer.filter(|&(_, at)| fits(at, by_length[at].0));
            match (shorter, longer) {
                (Some((near, at)), Some((far, _))) if near <= far => {
                    (from, sum) = (at, sum + u64::from(by_length[at].0))
                }
                (_, Some((_, at))) => (to, sum) = (at + 1, sum + u64::from(by_length[at].0)),
                (Some((_, at)), None) => (from, sum) = (at, sum + u64::from(by_length[at].0)),
                (None, None) => break,
            }
        }
        let mut places: Vec<usize> = by_length[from..to].iter().map(|&(_, place)| place).collect();
        places.sort_unstable();
        self.tokens[priority as usize] -= sum;
        // From behind, so that places stay what they are.
        let mut taken: Vec<Item<W>> = places.into_iter().rev().filter_map(|place| waiting.remove(place)).collect();
        taken.reverse();
        taken
    }

    /// Takes out all texts that `unwanted` says, and gives their number.
    pub fn remove(&mut self, unwanted: impl Fn(&W) -> bool) -> usize {
        let mut removed = 0;
        for (waiting, tokens) in self.waiting.iter_mut().zip(&mut self.tokens) {
            waiting.retain(|item| {
                let stays = !unwanted(&item.work);
                if !stays {
                    removed += 1;
                    *tokens -= u64::from(item.length);
                }
                stays
            });
        }
        removed
    }
}

#[cfg(test)]
mod tests {
    use Priority::{Bulk, Interactive};
    use proptest::prelude::*;

    use super::*;

    fn lane(lengths: &[u32]) -> Lane<usize> {
        let mut lane = Lane::default();
        for (work, &length) in lengths.iter().enumerate() {
            lane.push(Interactive, Item { arrived: work as u64, length, work });
        }
        lane
    }

    fn taken(lane: &mut Lane<usize>, tokens: u32, rows: usize) -> Vec<usize> {
        lane.take(Interactive, Budget { tokens, rows }).into_iter().map(|item| item.work).collect()
    }

    #[test]
    fn the_oldest_goes_with_those_of_its_length() {
        let mut lane = lane(&[10, 100, 11, 9, 98, 10]);
        assert_eq!(taken(&mut lane, 44, 32), [0, 2, 3, 5]);
        assert_eq!(taken(&mut lane, 1000, 32), [1, 4]);
        assert!(lane.is_empty());
    }

    #[test]
    fn a_text_beyond_the_budget_runs_alone() {
        let mut lane = lane(&[500, 500, 3]);
        assert_eq!(taken(&mut lane, 100, 32), [0]);
        assert_eq!(taken(&mut lane, 100, 32), [1]);
        assert_eq!(taken(&mut lane, 100, 32), [2]);
        assert_eq!(taken(&mut lane, 100, 32), [0_usize; 0]);
    }

    #[test]
    fn equal_texts_go_in_their_order() {
        let mut lane = lane(&[5; 10]);
        assert_eq!(taken(&mut lane, 1000, 4), [0, 1, 2, 3]);
        assert_eq!(taken(&mut lane, 15, 4), [4, 5, 6]);
    }

    #[test]
    fn what_nobody_wants_is_taken_out() {
        let mut lane = lane(&[1, 2, 3, 4]);
        lane.push(Bulk, Item { arrived: 0, length: 7, work: 1 });
        assert_eq!(lane.remove(|work| work % 2 == 1), 3);
        assert_eq!((lane.len(Interactive), lane.len(Bulk)), (2, 0));
        assert!(!lane.fills(Interactive, Budget { tokens: 5, rows: 3 }));
        assert!(lane.fills(Interactive, Budget { tokens: 4, rows: 3 }));
        assert!(lane.fills(Interactive, Budget { tokens: 5, rows: 2 }));
    }

    proptest! {
        #[test]
        fn batches_keep_to_the_budget_and_lose_nothing(
            lengths in prop::collection::vec(0_u32..600, 1..80),
            tokens in 1_u32..3000,
            rows in 1_usize..40,
        ) {
            let mut lane = lane(&lengths);
            let mut seen = Vec::new();
            while !lane.is_empty() {
                let oldest = lane.oldest(Interactive);
                let batch = lane.take(Interactive, Budget { tokens, rows });
                prop_assert_eq!(batch.first().map(|item| item.arrived), oldest);
                let longest = batch.iter().map(|item| item.length).max().unwrap_or(0);
                let sum: u32 = batch.iter().map(|item| item.length).sum();
                prop_assert!(batch.len() == 1 || batch.len() as u32 * longest <= tokens);
                prop_assert!(batch.len() as u32 * longest <= 2 * sum);
                prop_assert!(batch.len() <= rows);
                seen.extend(batch.into_iter().map(|item| item.work));
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            prop_assert_eq!(lane.tokens, [0, 0]);
        }
    }
}
