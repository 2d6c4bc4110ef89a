//! The shared cache under loom, which tries the interleavings of a few operations and, in each, the values that the memory
//! model lets a relaxed load see. Sets have two ways here.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p harca_core --test shared_cache_loom`; a target folder of its own
//! (`CARGO_TARGET_DIR`) saves the ordinary one from being compiled anew.
#![cfg(loom)]

use harca_core::cache::shared::{Lookup, Set, SharedCache, Stored};
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
///
/// Loom finds the steps that are worth swapping by the last access of each word alone, and overlooks some when a thread
/// reads a word before it writes it. So each piece of work has its turn to be the first.
fn explore<const N: usize>(keys: std::ops::Range<u64>, work: [Work; N], check: Work) {
    for turn in 0..N {
        let keys = keys.clone();
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = builder.preemption_bound.or(Some(PREEMPTIONS));
        builder.check(move || {
            let sets = Arc::new([Set::default()]);
            for n in keys.clone() {
                assert_eq!(SharedCache::new(&*sets).put(key(n), &answer(n), 0), Stored::Inserted);
            }
            let start = |work: Work| {
                let sets = Arc::clone(&sets);
                thread::spawn(move || work(SharedCache::new(&*sets)))
            };
            let threads: Vec<_> = (1..N).map(|i| start(work[(turn + i) % N])).collect();
            work[turn](SharedCache::new(&*sets));
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            check(SharedCache::new(&*sets));
        });
    }
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
        let sets = Arc::new([Set::default()]);
        SharedCache::new(&*sets).put(key(1), &answer(1), 0);
        let other = Arc::clone(&sets);
        let there = thread::spawn(move || SharedCache::new(&*other).get(key(1), 10, 10));
        let found = [SharedCache::new(&*sets).get(key(1), 10, 10), there.join().unwrap()];
        assert_eq!(found.iter().filter(|found| **found == Lookup::Expired).count(), 1);
        assert_eq!(found.iter().filter(|found| **found == Lookup::Missing).count(), 1);
        is_sound(SharedCache::new(&*sets));
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
