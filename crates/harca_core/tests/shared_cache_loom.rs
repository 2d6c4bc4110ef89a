//! The shared cache under loom, which tries the interleavings of a few operations and, in each, the values that the memory
//! model lets a relaxed load see. Sets have two ways here, whose tags share a word, and tables one set or two.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p harca_core --test shared_cache_loom`; a target folder of its own
//! (`CARGO_TARGET_DIR`) saves the ordinary one from being compiled anew.
#![cfg(loom)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use harca_core::cache::shared::{Entry, Lookup, Set, SharedCache, Stored};
use harca_core::classify::classification::{Classification, Scores};
use harca_core::text::key::Key;
use harca_core::text::language::Language;
use loom::sync::Arc;
use loom::thread;

fn key(n: u64) -> Key {
    Key::new(&n.to_le_bytes(), 7)
}

/// Differs from that of every other number in every word of a record.
fn answer(n: u64) -> Classification {
    let scores: [f32; 8] = std::array::from_fn(|i| (n * 8 + i as u64 + 1) as f32);
    Classification::from_scores(Scores::new(&scores), Language::from_number(n as u8 + 1).unwrap())
}

/// How often a thread may be interrupted in one run unless `LOOM_MAX_PREEMPTIONS` says otherwise. What a load may see is
/// not bounded by it.
const PREEMPTIONS: usize = 3;

type Work = fn(SharedCache<'_>);

/// Runs `work` in threads over one set that holds `keys`, in all interleavings, then `check`.
fn explore<const N: usize>(keys: std::ops::Range<u64>, work: [Work; N], check: Work) {
    explore_sets(1, &keys.collect::<Vec<_>>(), work, check);
}

/// The same over so many sets.
///
/// Loom finds the steps that are worth swapping by the last access of each word alone, and overlooks some when a thread
/// reads a word before it writes it. So each piece of work has its turn to be the first.
fn explore_sets<const N: usize>(count: usize, keys: &[u64], work: [Work; N], check: Work) {
    for turn in 0..N {
        let keys = keys.to_vec();
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = builder.preemption_bound.or(Some(PREEMPTIONS));
        builder.check(move || {
            let sets = Arc::new(table(count));
            for n in &keys {
                assert_eq!(SharedCache::new(&sets).put(key(*n), &answer(*n), 0), Stored::Inserted);
            }
            let start = |work: Work| {
                let sets = Arc::clone(&sets);
                thread::spawn(move || work(SharedCache::new(&sets)))
            };
            let threads: Vec<_> = (1..N).map(|i| start(work[(turn + i) % N])).collect();
            work[turn](SharedCache::new(&sets));
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            check(SharedCache::new(&sets));
        });
    }
}

fn table(count: usize) -> Vec<Set> {
    (0..count).map(|_| Set::default()).collect()
}

fn look_up(cache: SharedCache<'_>, n: u64) -> bool {
    match cache.get(key(n), 0, 0) {
        Lookup::Hit(found) => {
            assert_eq!(found, answer(n));
            true
        }
        Lookup::Missing => false,
        Lookup::Expired => panic!("nothing expires"),
    }
}

/// With nobody at work: all ways are unclaimed, nothing is there twice, and what is there can be found.
fn is_sound(cache: SharedCache<'_>) {
    for entry in cache.entries() {
        let Lookup::Hit(found) = cache.get(entry.key, 0, 0) else { panic!("an entry that cannot be found") };
        assert_eq!(found, entry.answer);
    }
    cache.clear();
    assert_eq!([cache.put(key(7), &answer(7), 0), cache.put(key(8), &answer(8), 0)], [Stored::Inserted; 2]);
    assert!(look_up(cache, 7));
    assert_eq!(cache.put(key(6), &answer(6), 0), Stored::Evicted);
    assert!(look_up(cache, 7) && !look_up(cache, 8) && look_up(cache, 6), "the queue is a permutation");
}

#[test]
fn a_reader_of_the_entry_that_is_evicted() {
    explore(
        0..2,
        [
            |cache| {
                look_up(cache, 0);
            },
            |cache| {
                cache.put(key(2), &answer(2), 0);
            },
        ],
        is_sound,
    );
}

#[test]
fn a_reader_of_the_entry_that_comes_in() {
    explore(
        0..2,
        [
            |cache| {
                look_up(cache, 2);
            },
            |cache| {
                cache.put(key(2), &answer(2), 0);
            },
        ],
        is_sound,
    );
}

#[test]
fn a_reader_beside_two_evictions() {
    explore(
        0..2,
        [
            |cache| {
                look_up(cache, 0);
            },
            |cache| {
                cache.put(key(2), &answer(2), 0);
                cache.put(key(0), &answer(0), 0);
            },
        ],
        is_sound,
    );
}

#[test]
fn two_writers_of_two_keys() {
    explore(
        0..1,
        [
            |cache| {
                cache.put(key(2), &answer(2), 0);
                look_up(cache, 2);
            },
            |cache| {
                cache.put(key(3), &answer(3), 0);
                look_up(cache, 2);
            },
        ],
        is_sound,
    );
}

#[test]
fn two_writers_of_one_key() {
    let write: Work = |cache| {
        cache.put(key(1), &answer(1), 0);
    };
    explore(0..0, [write; 2], |cache| {
        assert!(look_up(cache, 1), "one of them was first");
        assert!(cache.entries().all(|entry| entry.key == key(1)));
        is_sound(cache);
    });
}

#[test]
fn two_readers_take_an_expired_entry_out_once() {
    loom::model(|| {
        let sets = Arc::new(table(1));
        SharedCache::new(&sets).put(key(1), &answer(1), 0);
        let other = Arc::clone(&sets);
        let there = thread::spawn(move || SharedCache::new(&other).get(key(1), 10, 10));
        let found = [SharedCache::new(&sets).get(key(1), 10, 10), there.join().unwrap()];
        assert_eq!(found.iter().filter(|found| **found == Lookup::Expired).count(), 1);
        assert_eq!(found.iter().filter(|found| **found == Lookup::Missing).count(), 1);
        is_sound(SharedCache::new(&sets));
    });
}

#[test]
fn an_expiry_beside_a_writer() {
    explore(
        1..2,
        [
            |cache| {
                if let Lookup::Hit(found) = cache.get(key(1), 10, 10) {
                    assert_eq!(found, answer(1));
                }
            },
            |cache| {
                cache.put(key(1), &answer(1), 10);
            },
        ],
        is_sound,
    );
}

/// Keys with one home in a table of two sets; the other set is the same for all of them, too. Two of them fill neither: the
/// second goes to the other set, which is emptier then.
const KIN: [u64; 5] = [3, 4, 5, 6, 7];

#[test]
fn kin_have_one_home() {
    // A restorer begins with the home, and the entries of a set come in the order of their arrival.
    for pair in KIN.windows(2) {
        for numbers in [[pair[0], pair[1]], [pair[1], pair[0]]] {
            loom::model(move || {
                let sets = table(2);
                let cache = SharedCache::new(&sets);
                let entry = |n| Entry { key: key(n), stored_at: 0, answer: answer(n) };
                assert!(numbers.iter().all(|n| cache.restorer().restore(&entry(*n)) == Stored::Inserted));
                assert_eq!(cache.entries().map(|entry| entry.key).collect::<Vec<_>>(), numbers.map(key));
            });
        }
    }
}

/// As [`is_sound`], for two sets: every way can be had, so both queues are permutations.
fn are_sound(cache: SharedCache<'_>) {
    for entry in cache.entries() {
        assert!(matches!(cache.get(entry.key, 0, 0), Lookup::Hit(found) if found == entry.answer));
    }
    cache.clear();
    (0..8).for_each(|n| assert_ne!(cache.put(key(n), &answer(n), 0), Stored::Skipped));
    assert_eq!(cache.len(), cache.capacity());
    assert_eq!((0..8).filter(|n| look_up(cache, *n)).count(), cache.capacity());
}

static IN_BOTH_SETS: AtomicUsize = AtomicUsize::new(0);

/// One of them finds the home half full and goes to the other set, while the home is what the other one finds vacant.
#[test]
fn two_writers_of_one_key_in_two_sets() {
    explore_sets(
        2,
        &[],
        [
            |cache| {
                cache.put(key(KIN[0]), &answer(KIN[0]), 0);
                cache.put(key(KIN[1]), &answer(KIN[1]), 0);
            },
            |cache| {
                cache.put(key(KIN[1]), &answer(KIN[1]), 0);
            },
        ],
        |cache| {
            assert!(look_up(cache, KIN[1]), "one of them was first");
            let copies = cache.entries().filter(|entry| entry.key == key(KIN[1])).count();
            assert!(copies <= 2);
            IN_BOTH_SETS.fetch_max(copies, Ordering::Relaxed);
            assert_eq!(cache.put(key(KIN[1]), &answer(KIN[1]), 5), Stored::Replaced);
            // Each copy dies once.
            let expired = (0..3).filter(|_| cache.get(key(KIN[1]), 100, 10) == Lookup::Expired).count();
            assert!((1..=copies).contains(&expired));
            assert!(!look_up(cache, KIN[1]));
            are_sound(cache);
        },
    );
    assert_eq!(IN_BOTH_SETS.load(Ordering::Relaxed), 2, "the race that this is about happens");
}

#[test]
fn two_writers_of_two_keys_that_meet_in_the_other_set() {
    explore_sets(
        2,
        &KIN[..1],
        [
            |cache| {
                cache.put(key(KIN[1]), &answer(KIN[1]), 0);
                look_up(cache, KIN[2]);
            },
            |cache| {
                cache.put(key(KIN[2]), &answer(KIN[2]), 0);
            },
        ],
        |cache| {
            assert!(look_up(cache, KIN[0]) && (look_up(cache, KIN[1]) || look_up(cache, KIN[2])));
            are_sound(cache);
        },
    );
}

static EVICTED_BESIDE_ITS_READER: AtomicBool = AtomicBool::new(false);

#[test]
fn a_reader_of_an_entry_in_the_other_set_beside_its_eviction() {
    explore_sets(
        2,
        &KIN[..4],
        [
            |cache| {
                look_up(cache, KIN[1]);
            },
            |cache| {
                cache.put(key(KIN[4]), &answer(KIN[4]), 0);
            },
        ],
        |cache| {
            assert!(look_up(cache, KIN[4]));
            if !look_up(cache, KIN[1]) {
                EVICTED_BESIDE_ITS_READER.store(true, Ordering::Relaxed);
            }
            are_sound(cache);
        },
    );
    assert!(EVICTED_BESIDE_ITS_READER.load(Ordering::Relaxed), "unless the reader was first, and marked it");
}

#[test]
fn a_writer_of_an_entry_in_the_other_set_beside_its_expiry() {
    explore_sets(
        2,
        &KIN[..2],
        [
            |cache| {
                if let Lookup::Hit(found) = cache.get(key(KIN[1]), 10, 10) {
                    assert_eq!(found, answer(KIN[1]));
                }
            },
            |cache| {
                cache.put(key(KIN[1]), &answer(KIN[1]), 10);
            },
        ],
        are_sound,
    );
}
