//! What each model has done, counted by all backends together in memory that they share.
//!
//! A [`ModelStats`] is a block of atomic integers, and zeros are a free one. Backends of one model find the same block by
//! the model's identity; the first claims it. A block is never given back: models are few, and what does not find a
//! block is not counted.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use crate::watch::histogram::{Histogram, Snapshot};

/// Words of a name; what it has beyond 96 bytes is cut off.
const NAME_WORDS: usize = 12;

/// What one model has done.
#[derive(Default)]
#[repr(C, align(64))]
pub struct ModelStats {
    /// Hash of the model; 0 in a free block. Written once, by compare-and-exchange.
    identity: AtomicU64,
    /// 1 once the name is complete: whoever sees it sees the name.
    named: AtomicU64,
    name: [AtomicU64; NAME_WORDS],
    queries: AtomicU64,
    latency: Histogram,
}

/// A copy of the numbers of one model.
pub struct ModelCounts {
    /// Name and version of the model.
    pub name: String,
    /// Queries it has answered.
    pub queries: u64,
    /// Times of its runs; a run of a batch answers many queries.
    pub runs: Snapshot,
}

impl ModelStats {
    /// The block of the model with this SHA-256, claimed if it is new; `None` when all are taken.
    pub fn of<'m>(blocks: &'m [Self], sha256: &str, name: &str) -> Option<&'m Self> {
        let identity = xxh3_64(sha256.as_bytes()).max(1);
        for block in blocks {
            match block.identity.compare_exchange(0, identity, Relaxed, Relaxed) {
                Ok(_) => {
                    block.write_name(name);
                    return Some(block);
                }
                Err(found) if found == identity => return Some(block),
                Err(_) => {}
            }
        }
        None
    }

    /// Counts one run over `queries` texts.
    pub fn record(&self, queries: usize, elapsed: Duration) {
        self.queries.fetch_add(queries as u64, Relaxed);
        self.latency.record(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX), 1);
    }

    /// The numbers as they are, of a block that is in use; they may be a moment behind each other.
    #[must_use]
    pub fn counts(&self) -> Option<ModelCounts> {
        if self.named.load(Acquire) == 0 {
            return None;
        }
        let bytes: Vec<u8> = self.name.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).collect();
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        Some(ModelCounts {
            name: String::from_utf8_lossy(&bytes[..end]).into_owned(),
            queries: self.queries.load(Relaxed),
            runs: self.latency.snapshot(),
        })
    }

    /// Begins the counts anew; a run that ends meanwhile may be counted in part.
    pub fn reset(&self) {
        self.queries.store(0, Relaxed);
        self.latency.reset();
    }

    fn write_name(&self, name: &str) {
        let most = NAME_WORDS * size_of::<u64>();
        let end = (0..=name.len().min(most)).rev().find(|&end| name.is_char_boundary(end)).unwrap_or(0);
        for (word, bytes) in self.name.iter().zip(name.as_bytes()[..end].chunks(size_of::<u64>())) {
            let mut padded = [0; size_of::<u64>()];
            padded[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(padded), Relaxed);
        }
        self.named.store(1, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks() -> [ModelStats; 2] {
        Default::default()
    }

    #[test]
    fn a_model_has_one_block() {
        let blocks = blocks();
        assert!(blocks.iter().all(|block| block.counts().is_none()));
        let one = ModelStats::of(&blocks, "aa", "one 1").unwrap();
        let two = ModelStats::of(&blocks, "bb", "two 2").unwrap();
        assert!(std::ptr::eq(ModelStats::of(&blocks, "aa", "one 1").unwrap(), one));
        assert!(ModelStats::of(&blocks, "cc", "three 3").is_none());
        one.record(64, Duration::from_micros(300));
        one.record(1, Duration::from_micros(20));
        let counts = one.counts().unwrap();
        assert_eq!((counts.name.as_str(), counts.queries, counts.runs.count()), ("one 1", 65, 2));
        assert_eq!((counts.runs.sum(), counts.runs.max()), (320_000, 300_000));
        assert_eq!(two.counts().map(|counts| (counts.name, counts.queries)), Some(("two 2".into(), 0)));
        one.reset();
        assert_eq!(one.counts().map(|counts| (counts.queries, counts.runs.count())), Some((0, 0)));
    }

    #[test]
    fn a_long_name_is_cut_between_two_characters() {
        for (name, kept) in
            [("あ".repeat(40), "あ".repeat(32)), (format!("a{}", "あ".repeat(40)), format!("a{}", "あ".repeat(31)))]
        {
            let blocks = blocks();
            let block = ModelStats::of(&blocks, "aa", &name).unwrap();
            assert_eq!(block.counts().unwrap().name, kept);
        }
    }

    #[test]
    fn threads_agree_on_a_block() {
        for _ in 0..50 {
            let blocks = blocks();
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope
                        .spawn(|| ModelStats::of(&blocks, "aa", "one 1").unwrap().record(1, Duration::from_nanos(100)));
                }
            });
            assert_eq!(blocks[0].counts().map(|counts| (counts.name, counts.queries)), Some(("one 1".into(), 4)));
            assert!(blocks[1].counts().is_none());
        }
    }
}
