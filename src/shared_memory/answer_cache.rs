//! The cache of answers as a backend sees it: the shared one (L2) where there is one, else its own (L1).
//!
//! Never both: a hit of the shared cache writes nothing, unless it is the first one for its entry in a while, and over
//! 200,000 rows with 20,000 queries it costs 0.26 times `md5()`, where one of the local cache costs 0.23 (`make bench`). A
//! second level in front would save less than its own look-up adds to every miss, and take memory in every backend.

use harca_core::cache::local::{Counters, LocalCache};
use harca_core::cache::shared::{Lookup, SharedCache, Stored};
use harca_core::classify::classification::Classification;
use harca_core::text::key::Key;

use super::{Event, Shared, attach};
use crate::{process, settings};

/// The cache of one backend.
pub struct Cache {
    shared: Option<(Shared, SharedCache<'static>)>,
    local: LocalCache,
    secret: u64,
    counters: Counters,
}

/// What the local cache holds and has done.
pub struct LocalUse {
    /// Answers.
    pub entries: usize,
    /// Memory, about.
    pub bytes: usize,
    /// Look-ups and what became of them.
    pub counters: Counters,
}

impl Cache {
    /// The shared cache, if the server has one, else an empty one of this backend.
    pub fn new() -> Self {
        let shared = attach();
        Self {
            secret: shared.map_or_else(process::random_secret, |shared| shared.secret()),
            shared: shared.filter(Shared::has_cache).map(|shared| (shared, shared.cache())),
            local: LocalCache::new(settings::local_cache_size()),
            counters: Counters::default(),
        }
    }

    /// What the keys are made with, together with the identity of the model.
    pub fn secret(&self) -> u64 {
        self.secret
    }

    /// Finds a live answer; `now` is in microseconds as of PostgreSQL.
    pub fn get(&mut self, key: Key, now: i64) -> Option<Classification> {
        let ttl = settings::cache_ttl_micros();
        let Some((shared, cache)) = &self.shared else {
            return self.local.get(key, now, ttl);
        };
        if settings::track_statistics() {
            shared.sample(key, now, ttl);
        }
        match cache.get(key, now, ttl) {
            Lookup::Hit(answer) => {
                if settings::track_statistics() {
                    self.counters.hits += 1;
                    shared.count(Event::Hit);
                }
                return Some(answer);
            }
            Lookup::Expired => {
                self.counters.expirations += 1;
                shared.count(Event::Expiration);
            }
            Lookup::Missing => {}
        }
        self.counters.misses += 1;
        shared.count(Event::Miss);
        None
    }

    /// Keeps an answer.
    pub fn put(&mut self, key: Key, answer: Classification, now: i64) {
        let Some((shared, cache)) = &self.shared else {
            return self.local.put(key, answer, now);
        };
        if cache.put(key, &answer, now) == Stored::Evicted {
            self.counters.evictions += 1;
            shared.count(Event::Eviction);
        }
    }

    /// Follows a change of `pg_harca.local_cache_size`.
    pub fn follow_settings(&mut self) {
        self.local.set_capacity(settings::local_cache_size());
    }

    /// Forgets the answers that this backend keeps for itself, and gives their number.
    pub fn clear_local(&mut self) -> usize {
        let entries = self.local.len();
        self.local.clear();
        entries
    }

    /// The cache that this backend keeps for itself.
    pub fn local(&self) -> LocalUse {
        LocalUse { entries: self.local.len(), bytes: self.local.bytes(), counters: self.local.counters() }
    }

    /// What this backend's look-ups did, whichever cache they went to.
    pub fn counters(&self) -> Counters {
        if self.shared.is_some() { self.counters } else { self.local.counters() }
    }
}
