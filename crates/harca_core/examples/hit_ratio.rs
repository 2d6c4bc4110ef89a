//! How often the shared cache hits under a Zipf load, beside an exact LRU and an exact SIEVE of the same size on the same
//! trace.
//!
//! `cargo run --release -p harca_core --example hit_ratio` prints one line of JSON; the ratios are from 0 to 1.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::num::NonZeroUsize;

use harca_core::cache::shared::{Lookup, Set, SharedCache};
use harca_core::classify::classification::{Classification, Scores};
use harca_core::text::key::Key;
use harca_core::text::language::Language;
use lru::LruCache;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What is replayed, and what came out.
#[derive(Debug, Serialize)]
struct Report {
    lookups: usize,
    distinct_keys: usize,
    zipf_exponent: f64,
    entries: usize,
    shared_cache: f64,
    exact_lru: f64,
    sieve: f64,
}

/// Replays the trace of the benchmark; every cache starts empty.
fn replay() -> Report {
    let (lookups, distinct_keys, zipf_exponent, entries) = (1_000_000, 100_000, 1.0, 10_000);
    let trace = zipf(lookups, distinct_keys, zipf_exponent);
    let ratio =
        |mut hit: Box<dyn FnMut(u32) -> bool>| trace.iter().filter(|n| hit(**n)).count() as f64 / trace.len() as f64;
    let mut lru = LruCache::new(NonZeroUsize::new(entries).unwrap());
    let mut sieve = Sieve::new(entries);
    Report {
        lookups,
        distinct_keys,
        zipf_exponent,
        entries,
        shared_cache: ratio(Box::new(shared(entries))),
        exact_lru: ratio(Box::new(move |n| lru.put(n, ()).is_some())),
        sieve: ratio(Box::new(move |n| sieve.ask(n))),
    }
}

/// Ranks below `distinct`, each with a probability in proportion to 1 / (rank + 1)^`exponent`; the same ones every time.
fn zipf(length: usize, distinct: usize, exponent: f64) -> Vec<u32> {
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=distinct)
        .map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        })
        .collect();
    // Inverse transform sampling: a hash of the position is the uniform number.
    let uniform = |i: usize| xxh3_64_with_seed(&i.to_le_bytes(), 4) as f64 / 2f64.powi(64);
    (0..length).map(|i| sums.partition_point(|s| *s <= uniform(i) * sum).min(distinct - 1) as u32).collect()
}

/// Asks the shared cache as a backend does, and stores what it does not know.
fn shared(entries: usize) -> impl FnMut(u32) -> bool {
    let sets: Vec<Set> = (0..Set::needed_for(entries)).map(|_| Set::default()).collect();
    let answer = Classification::from_scores(Scores::uniform(4), Language::English);
    move |n| {
        let (cache, key) = (SharedCache::new(&sets), Key::new(&n.to_le_bytes(), 1));
        let hit = matches!(cache.get(key, 0, 0), Lookup::Hit(_));
        if !hit {
            cache.put(key, &answer, 0);
        }
        hit
    }
}

/// Zhang et al., "SIEVE is Simpler than LRU" (NSDI 2024), algorithm 1: a queue in order of arrival, and a hand that moves
/// from its tail to its head, clears the marks of what was asked for and takes out the first without one.
struct Sieve {
    capacity: usize,
    places: HashMap<u32, usize>,
    /// A list in an array: places are reused and never move.
    nodes: Vec<Node>,
    head: Option<usize>,
    tail: Option<usize>,
    hand: Option<usize>,
}

struct Node {
    key: u32,
    visited: bool,
    /// Towards the head.
    newer: Option<usize>,
    /// Towards the tail.
    older: Option<usize>,
}

impl Sieve {
    fn new(capacity: usize) -> Self {
        Self { capacity, places: HashMap::new(), nodes: Vec::new(), head: None, tail: None, hand: None }
    }

    /// Whether `key` is there; it is afterwards.
    fn ask(&mut self, key: u32) -> bool {
        if let Some(place) = self.places.get(&key) {
            self.nodes[*place].visited = true;
            return true;
        }
        let node = Node { key, visited: false, newer: None, older: self.head };
        let place = if self.nodes.len() < self.capacity {
            self.nodes.push(node);
            self.nodes.len() - 1
        } else {
            let place = self.evict();
            self.nodes[place] = Node { older: self.head, ..node };
            place
        };
        match self.head {
            Some(head) => self.nodes[head].newer = Some(place),
            None => self.tail = Some(place),
        }
        self.head = Some(place);
        self.places.insert(key, place);
        false
    }

    fn evict(&mut self) -> usize {
        let mut place = self.hand.or(self.tail).unwrap();
        while self.nodes[place].visited {
            self.nodes[place].visited = false;
            place = self.nodes[place].newer.or(self.tail).unwrap();
        }
        let Node { key, newer, older, .. } = self.nodes[place];
        self.hand = newer;
        match newer {
            Some(newer) => self.nodes[newer].older = older,
            None => self.head = older,
        }
        match older {
            Some(older) => self.nodes[older].newer = newer,
            None => self.tail = newer,
        }
        self.places.remove(&key);
        place
    }
}

fn main() {
    println!("{}", serde_json::to_string(&replay()).unwrap());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_cost_less_than_half_a_point_and_sieve_gains_more_than_three_over_lru() {
        let report = replay();
        assert!((0.3..0.9).contains(&report.exact_lru), "{report:?}");
        // With one set for a key, it was 0.004.
        assert!((report.shared_cache - report.sieve).abs() < 0.0035, "{report:?}");
        assert!(report.shared_cache > report.exact_lru + 0.03, "{report:?}");
    }

    /// The oracle is a vector, the oldest first, and the position of the hand in it.
    #[test]
    fn sieve_behaves_like_a_vector_with_a_hand() {
        let (mut sieve, capacity) = (Sieve::new(7), 7);
        let (mut queue, mut hand): (Vec<(u32, bool)>, usize) = (Vec::new(), 0);
        for key in zipf(20_000, 40, 0.8) {
            let found = queue.iter().position(|(k, _)| *k == key);
            if let Some(i) = found {
                queue[i].1 = true;
            } else {
                if queue.len() == capacity {
                    while queue[hand % capacity].1 {
                        queue[hand % capacity].1 = false;
                        hand += 1;
                    }
                    hand %= capacity;
                    queue.remove(hand);
                    // Behind the newest it starts again at the oldest, not at the key that comes in now.
                    hand = if hand == capacity - 1 { 0 } else { hand };
                }
                queue.push((key, false));
            }
            assert_eq!(sieve.ask(key), found.is_some());
        }
    }

    #[test]
    fn the_trace_follows_zipf() {
        let trace = zipf(200_000, 1000, 1.0);
        let count = |rank: u32| trace.iter().filter(|n| **n == rank).count() as f64;
        let harmonic: f64 = (1..=1000).map(|n| 1.0 / f64::from(n)).sum();
        for rank in [0, 1, 9, 99] {
            let expected = 200_000.0 / f64::from(rank + 1) / harmonic;
            assert!((count(rank) - expected).abs() < 5.0 * expected.sqrt(), "{rank}: {} for {expected}", count(rank));
        }
    }
}
