//! The cache that all backends share (L2): a set-associative table in memory that several processes map.
//!
//! A table is a slice of [`Set`]s, each with one line of queue and tags and 14 records of one cache line. A key names its
//! set and a tag; at most 14 entries share a set. Which of them makes room for the next is decided by SIEVE: a hit marks
//! its entry, and a hand that goes from the oldest to the newest clears marks until it finds an entry without one. On a
//! Zipf load that hits more often than an exact LRU over the whole table (77 to 73.5 of 100 look-ups, see
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
//! | record, words 1–7, and the tag of the way | only who holds the odd number | relaxed, behind a release fence |
//! | mark of a way, the lowest bit of its tag | anybody | one compare-and-exchange from a tag to the same tag with or without the mark, relaxed; a failed one is dropped |
//!
//! Reading follows Boehm, "Can seqlocks get along with programming language memory models?" (MSPC 2012): an acquire load
//! of word 0, relaxed loads of the others, an acquire fence, and word 0 once more. If it has changed or is odd, the read
//! is a miss. Were one word of the copy that of a later writer, the two fences would order that writer's odd number before
//! the second look, so **no reader ever gets a torn record**. The one exception is a reader that sleeps between its two
//! looks while exactly a multiple of 2³¹ writes hit this one record and leave the same metadata.
//!
//! - **A hit** writes nothing when its entry is marked, so a hot entry stays in every core's cache; else it tries to mark
//!   it, once.
//! - **A write** claims one record of one set. If somebody else takes it first, it gives up: losing an entry is
//!   cheaper than waiting. It skips records that are claimed.
//! - **Queue, tags and marks are hints.** A look-up compares the whole key inside the record; a tag that is seen too early or
//!   too late makes a miss. A look-up that races with the eviction of its entry either still gets that entry or misses.
//! - **Two writers of the same key** either meet at one record, where one of them gives up or replaces the other's entry, or
//!   miss each other and store the entry twice. Both copies are true; one of them ages and goes. A look-up that finds
//!   one past its time looks for the other.
//! - **A process that dies inside a write** leaves the sequence number odd. Its way is then lost: never read, never
//!   written, skipped by everybody, until PostgreSQL makes its shared memory anew, as the postmaster does whenever a
//!   process that is attached to it dies that way.
//! - **[`SharedCache::clear`]** empties what it finds; an entry whose write overlaps may stay.
//! - **Damaged memory** (impossible metadata, a queue that is no permutation) makes misses, never a panic.
//!
//! `tests/shared_cache.rs` holds it against oracles and runs it in threads, and `tests/shared_cache_loom.rs` tries the
//! interleavings of small cases, with what weakly ordered processors may see.

mod entry;
mod queue;
mod record;
mod set;

/// The atomics, or their model under `cfg(loom)`.
mod atomic {
    #[cfg(loom)]
    pub(super) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
    #[cfg(not(loom))]
    pub(super) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
}

pub use entry::Entry;
pub(crate) use entry::WORDS;
pub use queue::WAYS;
use record::Record;
pub use set::Set;
use set::{MARK, VACANT, mark, publish, unmark, vacate};

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

/// What [`SharedCache::put`] and [`SharedCache::restore`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// The entry took a vacant way.
    Inserted,
    /// The entry took the place of an older one of the same key.
    Replaced,
    /// The entry took the place of another one of its set.
    Evicted,
    /// The entry was not kept: another process was faster, the table has no sets, or no record can hold the answer.
    Skipped,
}

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
        let mut outcome = Lookup::Missing;
        let Some((set, tag)) = self.place(key) else { return outcome };
        for way in set.tagged(tag) {
            let Some((found, record)) = set.way(way) else { continue };
            let Some((stamp, words)) = record.read(|halves| halves == key.halves()) else { continue };
            if ttl == 0 || now.saturating_sub(entry::stored_at(&words)) < ttl {
                let Some(answer) = entry::answer(&words) else { continue };
                mark(found, tag);
                return Lookup::Hit(answer);
            }
            if let Some(claim) = record.claim(stamp) {
                vacate(claim, found);
                outcome = Lookup::Expired;
            }
        }
        outcome
    }

    /// Keeps an answer, in the place of an older one of the same key, else in a vacant way, else in that of the entry that
    /// SIEVE gives up. `now` is as for [`Self::get`].
    pub fn put(&self, key: Key, answer: &Classification, now: i64) -> Stored {
        self.store(&Entry { key, stored_at: now, answer: *answer }, true)
    }

    /// Keeps an entry of [`Self::entries`] or of a dump with its time, unless its key has an entry already, which can only
    /// be younger.
    pub fn restore(&self, entry: &Entry) -> Stored {
        self.store(entry, false)
    }

    fn store(&self, entry: &Entry, replace: bool) -> Stored {
        let (Some((set, tag)), Some(words)) = (self.place(entry.key), entry.to_words()) else { return Stored::Skipped };
        for way in set.tagged(tag) {
            let Some((found, record)) = set.way(way) else { continue };
            let Some((stamp, _)) = record.read(|halves| halves == entry.key.halves()) else { continue };
            if !replace {
                return Stored::Skipped;
            }
            let Some(claim) = record.claim(stamp) else { return Stored::Skipped };
            // Marked, since two processes asked for it.
            publish(claim, found, tag | MARK, &words);
            return Stored::Replaced;
        }
        let order = set.queue.order();
        if set.tagged(VACANT).next().is_some() {
            for way in order.oldest_first() {
                let Some((found, record)) = set.way(way) else { continue };
                let stamp = record.stamp();
                if stamp.is_vacant() && !stamp.is_claimed() {
                    let Some(claim) = record.claim(stamp) else { return Stored::Skipped };
                    publish(claim, found, tag, &words);
                    set.queue.change(order, order.filled(way));
                    return Stored::Inserted;
                }
            }
        }
        for way in order.hand_first() {
            let Some((found, record)) = set.way(way) else { continue };
            let stamp = record.stamp();
            if !stamp.is_claimed() && !unmark(found) {
                let Some(claim) = record.claim(stamp) else { return Stored::Skipped };
                publish(claim, found, tag, &words);
                set.queue.change(order, order.evicted(way));
                return if stamp.is_vacant() { Stored::Inserted } else { Stored::Evicted };
            }
        }
        Stored::Skipped
    }

    /// Takes every entry out, and gives their number.
    pub fn clear(&self) -> usize {
        let mut cleared = 0;
        for (tag, record) in self.sets.iter().flat_map(|set| set.tags.iter().zip(&set.records)) {
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
        let stamps = self.sets.iter().flat_map(|set| &set.records).map(Record::stamp);
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

    /// Copies of the entries, set by set, the oldest first: [`Self::restore`] in this order gives the same queues. Marks are
    /// not kept. What other processes do in the meantime may be in it or not.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + use<'m> {
        self.sets.iter().flat_map(|set| {
            let order = set.queue.order();
            order.oldest_first().filter_map(|way| Entry::from_words(&set.records.get(way)?.read(|_| true)?.1))
        })
    }

    /// The set of a key, and its tag there. Both come from different bits of the key, which is a hash.
    fn place(&self, key: Key) -> Option<(&'m Set, u32)> {
        let [low, high] = key.halves();
        // Multiply and shift (Lemire, "Fast random integer generation in an interval", 2019): any number of sets, no
        // division.
        let index = (u128::from(high) * self.sets.len() as u128) >> 64;
        Some((self.sets.get(index as usize)?, (low as u32 & !MARK).max(MARK + 1)))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::atomic::Ordering::Relaxed;
    use super::*;
    use crate::classify::classification::Scores;
    use crate::text::language::Language;

    fn key(n: u64) -> Key {
        Key::new(&n.to_le_bytes(), 7)
    }

    fn answer(n: u64) -> Classification {
        Classification::from_scores(Scores::new(&[n as f32, 0.5]), Language::German)
    }

    fn sets(count: usize) -> Vec<Set> {
        (0..count).map(|_| Set::default()).collect()
    }

    fn fill(cache: SharedCache<'_>, keys: std::ops::Range<u64>) {
        keys.for_each(|n| assert_ne!(cache.put(key(n), &answer(n), 0), Stored::Skipped));
    }

    #[test]
    fn keys_spread_over_all_sets() {
        let sets = sets(7);
        let cache = SharedCache::new(&sets);
        let mut found = [0; 7];
        for n in 0..7000 {
            let (set, tag) = cache.place(key(n)).unwrap();
            assert!(tag != VACANT && tag & MARK == 0);
            found[sets.iter().position(|s| std::ptr::eq(s, set)).unwrap()] += 1;
        }
        assert!(found.iter().all(|n| (850..1150).contains(n)), "{found:?}");
    }

    #[test]
    fn only_the_first_hit_changes_anything() {
        let sets = sets(1);
        let cache = SharedCache::new(&sets);
        fill(cache, 0..3);
        let before = hints(&sets[0]);
        assert_eq!(cache.get(key(9), 0, 0), Lookup::Missing);
        assert_eq!(hints(&sets[0]), before);
        assert_eq!(cache.get(key(1), 0, 0), Lookup::Hit(answer(1)));
        let marked = hints(&sets[0]);
        assert_ne!(marked, before);
        assert_eq!(cache.get(key(1), 0, 0), Lookup::Hit(answer(1)));
        assert_eq!(hints(&sets[0]), marked);
    }

    fn hints(set: &Set) -> Vec<u64> {
        let tags = set.tags.iter().map(|tag| u64::from(tag.load(Relaxed)));
        tags.chain(set.queue.order().hand_first().map(|way| way as u64)).collect()
    }

    /// As if a process had died inside a write.
    fn lose(record: &Record) {
        assert!(record.claim(record.stamp()).is_some());
    }

    #[test]
    fn a_lost_way_is_skipped_by_everybody() {
        let sets = sets(1);
        let cache = SharedCache::new(&sets);
        fill(cache, 0..WAYS as u64);
        let lost = sets[0].queue.order().oldest_first().next().unwrap();
        lose(&sets[0].records[lost]);
        assert_eq!(cache.get(key(0), 0, 0), Lookup::Missing);
        assert_eq!((cache.len(), cache.entries().count()), (WAYS - 1, WAYS - 1));
        // The key that was lost, and others, find room in the ways that are left, again and again.
        fill(cache, 0..100);
        for n in 100 - (WAYS as u64 - 1)..100 {
            assert_eq!(cache.get(key(n), 0, 0), Lookup::Hit(answer(n)));
        }
        assert_eq!(cache.clear(), WAYS - 1);
        assert!(cache.is_empty());
        sets[0].records.iter().enumerate().filter(|(way, _)| *way != lost).for_each(|(_, record)| lose(record));
        assert_eq!(cache.put(key(1), &answer(1), 0), Stored::Skipped);
    }

    #[test]
    fn damaged_records_are_misses() {
        let sets = sets(1);
        let cache = SharedCache::new(&sets);
        fill(cache, 0..WAYS as u64);
        for (n, record) in sets[0].records.iter().enumerate() {
            let (stamp, mut words) = record.read(|_| true).unwrap();
            // An unknown language, a label without a score, no scores, too many of them.
            words[0] = [0x0002_0000, 0x0002_0201, 0x0000_0001, 0x0009_0001][n % 4];
            record.claim(stamp).unwrap().publish(&words);
        }
        for n in 0..WAYS as u64 {
            assert_eq!(cache.get(key(n), 0, 0), Lookup::Missing);
        }
        assert_eq!(cache.entries().count(), 0);
        assert_eq!(cache.put(key(1), &answer(1), 0), Stored::Replaced);
        assert_eq!(cache.get(key(1), 0, 0), Lookup::Hit(answer(1)));
    }

    #[test]
    fn an_entry_that_is_there_twice_dies_once_each() {
        let sets = sets(1);
        let cache = SharedCache::new(&sets);
        cache.put(key(1), &answer(1), 50);
        // A second copy, in a way that is looked at first, as two writers that missed each other leave it.
        let (_, tag) = cache.place(key(1)).unwrap();
        let copy = Entry { key: key(1), stored_at: 0, answer: answer(1) };
        let record = &sets[0].records[0];
        let claim = record.claim(record.stamp()).unwrap();
        sets[0].tags[0].store(tag, Relaxed);
        claim.publish(&copy.to_words().unwrap());
        assert_eq!(cache.get(key(1), 60, 20), Lookup::Hit(answer(1)));
        assert_eq!(cache.len(), 1);
        assert_eq!(cache.get(key(1), 70, 20), Lookup::Expired);
        assert_eq!(cache.get(key(1), 70, 20), Lookup::Missing);
    }

    #[test]
    fn no_sets_keep_nothing() {
        let cache = SharedCache::new(&[]);
        assert_eq!(cache.put(key(1), &answer(1), 0), Stored::Skipped);
        assert_eq!(cache.get(key(1), 0, 0), Lookup::Missing);
        assert_eq!((cache.len(), cache.capacity(), Set::needed_for(0)), (0, 0, 0));
        assert_eq!((Set::needed_for(1), Set::needed_for(14), Set::needed_for(15)), (1, 1, 2));
    }
}
