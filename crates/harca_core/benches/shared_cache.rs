//! What the shared cache costs: a hit, a miss and a store, with keys at hand. Answers are checked first.
//!
//! `cargo bench -p harca_core --bench shared_cache`
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use harca_core::cache::local::LocalCache;
use harca_core::cache::shared::{Lookup, Set, SharedCache};
use harca_core::classify::classification::{Classification, Scores};
use harca_core::text::key::Key;
use harca_core::text::language::Language;

const ENTRIES: u64 = 10_000;

fn key(n: u64) -> Key {
    Key::new(&n.to_le_bytes(), 1)
}

fn shared_cache(c: &mut Criterion) {
    let answer = Classification::from_scores(Scores::new(&[0.1, 0.7, 0.15, 0.05]), Language::English);
    let sets: Vec<Set> = (0..Set::needed_for(ENTRIES as usize)).map(|_| Set::default()).collect();
    let cache = SharedCache::new(&sets);
    let hit = |key| matches!(cache.get(key, 1, 60_000_000), Lookup::Hit(_));
    for n in 0..ENTRIES {
        cache.put(key(n), &answer, 0);
    }
    let kept: Vec<Key> = (0..ENTRIES).map(key).filter(|key| hit(*key)).collect();
    assert!(kept.len() as u64 * 100 > ENTRIES * 95, "{} of {ENTRIES} entries are kept", kept.len());
    assert_eq!(cache.get(kept[0], 1, 0), Lookup::Hit(answer));
    let unknown: Vec<Key> = (ENTRIES..2 * ENTRIES).map(key).collect();
    assert!(!unknown.iter().any(|key| hit(*key)));

    let mut group = c.benchmark_group("shared cache");
    group.throughput(Throughput::Elements(1));
    group.bench_function("hit on one entry", |b| b.iter(|| cache.get(black_box(kept[0]), 1, 60_000_000)));
    group.throughput(Throughput::Elements(kept.len() as u64));
    group.bench_function("hits on all entries", |b| b.iter(|| kept.iter().filter(|key| hit(**key)).count()));
    let mut local = LocalCache::new(ENTRIES as usize);
    for key in &kept {
        local.put(*key, answer, 0);
    }
    group.bench_function("the same in the local cache", |b| {
        b.iter(|| kept.iter().filter(|key| local.get(**key, 1, 60_000_000).is_some()).count());
    });
    group.throughput(Throughput::Elements(ENTRIES));
    group.bench_function("misses", |b| b.iter(|| unknown.iter().filter(|key| hit(**key)).count()));
    let mut next = 2 * ENTRIES;
    group.bench_function("stores into a full table", |b| {
        b.iter_batched(
            || {
                next += ENTRIES;
                (next..next + ENTRIES).map(key).collect::<Vec<_>>()
            },
            |keys| {
                for key in &keys {
                    black_box(cache.put(*key, &answer, 0));
                }
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, shared_cache);
criterion_main!(benches);
