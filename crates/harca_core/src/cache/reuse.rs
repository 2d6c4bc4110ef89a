//! How often a cache of another size would have hit, from the reuse distances of a sample of its keys.
//!
//! The reuse distance of a look-up is the number of different keys that were asked for since its key was asked for last. A
//! cache of n entries that puts out the one asked for longest ago hits exactly where that is below n (R. Mattson et al.,
//! "Evaluation techniques for storage hierarchies", IBM Systems Journal 1970), so their distribution is the curve of the
//! share of hits over the size. All keys are too many to follow: of spatially hashed samples (C. Waldspurger et al.,
//! "Efficient MRC Construction with SHARDS", FAST 2015) every look-up of a key counts or none does, by the hash of the key,
//! and distances among the keys of one in 2ⁿ, times 2ⁿ, are those among all. The share adapts: when there is no room for
//! another key, half of them go, unless they reach as far as is asked for already; then the one asked for longest ago goes.
//! `tests` holds it against the exact distances.
//!
//! The shared cache puts out by SIEVE, which hits more often than this curve says (see [`shared`](super::shared)): what it
//! promises is rather too little.
//!
//! # Locking contract
//!
//! Made for shared memory: plain atomics, and zeros are a sampler of every key that has seen nothing. Nobody waits.
//!
//! | word | who writes it | how |
//! |---|---|---|
//! | `claimed` | whoever samples, or begins anew | compare-and-exchange from 0 to 1, acquire; 0 by a release store. Who finds it taken drops its look-up |
//! | all others | who has claimed it | relaxed |
//!
//! A look-up of a key that is not sampled reads one word that next to never changes. A [`Curve`] is read without the claim, and
//! may lag behind. A process that dies within a claim leaves it taken: nothing is sampled from then on, until PostgreSQL makes
//! its shared memory anew, as the postmaster does whenever a process dies that way.

use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use crate::text::key::Key;

/// Keys that are followed at a time.
const KEYS: usize = 2048;

/// Distances of one power of two are told apart in so many steps, as a power of two.
const STEP_BITS: u32 = 2;
/// Distances from 2³² on count as the longest below.
const BUCKETS: usize = (33 - STEP_BITS as usize) << STEP_BITS;

/// A share of one key in 2³² is the least.
const MOST_HALVINGS: u64 = 32;

/// Look-ups that are sampled, before which the curve says nothing.
const ENOUGH_LOOKUPS: u64 = 1000;
/// Keys, likewise: among fewer, a distance is chance.
const ENOUGH_KEYS: u64 = 100;

/// What is known of the keys that are sampled; see the [module documentation](self).
#[repr(C, align(64))]
pub struct ReuseSampler {
    /// One key in 2ⁿ is sampled.
    halvings: AtomicU64,
    claimed: AtomicU64,
    /// Look-ups that were sampled: the clock of [`Self::asked`].
    lookups: AtomicU64,
    /// Keys that are followed.
    len: AtomicU64,
    /// Look-ups of keys that were new, or whose answer was past its time: no cache of any size hits there. These, and those
    /// below, weigh as many look-ups as they stand for.
    cold: AtomicU64,
    /// The others, by their distance.
    distances: [AtomicU64; BUCKETS],
    keys: [AtomicU64; KEYS],
    /// When each key was asked for last.
    asked: [AtomicU64; KEYS],
    /// When the answer of each key was made, in microseconds, as bits.
    made: [AtomicU64; KEYS],
}

/// What a look-up is sampled with.
#[derive(Debug, Clone, Copy)]
pub struct Reference {
    /// Whose answer is looked up.
    pub key: Key,
    /// When, in microseconds.
    pub now: i64,
    /// How long an answer may be given again, in microseconds; 0 is for ever.
    pub ttl: i64,
    /// The largest size that the curve is wanted for.
    pub reach: u64,
}

/// The share of hits over the size of a cache.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Look-ups that were sampled.
    pub lookups: u64,
    /// Keys that are followed now.
    pub keys: u64,
    /// Look-ups of keys whose share is known, from 1 to the largest size.
    distances: Vec<u64>,
    total: u64,
}

impl ReuseSampler {
    /// One that samples one key in 2ⁿ to begin with.
    #[must_use]
    pub const fn new(halvings: u64) -> Self {
        Self {
            halvings: AtomicU64::new(halvings),
            claimed: AtomicU64::new(0),
            lookups: AtomicU64::new(0),
            len: AtomicU64::new(0),
            cold: AtomicU64::new(0),
            distances: [const { AtomicU64::new(0) }; BUCKETS],
            keys: [const { AtomicU64::new(0) }; KEYS],
            asked: [const { AtomicU64::new(0) }; KEYS],
            made: [const { AtomicU64::new(0) }; KEYS],
        }
    }

    /// Tells of a look-up, which counts if its key is sampled and nobody else is at it.
    #[inline]
    pub fn look_up(&self, reference: &Reference) {
        let name = name(reference.key);
        if is_sampled(name, self.halvings()) {
            self.claiming(|| self.count(name, reference));
        }
    }

    /// Forgets all, and samples one key in 2ⁿ again.
    pub fn reset(&self, halvings: u64) {
        self.claiming(|| {
            let counts = [&self.lookups, &self.len, &self.cold];
            counts.into_iter().chain(&self.distances).for_each(|count| count.store(0, Relaxed));
            self.halvings.store(halvings, Relaxed);
        });
    }

    /// What is known by now, if that is enough to tell anything: of so many look-ups in all as have been counted beside it.
    ///
    /// Whether the few keys that are asked for most are sampled is chance. The difference between all look-ups and those that
    /// the sample stands for is put down to them: what is missing has the shortest distances, and what is too much is taken
    /// from these (after SHARDS-adj of the paper).
    #[must_use]
    pub fn curve(&self, all: u64) -> Option<Curve> {
        let (lookups, keys) = (self.lookups.load(Relaxed), self.len.load(Relaxed));
        if lookups < ENOUGH_LOOKUPS || keys < ENOUGH_KEYS {
            return None;
        }
        let mut distances: Vec<u64> = self.distances.iter().map(|count| count.load(Relaxed)).collect();
        let cold = self.cold.load(Relaxed);
        let total = |distances: &[u64]| distances.iter().fold(cold, |sum, count| sum.saturating_add(*count));
        let sampled = total(&distances);
        distances[0] = distances[0].saturating_add(all.saturating_sub(sampled));
        let mut excess = sampled.saturating_sub(all);
        for count in &mut distances {
            let taken = excess.min(*count);
            (*count, excess) = (*count - taken, excess - taken);
        }
        Some(Curve { lookups, keys, total: total(&distances), distances })
    }

    /// Does something with the claim, unless another process has it.
    fn claiming(&self, work: impl FnOnce()) {
        if self.claimed.compare_exchange(0, 1, Acquire, Relaxed).is_ok() {
            work();
            self.claimed.store(0, Release);
        }
    }

    fn count(&self, name: u64, reference: &Reference) {
        let now = self.lookups.load(Relaxed).saturating_add(1);
        self.lookups.store(now, Relaxed);
        let len = self.len();
        let place = self.keys[..len].iter().position(|key| key.load(Relaxed) == name);
        let halvings = self.halvings();
        let Some(place) = place else {
            add(&self.cold, 1 << halvings);
            return self.follow(name, now, reference);
        };
        let made = self.made[place].load(Relaxed) as i64;
        if reference.ttl > 0 && reference.now.saturating_sub(made) > reference.ttl {
            add(&self.cold, 1 << halvings);
            self.made[place].store(reference.now as u64, Relaxed);
        } else {
            let before = self.asked[place].load(Relaxed);
            let between = self.asked[..len].iter().filter(|asked| asked.load(Relaxed) > before).count() as u64;
            add(&self.distances[bucket(between << halvings)], 1 << halvings);
        }
        self.asked[place].store(now, Relaxed);
    }

    /// One key in 2ⁿ is sampled: n, in bounds whatever the memory holds.
    fn halvings(&self) -> u64 {
        self.halvings.load(Relaxed).min(MOST_HALVINGS)
    }

    /// The number of keys, in bounds whatever the memory holds.
    fn len(&self) -> usize {
        usize::try_from(self.len.load(Relaxed)).unwrap_or(KEYS).min(KEYS)
    }

    /// Follows another key, for which room is made if there is none.
    fn follow(&self, name: u64, now: u64, reference: &Reference) {
        let mut place = self.len();
        while place == KEYS {
            let halvings = self.halvings();
            if (KEYS as u64) << halvings >= reference.reach || halvings >= MOST_HALVINGS {
                place = (0..KEYS).min_by_key(|place| self.asked[*place].load(Relaxed)).unwrap_or(0);
                break;
            }
            place = self.halve(halvings + 1);
        }
        if !is_sampled(name, self.halvings()) {
            return;
        }
        self.keys[place].store(name, Relaxed);
        self.asked[place].store(now, Relaxed);
        self.made[place].store(reference.now as u64, Relaxed);
        self.len.store((place as u64 + 1).max(self.len() as u64), Relaxed);
    }

    /// Samples half as many keys, lets the others go, and gives the number of those that stay.
    fn halve(&self, halvings: u64) -> usize {
        self.halvings.store(halvings, Relaxed);
        let mut kept = 0;
        for place in 0..KEYS {
            if is_sampled(self.keys[place].load(Relaxed), halvings) {
                for column in [&self.keys, &self.asked, &self.made] {
                    column[kept].store(column[place].load(Relaxed), Relaxed);
                }
                kept += 1;
            }
        }
        self.len.store(kept as u64, Relaxed);
        kept
    }
}

impl Curve {
    /// The share of look-ups that a cache of so many entries would have answered, from 0 to 1.
    #[must_use]
    pub fn hit_ratio(&self, entries: u64) -> f64 {
        let mut hits = 0.0;
        for (place, count) in self.distances.iter().enumerate() {
            let (from, to) = (first(place), first(place + 1));
            if entries >= to {
                hits += *count as f64;
            } else if entries > from {
                hits += *count as f64 * (entries - from) as f64 / (to - from) as f64;
            }
        }
        hits / (self.total as f64).max(1.0)
    }
}

fn add(count: &AtomicU64, weight: u64) {
    count.store(count.load(Relaxed).saturating_add(weight), Relaxed);
}

/// What a key is called here: bits of its hash that nothing else goes by.
fn name(key: Key) -> u64 {
    let [low, high] = key.halves();
    low.rotate_right(17) ^ high.rotate_left(29)
}

/// Whether a key is one of those in 2ⁿ; those of half as many are among them.
fn is_sampled(name: u64, halvings: u64) -> bool {
    name & ((1 << halvings) - 1) == 0
}

/// The place of a distance: exact up to 2^`STEP_BITS`, then by steps of its power of two.
fn bucket(distance: u64) -> usize {
    if distance < 1 << STEP_BITS {
        return distance as usize;
    }
    let power = distance.ilog2();
    let step = (distance >> (power - STEP_BITS)) as usize & ((1 << STEP_BITS) - 1);
    ((((power - STEP_BITS + 1) as usize) << STEP_BITS) + step).min(BUCKETS - 1)
}

/// The least distance of a place.
fn first(place: usize) -> u64 {
    let (power, step) = (place >> STEP_BITS, (place & ((1 << STEP_BITS) - 1)) as u64);
    if power == 0 { step } else { ((1 << STEP_BITS) + step) << (power - 1) }
}

#[cfg(test)]
mod tests;
