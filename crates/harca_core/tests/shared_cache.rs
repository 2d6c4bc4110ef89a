//! The shared cache in long scans, and in threads that check every answer they get.
#![allow(clippy::unwrap_used)]

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

use harca_core::cache::shared::{Lookup, Set, SharedCache, Stored, WAYS};
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

proptest! {
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

/// Asks for the same keys in the same order again and again, and stores what is missing: for each round, how many did.
fn cyclic_scan(cache: SharedCache<'_>, keys: std::ops::Range<u64>, rounds: usize) -> Vec<usize> {
    let ask = |n: &u64| match cache.get(key(*n), 0, 0) {
        Lookup::Hit(found) => {
            assert_eq!(found, answer(*n));
            false
        }
        _ => {
            cache.put(key(*n), &answer(*n), 0);
            true
        }
    };
    (0..rounds).map(|_| keys.clone().filter(ask).count()).collect()
}

/// With one set for a key, 1, 16, 37 and 45 % are missing in every round.
#[test]
fn a_cyclic_scan_finds_nearly_all_of_what_there_is_room_for() {
    // The fewer entries, the more tables, for chance evens out.
    for (entries, tables) in [(1000, 50), (10_000, 5), (100_000, 1)] {
        // The shares that may be missing in the second round, and in the third.
        for (load, second, third) in [(0.5, 0.0, 0.0), (0.75, 0.0001, 0.0), (0.9, 0.005, 0.0001), (0.95, 0.04, 0.001)] {
            let (mut asked, mut missing) = (0, [0; 3]);
            for first in (0..tables).map(|table| table * 1_000_000) {
                let sets = table(Set::needed_for(entries));
                let cache = SharedCache::new(&sets);
                let keys = first..first + (load * cache.capacity() as f64) as u64;
                asked += keys.clone().count();
                missing.iter_mut().zip(cyclic_scan(cache, keys, 3)).for_each(|(sum, n)| *sum += n);
            }
            assert_eq!(missing[0], asked);
            let shares = missing.map(|n| n as f64 / asked as f64);
            assert!(shares[1] <= second && shares[2] <= third, "{entries} entries, {load}: {shares:?}");
        }
    }
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
