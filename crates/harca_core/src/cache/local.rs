//! The backend's own cache (L1): the last answers, least recently used out first, each for a limited time.
//!
//! Texts are not kept: an entry is found by the [`Key`] of its text.

use std::num::NonZeroUsize;

use lru::LruCache;

use crate::classify::classification::Classification;
use crate::text::key::Key;

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
///
/// Nodes are allocated in blocks and then reused. Taken one by one, between runs of a session that leave the heap full
/// of small holes, each would pin a page of it: 4 kB instead of 100 bytes an entry, as measured with glibc.
pub struct LocalCache {
    /// Never holds fewer nodes than its own bound, so that a new entry takes the node of the least recently used; that
    /// is a vacant one as long as there is one.
    nodes: LruCache<Key, Option<Entry>>,
    vacant: usize,
    vacant_keys: u64,
    capacity: usize,
    counters: Counters,
}

#[derive(Clone, Copy)]
struct Entry {
    answer: Classification,
    stored_at: i64,
}

/// Nodes of the first block; each later one doubles what is there.
const FIRST_BLOCK: usize = 256;

impl LocalCache {
    /// A cache for at most `capacity` entries, about 150 bytes each; 0 keeps nothing. Memory is taken as entries come.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            nodes: LruCache::new(NonZeroUsize::MIN),
            vacant: 0,
            vacant_keys: 0,
            capacity,
            counters: Counters::default(),
        }
    }

    /// Finds a live entry and makes it the most recently used.
    ///
    /// `now` is in microseconds from any fixed point, `ttl` the microseconds an entry lives; 0 is for ever. A clock
    /// that goes back keeps entries alive.
    pub fn get(&mut self, key: Key, now: i64, ttl: i64) -> Option<Classification> {
        if let Some(node) = self.nodes.get_mut(&key)
            && let Some(entry) = *node
        {
            if ttl == 0 || now.saturating_sub(entry.stored_at) < ttl {
                self.counters.hits += 1;
                return Some(entry.answer);
            }
            *node = None;
            self.nodes.demote(&key);
            self.vacant += 1;
            self.counters.expirations += 1;
        }
        self.counters.misses += 1;
        None
    }

    /// Keeps an answer, and puts the least recently used out when there is no room.
    pub fn put(&mut self, key: Key, answer: Classification, now: i64) {
        if self.capacity == 0 {
            return;
        }
        if self.vacant == 0 && self.nodes.len() < self.capacity && !self.nodes.contains(&key) {
            self.allocate_block();
        }
        match self.nodes.push(key, Some(Entry { answer, stored_at: now })) {
            Some((_, None)) => self.vacant -= 1,
            Some((replaced, Some(_))) if replaced == key => {}
            Some(_) => self.counters.evictions += 1,
            None => {}
        }
    }

    /// Changes the bound; entries past it go, least recently used first.
    pub fn set_capacity(&mut self, capacity: usize) {
        if capacity == self.capacity {
            return;
        }
        let (nodes, live) = (self.nodes.len(), self.len());
        self.capacity = capacity;
        self.counters.evictions += live.saturating_sub(capacity) as u64;
        match NonZeroUsize::new(capacity) {
            Some(bound) if capacity < nodes => {
                self.nodes.resize(bound);
                self.vacant = self.vacant.saturating_sub(nodes - capacity);
            }
            Some(_) => {}
            None => self.clear(),
        }
    }

    /// Forgets every entry; the counters go on.
    pub fn clear(&mut self) {
        self.nodes = LruCache::new(NonZeroUsize::MIN);
        self.vacant = 0;
    }

    /// The number of entries, expired ones that nobody asked for included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len() - self.vacant
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory of its nodes, about: what the allocator and the index add is reckoned at three words each.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let node = size_of::<(Key, Option<Entry>)>() + 5 * size_of::<usize>();
        self.nodes.len() * node
    }

    /// What the cache has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Adds vacant nodes behind all entries; only called when there is room for one.
    fn allocate_block(&mut self) {
        let nodes = self.nodes.len();
        let block = nodes.max(FIRST_BLOCK).min(self.capacity - nodes);
        self.nodes.resize(NonZeroUsize::MIN.saturating_add(nodes + block - 1));
        for _ in 0..block {
            // A vacant node needs a key of its own; a text's hash is one of these small numbers as seldom as it is
            // another text's.
            self.vacant_keys += 1;
            let key = Key::from_halves([self.vacant_keys, 0]);
            self.nodes.put(key, None);
            self.nodes.demote(&key);
        }
        self.vacant += block;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::classify::classification::Scores;
    use crate::text::language::Language;

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

    #[test]
    fn blocks_grow_with_the_entries_and_not_past_the_bound() {
        let mut cache = LocalCache::new(FIRST_BLOCK * 3);
        for n in 0..FIRST_BLOCK as u64 * 4 {
            cache.put(key(n), answer(n), 0);
            assert_eq!(cache.len() as u64, (n + 1).min(FIRST_BLOCK as u64 * 3));
        }
        assert_eq!(cache.nodes.len(), FIRST_BLOCK * 3);
        assert_eq!(cache.counters().evictions, FIRST_BLOCK as u64);
        cache.clear();
        assert!(cache.is_empty() && cache.get(key(1000), 0, 0).is_none());
    }

    #[test]
    fn an_expired_entry_makes_room() {
        let mut cache = LocalCache::new(2);
        cache.put(key(1), answer(1), 0);
        cache.put(key(2), answer(2), 100);
        assert!(cache.get(key(1), 100, 50).is_none());
        cache.put(key(3), answer(3), 100);
        assert_eq!(cache.counters().evictions, 0);
        assert!(cache.get(key(2), 100, 50).is_some());
        assert!(cache.get(key(3), 100, 50).is_some());
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
