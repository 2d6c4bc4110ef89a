//! The backend's own cache (L1): the last answers, least recently used out first, each for a limited time.
//!
//! Texts are not kept. An entry's key is a 128-bit hash of the text and of everything that its answer depends on, keyed
//! with a secret of the process, so that nobody can craft two texts that meet.

use std::num::NonZeroUsize;

use lru::LruCache;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use crate::classify::Classification;

/// Names a text under one model generation; two texts have the same key with probability 2⁻¹²⁸.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u128);

impl Key {
    /// The key of `text`, in whatever encoding its bytes are, under `seed`: the process secret combined with the model
    /// generation.
    #[must_use]
    pub fn new(text: &[u8], seed: u64) -> Self {
        Self(xxh3_128_with_seed(text, seed))
    }
}

/// Joins the secret of a process with the identity of a model (its SHA-256) to the seed of its keys.
#[must_use]
pub fn seed(secret: u64, model: &str) -> u64 {
    xxh3_64_with_seed(model.as_bytes(), secret)
}

/// What the cache has done since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Look-ups that found a live entry.
    pub hits: u64,
    /// Look-ups that found none, or one past its time.
    pub misses: u64,
    /// Entries put out for want of room.
    pub evictions: u64,
    /// Entries found past their time.
    pub expirations: u64,
}

/// A bounded map from [`Key`] to [`Classification`].
pub struct LocalCache {
    entries: LruCache<Key, Entry>,
    capacity: usize,
    counters: Counters,
}

#[derive(Clone, Copy)]
struct Entry {
    answer: Classification,
    stored_at: i64,
}

impl LocalCache {
    /// A cache for at most `capacity` entries; 0 keeps nothing. Memory is taken as entries come, about 150 bytes each.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        // Not `LruCache::new(capacity)`, which takes the memory of a full cache at once.
        Self { entries: LruCache::unbounded(), capacity, counters: Counters::default() }
    }

    /// Finds a live entry and makes it the most recently used.
    ///
    /// `now` is in microseconds from any fixed point, `ttl` the microseconds an entry lives; 0 is for ever. A clock
    /// that goes back keeps entries alive.
    pub fn get(&mut self, key: Key, now: i64, ttl: i64) -> Option<Classification> {
        match self.entries.get(&key) {
            Some(entry) if ttl == 0 || now.saturating_sub(entry.stored_at) < ttl => {
                self.counters.hits += 1;
                Some(entry.answer)
            }
            Some(_) => {
                self.entries.pop(&key);
                self.counters.expirations += 1;
                self.counters.misses += 1;
                None
            }
            None => {
                self.counters.misses += 1;
                None
            }
        }
    }

    /// Keeps an answer, and puts the least recently used out when there is no room.
    pub fn put(&mut self, key: Key, answer: Classification, now: i64) {
        if self.capacity == 0 {
            return;
        }
        self.entries.put(key, Entry { answer, stored_at: now });
        self.shrink();
    }

    /// Changes the bound; entries past it go, least recently used first.
    pub fn set_capacity(&mut self, capacity: usize) {
        if capacity != self.capacity {
            self.capacity = capacity;
            self.shrink();
            if let Some(bound) = NonZeroUsize::new(self.entries.len()).filter(|_| capacity > 0) {
                // Gives the hash table's memory back after a large bound was lowered.
                self.entries.resize(bound);
                self.entries.resize(NonZeroUsize::MAX);
            }
        }
    }

    /// Forgets every entry; the counters go on.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// The number of entries, expired ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What the cache has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn shrink(&mut self) {
        while self.entries.len() > self.capacity {
            self.entries.pop_lru();
            self.counters.evictions += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::classify::Scores;
    use crate::language::Language;

    fn key(n: u64) -> Key {
        Key::new(&n.to_le_bytes(), 7)
    }

    fn answer(n: u64) -> Classification {
        Classification::from_scores(Scores::new(&[n as f32]), Language::Undetermined)
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut cache = LocalCache::new(2);
        cache.put(key(1), answer(1), 0);
        cache.put(key(2), answer(2), 0);
        assert_eq!(cache.get(key(1), 0, 0), Some(answer(1)));
        cache.put(key(3), answer(3), 0);
        assert_eq!(cache.get(key(2), 0, 0), None);
        assert_eq!(cache.get(key(1), 0, 0), Some(answer(1)));
        assert_eq!(cache.counters(), Counters { hits: 2, misses: 1, evictions: 1, expirations: 0 });
    }

    #[test]
    fn an_entry_dies_with_its_time() {
        let mut cache = LocalCache::new(2);
        cache.put(key(1), answer(1), 100);
        assert!(cache.get(key(1), 109, 10).is_some());
        assert!(cache.get(key(1), 110, 10).is_none());
        assert!(cache.is_empty());
        assert_eq!(cache.counters().expirations, 1);
    }

    #[test]
    fn no_room_keeps_nothing() {
        let mut cache = LocalCache::new(0);
        cache.put(key(1), answer(1), 0);
        assert!(cache.is_empty());
    }

    #[test]
    fn another_seed_is_another_key() {
        assert_ne!(Key::new(b"same", 1), Key::new(b"same", 2));
    }

    proptest! {
        /// The oracle is a list in order of use.
        #[test]
        fn behaves_like_a_list_in_order_of_use(
            steps in prop::collection::vec((0u64..12, any::<bool>(), 0usize..6), 1..200),
        ) {
            let mut cache = LocalCache::new(4);
            let mut capacity = 4;
            let mut oracle: Vec<u64> = Vec::new();
            for (n, write, resize) in steps {
                if resize == 0 {
                    capacity = (n % 6) as usize;
                    cache.set_capacity(capacity);
                    let excess = oracle.len().saturating_sub(capacity);
                    oracle.drain(..excess);
                }
                if write {
                    cache.put(key(n), answer(n), 0);
                    oracle.retain(|&m| m != n);
                    oracle.push(n);
                    let excess = oracle.len().saturating_sub(capacity);
                    oracle.drain(..excess);
                } else {
                    let found = cache.get(key(n), 0, 0);
                    prop_assert_eq!(found, oracle.contains(&n).then(|| answer(n)));
                    if found.is_some() {
                        oracle.retain(|&m| m != n);
                        oracle.push(n);
                    }
                }
                prop_assert_eq!(cache.len(), oracle.len());
            }
        }
    }
}
