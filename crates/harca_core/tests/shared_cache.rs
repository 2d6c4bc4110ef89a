//! The shared cache against a list with a hand, and in threads that check every answer they get.
#![allow(clippy::unwrap_used)]

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

use harca_core::cache::shared::{Entry, Lookup, Set, SharedCache, Stored, WAYS};
use harca_core::classify::classification::{Classification, Scores};
use harca_core::text::key::Key;
use harca_core::text::language::Language;
use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64_with_seed;

fn key(n: u64) -> Key {
    Key::new(&n.to_le_bytes(), 7)
}

/// Differs from that of every other number in all scores.
fn answer(n: u64) -> Classification {
    let scores: [f32; 8] = std::array::from_fn(|i| (n * 8 + i as u64) as f32);
    Classification::from_scores(Scores::new(&scores), Language::from_number((n % 9 + 1) as u8).unwrap())
}

fn table(sets: usize) -> Vec<Set> {
    (0..sets).map(|_| Set::default()).collect()
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Get(u64),
    Put(u64),
    Restore(u64),
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0u64..20;
    prop_oneof![
        60 => n.clone().prop_map(Step::Get),
        60 => n.clone().prop_map(Step::Put),
        10 => n.prop_map(Step::Restore),
        1 => Just(Step::Clear),
    ]
}

/// A set, the oldest way first; a way that is vacated keeps its place until it is filled.
struct Oracle {
    slots: Vec<Slot>,
    /// Where the hand stands.
    hand: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    number: Option<u64>,
    stored_at: i64,
    marked: bool,
}

impl Oracle {
    fn new() -> Self {
        Self { slots: vec![Slot::default(); WAYS], hand: 0 }
    }

    fn find(&mut self, n: u64) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.number == Some(n))
    }

    fn insert(&mut self, n: u64, now: i64) -> Stored {
        let vacant = self.slots.iter().position(|slot| slot.number.is_none());
        let place = vacant.unwrap_or_else(|| {
            while self.slots[self.hand].marked {
                self.slots[self.hand].marked = false;
                self.hand = (self.hand + 1) % WAYS;
            }
            self.hand
        });
        self.slots.remove(place);
        self.slots.push(Slot { number: Some(n), stored_at: now, marked: false });
        // The hand goes with the way it points to; from the one that is gone it moves on, from the newest to the oldest.
        if place < self.hand {
            self.hand -= 1;
        } else if place == self.hand && place == WAYS - 1 {
            self.hand = 0;
        }
        if vacant.is_some() { Stored::Inserted } else { Stored::Evicted }
    }

    fn entries(&self) -> Vec<Entry> {
        let live = self.slots.iter().filter_map(|slot| Some((slot.number?, slot.stored_at)));
        live.map(|(n, stored_at)| Entry { key: key(n), stored_at, answer: answer(n) }).collect()
    }
}

proptest! {
    /// The oracle is SIEVE on a list.
    #[test]
    fn a_set_behaves_like_a_list_with_a_hand(steps in prop::collection::vec(step(), 1..400), ttl in 0i64..60) {
        let sets = table(1);
        let cache = SharedCache::new(&sets);
        let mut oracle = Oracle::new();
        for (now, step) in (0i64..).zip(steps) {
            match step {
                Step::Get(n) => {
                    let found = cache.get(key(n), now, ttl);
                    match oracle.find(n) {
                        None => prop_assert_eq!(found, Lookup::Missing),
                        Some(slot) if ttl > 0 && now - slot.stored_at >= ttl => {
                            *slot = Slot::default();
                            prop_assert_eq!(found, Lookup::Expired);
                        }
                        Some(slot) => {
                            slot.marked = true;
                            prop_assert_eq!(found, Lookup::Hit(answer(n)));
                        }
                    }
                }
                Step::Put(n) => {
                    let stored = cache.put(key(n), &answer(n), now);
                    let expected = match oracle.find(n) {
                        Some(slot) => {
                            (slot.stored_at, slot.marked) = (now, true);
                            Stored::Replaced
                        }
                        None => oracle.insert(n, now),
                    };
                    prop_assert_eq!(stored, expected);
                }
                Step::Restore(n) => {
                    let stored = cache.restore(&Entry { key: key(n), stored_at: now - 3, answer: answer(n) });
                    let there = oracle.find(n).is_some();
                    let expected = if there { Stored::Skipped } else { oracle.insert(n, now - 3) };
                    prop_assert_eq!(stored, expected);
                }
                Step::Clear => {
                    let live = oracle.entries().len();
                    prop_assert_eq!(cache.clear(), live);
                    oracle.slots.fill(Slot::default());
                }
            }
            let expected = oracle.entries();
            prop_assert_eq!((cache.len(), cache.is_empty()), (expected.len(), expected.is_empty()));
            prop_assert_eq!(cache.entries().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn many_sets_find_what_they_keep(sets in 1usize..20, keys in 1u64..400) {
        let sets = table(sets);
        let cache = SharedCache::new(&sets);
        let evicted = (0..keys).filter(|n| cache.put(key(*n), &answer(*n), 0) == Stored::Evicted).count();
        prop_assert_eq!(cache.len(), keys as usize - evicted);
        prop_assert!(cache.len() <= cache.capacity());
        let found = (0..keys).filter(|n| match cache.get(key(*n), 0, 0) {
            Lookup::Hit(found) => { assert_eq!(found, answer(*n)); true }
            _ => false,
        });
        prop_assert_eq!(found.count(), cache.len());
    }
}

#[test]
fn an_entry_expires_as_in_the_local_cache() {
    let sets = table(1);
    let cache = SharedCache::new(&sets);
    cache.put(key(1), &answer(1), 100);
    assert_eq!(cache.get(key(1), 109, 10), Lookup::Hit(answer(1)));
    assert_eq!(cache.get(key(1), i64::MAX, 0), Lookup::Hit(answer(1)));
    assert_eq!(cache.get(key(1), i64::MIN, 10), Lookup::Hit(answer(1)), "a clock that goes back");
    assert_eq!(cache.get(key(1), 110, 10), Lookup::Expired);
    assert_eq!(cache.get(key(1), 110, 10), Lookup::Missing);
    assert!(cache.is_empty());
}

/// More keys than ways and more threads than cores: every way is written and read at the same time all along.
#[test]
fn threads_never_get_a_torn_or_foreign_answer() {
    const THREADS: u64 = 6;
    const STEPS: u64 = 150_000;
    const KEYS: u64 = 3 * WAYS as u64;
    let sets = table(2);
    let (hits, expired, barrier) = (AtomicU64::new(0), AtomicU64::new(0), Barrier::new(THREADS as usize));
    let answers: Vec<(Key, Classification)> = (0..KEYS).map(|n| (key(n), answer(n))).collect();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (sets, hits, expired, barrier, answers) = (&sets, &hits, &expired, &barrier, &answers);
            scope.spawn(move || {
                let cache = SharedCache::new(sets);
                barrier.wait();
                for step in 0..STEPS {
                    let number = xxh3_64_with_seed(&step.to_le_bytes(), thread);
                    let (key, answer) = answers[(number % KEYS) as usize];
                    match number >> 32 & 7 {
                        0..=3 => match cache.get(key, step as i64, 2000) {
                            Lookup::Hit(found) => {
                                assert_eq!(found, answer);
                                hits.fetch_add(1, Ordering::Relaxed);
                            }
                            Lookup::Expired => {
                                expired.fetch_add(1, Ordering::Relaxed);
                            }
                            Lookup::Missing => {}
                        },
                        4..=6 => {
                            cache.put(key, &answer, step as i64);
                        }
                        _ if step % 64 == 0 => {
                            cache.clear();
                        }
                        _ => cache.entries().for_each(|entry| {
                            let (_, expected) = answers.iter().find(|(key, _)| *key == entry.key).unwrap();
                            assert_eq!(entry.answer, *expected);
                        }),
                    }
                }
            });
        }
    });
    assert!(hits.into_inner() > THREADS * STEPS / 20 && expired.into_inner() > 0);
    // Nobody is at work any more, so nothing is claimed, and every way can be had.
    let cache = SharedCache::new(&sets);
    cache.clear();
    (0..1000).for_each(|n| assert_ne!(cache.put(key(n), &answer(n), 0), Stored::Skipped));
    assert_eq!(cache.len(), cache.capacity());
}
