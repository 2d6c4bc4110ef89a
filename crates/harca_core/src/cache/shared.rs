//! The cache that all backends share (L2): a set-associative table in memory that several processes map.
//!
//! A table is a slice of [`Set`]s, each with one line of queue and tags and 14 records of one cache line. A key names a tag
//! and two sets: its home, and another one. Its entry is in one of them, mostly in the home: a hit there reads two lines, one
//! in the other set three, and a miss the tags of both. With two sets to choose from (Azar et al., "Balanced allocations",
//! STOC 1994; Mitzenmacher, "The power of two choices in randomized load balancing", 2001) the table fills almost evenly:
//!
//! - A new entry takes a vacant way of the home, unless the other set has twice as many, or more while the home has three at
//!   most. Taking the emptier one at all times would put a third of the entries where a look-up comes second; so it is a
//!   seventh when 90 % of the room are taken, and a fortieth when half of it is. A scan over as many keys as 90 % of the room,
//!   again and again, misses less than 0.4 % in its second round and next to nothing from the third; with one set for a key
//!   it missed 37 % for ever.
//! - When both sets are full, SIEVE decides within one which entry makes room: a hit marks its entry, and a hand that goes
//!   from the oldest to the newest clears marks until it finds an entry without one. It is the home seven times of eight. If
//!   it always were, fifteen keys of one home could put each other out for ever, although there is room elsewhere; as it is,
//!   one of them comes to an entry that has room in its own other set when it is asked for again.
//!
//! On a Zipf load that hits more often than an exact LRU over the whole table (77.3 to 73.5 of 100 look-ups, see
//! `examples/hit_ratio.rs`; LRU within sets has 73.2), and an entry that is marked already is read without a write.
//! Nothing inside is a pointer or depends on the address, and zeroed memory is an empty table.
//!
//! # Locking contract
//!
//! There is no lock that anybody waits for. Every operation ends after a bounded number of steps, whatever the other
//! processes do, and none allocates, panics or calls out: no error can leave one half done. What protects each word:
//!
//! | word | who writes it | how |
//! |---|---|---|
//! | queue of a set | whoever has just filled a way of it | one compare-and-exchange from permutation to permutation, relaxed; a failed one is dropped |
//! | record, word 0 | who moves its sequence number from even to odd by compare-and-exchange | acquire; given back by a release store of the next even number |
//! | record, words 1–7 | only who holds the odd number | relaxed, behind a release fence |
//! | tag of a way, a lane of a word of four | only who holds the odd number of its record | one exclusive-or with what changes in the lane, relaxed: it leaves the other lanes alone |
//! | mark of a way, the lowest bit of its tag | anybody | one compare-and-exchange from a word to the same word with or without the mark, relaxed; a failed one is dropped |
//!
//! Reading follows Boehm, "Can seqlocks get along with programming language memory models?" (MSPC 2012): an acquire load
//! of word 0, relaxed loads of the others, an acquire fence, and word 0 once more. If it has changed or is odd, the read
//! is a miss. Were one word of the copy that of a later writer, the two fences would order that writer's odd number before
//! the second look, so **no reader ever gets a torn record**. The one exception is a reader that sleeps between its two
//! looks while exactly a multiple of 2³¹ writes hit this one record and leave the same metadata.
//!
//! - **A hit** writes nothing when its entry is marked, so a hot entry stays in every core's cache; else it tries to mark
//!   it, once.
//! - **A write** claims one record of one of the two sets, and holds no other. If somebody else takes it first, it gives up:
//!   losing an entry is cheaper than waiting. It skips records that are claimed. No entry ever moves.
//! - **Queue, tags and marks are hints.** A look-up compares the whole key inside the record; a tag that is seen too early or
//!   too late makes a miss. A look-up that races with the eviction of its entry either still gets that entry or misses. How
//!   many ways are vacant is told by the tags; a wrong number leads to the less suitable set.
//! - **Two writers of the same key** either meet at one record, where one of them gives up or replaces the other's entry, or
//!   miss each other and store the entry twice, in one set or in both: the second one counts vacant ways when the first has
//!   taken one. Both copies are true. Look-ups and writes stop at the first, that of the home before that of the other set;
//!   so the second gets no marks, ages and goes. A look-up that finds one past its time looks for the other. When the
//!   first goes before, the second answers in its place, and is as old as it says.
//! - **A process that dies inside a write** leaves the sequence number odd. Its way is then lost: never read, never
//!   written, skipped by everybody, until PostgreSQL makes its shared memory anew, as the postmaster does whenever a
//!   process that is attached to it dies that way. A set that has lost all its ways leaves its keys the other one.
//! - **[`SharedCache::clear`]** empties what it finds; an entry whose write overlaps may stay.
//! - **Damaged memory** (impossible metadata, a queue that is no permutation) makes misses, never a panic.
//!
//! `tests/shared_cache.rs` runs it in threads and in long scans, `shared/oracle.rs` holds it against lists with hands, and
//! `tests/shared_cache_loom.rs` tries the interleavings of small cases, with what weakly ordered processors may see.

mod entry;
#[cfg(all(test, not(loom)))]
mod oracle;
mod queue;
pub(super) mod record;
mod set;

/// The atomics, or their model under `cfg(loom)`.
pub(super) mod atomic {
    #[cfg(loom)]
    pub(in crate::cache) use loom::sync::atomic::{AtomicU64, Ordering, fence};
    #[cfg(not(loom))]
    pub(in crate::cache) use std::sync::atomic::{AtomicU64, Ordering, fence};
}

use std::ptr;

pub use entry::Entry;
pub(crate) use entry::WORDS;
pub use queue::WAYS;
pub use set::Set;
use set::{Ask, MARK, vacate};

use crate::classify::classification::Classification;
use crate::text::key::Key;

/// What [`SharedCache::get`] found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lookup {
    /// A live entry.
    Hit(Classification),
    /// An entry past its time, which this look-up has taken out: each is reported once.
    Expired,
    /// Nothing.
    Missing,
}

/// What [`SharedCache::put`] and [`Restorer::restore`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// The entry took a vacant way.
    Inserted,
    /// The entry took the place of an older one of the same key.
    Replaced,
    /// The entry took the place of another one of its sets.
    Evicted,
    /// The entry was not kept: another process was faster, the table has no sets, or no record can hold the answer.
    Skipped,
}

/// One eviction in about so many is in the other set.
const WANDER: usize = 8;

/// A view of a table, as one process maps it; cheap to make.
#[derive(Clone, Copy)]
pub struct SharedCache<'m> {
    sets: &'m [Set],
}

impl<'m> SharedCache<'m> {
    /// The table in `sets`. All processes must give the same number of them; none keeps nothing.
    #[must_use]
    pub fn new(sets: &'m [Set]) -> Self {
        Self { sets }
    }

    /// Finds the entry of `key`, and marks it as asked for.
    ///
    /// `now` is in microseconds from a point that all processes agree on, `ttl` the microseconds an entry lives; 0 is for
    /// ever. A clock that goes back keeps entries alive.
    #[must_use]
    pub fn get(&self, key: Key, now: i64, ttl: i64) -> Lookup {
        let Some(place) = self.place(key) else { return Lookup::Missing };
        let ask = Ask { key, tag: place.tag, now, ttl };
        place.home.look_up(&ask, |expired| place.look_elsewhere(&ask, expired))
    }

    /// Keeps an answer: in the place of an older one of the same key; else in a vacant way of the key's home, or of its other
    /// set when that is far emptier; else in the place of an entry that SIEVE gives up, mostly in the home. `now` is as
    /// for [`Self::get`].
    pub fn put(&self, key: Key, answer: &Classification, now: i64) -> Stored {
        let entry = Entry { key, stored_at: now, answer: *answer };
        let (Some(place), Some(words)) = (self.place(key), entry.to_words()) else { return Stored::Skipped };
        let other = place.other();
        let replaced = place.home.replace(place.tag, &words);
        if let Some(stored) = replaced.or_else(|| other?.replace(place.tag, &words)) {
            return stored;
        }
        let free = place.home.vacant();
        let sets = match other {
            Some(other) if is_far_emptier(other.vacant(), free) => [Some(other), Some(place.home)],
            _ => [Some(place.home), other],
        };
        let filled = sets.into_iter().flatten().find_map(|set| set.fill(place.tag, &words));
        filled.unwrap_or_else(|| place.evict(&words))
    }

    /// Puts entries of [`Self::entries`] or of a dump back.
    #[must_use]
    pub fn restorer(&self) -> Restorer<'m> {
        Restorer { cache: *self, last: None }
    }

    /// Takes every entry out, and gives their number.
    pub fn clear(&self) -> usize {
        let mut cleared = 0;
        for (tag, record) in self.sets.iter().flat_map(|set| (0..WAYS).filter_map(|way| set.way(way))) {
            let stamp = record.stamp();
            if !stamp.is_vacant()
                && let Some(claim) = record.claim(stamp)
            {
                vacate(claim, tag);
                cleared += 1;
            }
        }
        cleared
    }

    /// The number of entries, expired ones that nobody asked for included. It looks at every record.
    #[must_use]
    pub fn len(&self) -> usize {
        let stamps = self.sets.iter().flat_map(|set| &set.records).map(|record| record.stamp());
        stamps.filter(|stamp| !stamp.is_vacant() && !stamp.is_claimed()).count()
    }

    /// Whether there is no entry; as costly as [`Self::len`] if so.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries().next().is_none()
    }

    /// The entries there is room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.sets.len() * WAYS
    }

    /// Copies of the entries, set by set: those whose home it is, then the others, the oldest first. A [`Restorer`] that
    /// gets them in this order brings each back to its set, if the table has as many. Marks are not kept. What other
    /// processes do in the meantime may be in it or not.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + use<'m> {
        let cache = *self;
        self.sets.iter().flat_map(move |set| {
            let order = set.queue.order();
            let entries = move || {
                order.oldest_first().filter_map(|way| Entry::from_words(&set.records.get(way)?.read(|_| true)?.1))
            };
            let at_home = move |entry: &Entry| cache.place(entry.key).is_some_and(|place| ptr::eq(place.home, set));
            entries().filter(at_home).chain(entries().filter(move |entry| !at_home(entry)))
        })
    }

    /// Where a key belongs. Its home, its tag and its other set come from different bits of the key, which is a hash.
    fn place(&self, key: Key) -> Option<Place<'m>> {
        let [low, high] = key.halves();
        let index = scale(high, self.sets.len());
        let home = self.sets.get(index)?;
        Some(Place { sets: self.sets, index, home, low, tag: (low as u16 & !MARK).max(MARK + 1) })
    }
}

/// Vacant ways of a home that is nearly full.
const NEARLY_FULL: usize = 3;

/// Whether a set with so many vacant ways is to be taken instead of a home with so many.
fn is_far_emptier(other: usize, home: usize) -> bool {
    other > home && (home <= NEARLY_FULL || other >= 2 * home)
}

/// Where the entry of a key may be: in one of two sets, under the same tag.
struct Place<'m> {
    sets: &'m [Set],
    /// Where the home is in `sets`.
    index: usize,
    home: &'m Set,
    /// The low half of the key.
    low: u64,
    tag: u16,
}

impl<'m> Place<'m> {
    /// The set beside the home, which most look-ups have no need of; `None` in a table of one.
    fn other(&self) -> Option<&'m Set> {
        let index = self.index + 1 + scale(self.low, self.sets.len() - 1);
        let index = if index < self.sets.len() { index } else { index - self.sets.len() };
        (index != self.index).then(|| self.sets.get(index))?
    }

    /// Goes on where the home has not got a live entry.
    #[inline(never)]
    fn look_elsewhere(&self, ask: &Ask, expired: bool) -> Lookup {
        let outcome = |expired| if expired { Lookup::Expired } else { Lookup::Missing };
        match self.other() {
            Some(other) => other.look_up(ask, |again| outcome(expired || again)),
            None => outcome(expired),
        }
    }

    /// Stores an entry in the place of one that SIEVE gives up, in the other set now and then.
    ///
    /// Were it always the home, fifteen keys of one home whose other sets are full would put each other out in turns, and
    /// none would ever come to where there is room. The newest ways of the two sets stand for chance.
    fn evict(&self, words: &[u64; WORDS]) -> Stored {
        let newest = |set: &Set| set.queue.order().newest();
        let sets = match self.other() {
            Some(other) if (newest(self.home) ^ newest(other)).is_multiple_of(WANDER) => [Some(other), Some(self.home)],
            other => [Some(self.home), other],
        };
        sets.into_iter().flatten().find_map(|set| set.evict(self.tag, words)).unwrap_or(Stored::Skipped)
    }
}

/// Brings entries back into a cache, see [`SharedCache::restorer`].
pub struct Restorer<'m> {
    cache: SharedCache<'m>,
    /// Where the last entry went.
    last: Option<&'m Set>,
}

impl Restorer<'_> {
    /// Keeps an entry of [`SharedCache::entries`] or of a dump with its time, unless its key has an entry already, which
    /// can only be younger.
    pub fn restore(&mut self, entry: &Entry) -> Stored {
        let (Some(place), Some(words)) = (self.cache.place(entry.key), entry.to_words()) else {
            return Stored::Skipped;
        };
        let other = place.other();
        if place.home.has(place.tag, entry.key) || other.is_some_and(|other| other.has(place.tag, entry.key)) {
            return Stored::Skipped;
        }
        // An entry that follows those of its other set was there, too.
        let sets = match (self.last, other) {
            (Some(last), Some(other)) if ptr::eq(last, other) => [Some(other), Some(place.home)],
            _ => [Some(place.home), other],
        };
        for set in sets.into_iter().flatten() {
            if let Some(stored) = set.fill(place.tag, &words) {
                self.last = Some(set);
                return stored;
            }
        }
        place.evict(&words)
    }
}

/// A number below `bound`, or 0: multiply and shift (Lemire, "Fast random integer generation in an interval", 2019), so
/// any bound will do, without a division.
pub(super) fn scale(hash: u64, bound: usize) -> usize {
    ((u128::from(hash) * bound as u128) >> 64) as usize
}

#[cfg(all(test, not(loom)))]
mod tests;
