//! The layout of the table: sets, their tags, and the marks of SIEVE in the tags.

use super::atomic::{AtomicU64, Ordering::Relaxed};
use super::entry::{self, WORDS};
use super::queue::{Queue, WAYS};
use super::record;
use super::{Lookup, Stored};
use crate::text::key::Key;

type Record = record::Record<WORDS>;
type Claim<'a> = record::Claim<'a, WORDS>;

/// The tag of a way without an entry.
pub(super) const VACANT: u16 = 0;

/// The bit of a tag that marks an entry as asked for since the hand was there.
pub(super) const MARK: u16 = 1;

/// Tags of a word.
const LANES: usize = 4;
const TAG_WORDS: usize = WAYS.div_ceil(LANES);

/// A one in every lane of a word.
const ONES: u64 = u64::MAX / u16::MAX as u64;

/// The [`Ways`] that there are; the last word has room for more.
const ALL: u64 = {
    let (mut bits, mut way) = (0, 0);
    while way < WAYS {
        bits |= 1 << (16 * (way % LANES) + way / LANES);
        way += 1;
    }
    bits
};

/// What a look-up asks a set for.
pub(super) struct Ask {
    pub(super) key: Key,
    pub(super) tag: u16,
    /// In microseconds, as is `ttl`.
    pub(super) now: i64,
    pub(super) ttl: i64,
}

/// One of the two parts of the table that a key may be in.
///
/// It consists of atomic integers alone: any content is a valid value, and all zeros is a set without entries. 960 bytes,
/// aligned to 64.
#[derive(Default)]
#[repr(C, align(64))]
pub struct Set {
    pub(super) queue: Queue,
    /// The tag of way `n` is in word `n` / 4, from the lowest lane.
    pub(super) tags: [AtomicU64; TAG_WORDS],
    pub(super) records: [Record; WAYS],
}

#[cfg(not(loom))]
const _: () = {
    assert!(std::mem::size_of::<Record>() == 64 && std::mem::align_of::<Record>() == 64);
    assert!(std::mem::size_of::<Set>() == 64 * (1 + WAYS) && std::mem::align_of::<Set>() == 64);
    assert!(std::mem::offset_of!(Set, records) == 64);
};

impl Set {
    /// The sets to make room for `entries`, rounded up to whole sets; a set takes `size_of::<Set>()` bytes. 0 for 0.
    #[must_use]
    pub const fn needed_for(entries: usize) -> usize {
        entries.div_ceil(WAYS)
    }

    /// The ways whose tag is `tag`. All are compared: which way a key is in cannot be predicted, so leaving the loop early
    /// would cost more than it saves.
    pub(super) fn tagged(&self, tag: u16) -> Ways {
        // A tag without its mark and its highest bit, in every lane.
        const MIDDLE: u64 = ONES * 0x7ffe;
        let wanted = ONES * u64::from(tag);
        let different = self.tags.iter().enumerate().fold(0, |different, (word, tags)| {
            let bits = tags.load(Relaxed) ^ wanted;
            // The highest bit of a lane is there itself, or by the carry of any other, which does not leave the lane.
            let different_lanes = (((bits & MIDDLE) + MIDDLE) | bits) & ONES << 15;
            different | different_lanes >> (15 - word)
        });
        Ways(!different & ALL)
    }

    /// The vacant ways, as far as the tags tell.
    pub(super) fn vacant(&self) -> usize {
        self.tagged(VACANT).0.count_ones() as usize
    }

    /// Finds an entry, and marks it. Without a live one, `otherwise` is told whether one past its time was
    /// taken out, and answers.
    #[inline(always)]
    pub(super) fn look_up(&self, ask: &Ask, otherwise: impl FnOnce(bool) -> Lookup) -> Lookup {
        let mut expired = false;
        for way in self.tagged(ask.tag) {
            let Some((found, record)) = self.way(way) else { continue };
            let Some((stamp, words)) = record.read(|halves| halves == ask.key.halves()) else { continue };
            if ask.ttl == 0 || ask.now.saturating_sub(entry::stored_at(&words)) < ask.ttl {
                let Some(answer) = entry::answer(&words) else { continue };
                found.mark(ask.tag);
                return Lookup::Hit(answer);
            }
            if let Some(claim) = record.claim(stamp) {
                vacate(claim, found);
                expired = true;
            }
        }
        otherwise(expired)
    }

    /// Whether there is an entry of `key`, live or not.
    pub(super) fn has(&self, tag: u16, key: Key) -> bool {
        let ways = self.tagged(tag).filter_map(|way| self.way(way));
        ways.into_iter().any(|(_, record)| record.read(|halves| halves == key.halves()).is_some())
    }

    /// Puts an entry in the place of an older one of its key; `None` when there is none.
    pub(super) fn replace(&self, tag: u16, words: &[u64; WORDS]) -> Option<Stored> {
        for way in self.tagged(tag) {
            let Some((found, record)) = self.way(way) else { continue };
            let Some((stamp, _)) = record.read(|halves| halves == words[1..3]) else { continue };
            let Some(claim) = record.claim(stamp) else { return Some(Stored::Skipped) };
            // Marked, since two processes asked for it.
            publish(claim, found, tag | MARK, words);
            return Some(Stored::Replaced);
        }
        None
    }

    /// Puts an entry into the oldest vacant way; `None` when there is none.
    pub(super) fn fill(&self, tag: u16, words: &[u64; WORDS]) -> Option<Stored> {
        if self.vacant() == 0 {
            return None;
        }
        let order = self.queue.order();
        for way in order.oldest_first() {
            let Some((found, record)) = self.way(way) else { continue };
            let stamp = record.stamp();
            if stamp.is_vacant() && !stamp.is_claimed() {
                let Some(claim) = record.claim(stamp) else { return Some(Stored::Skipped) };
                publish(claim, found, tag, words);
                self.queue.change(order, order.filled(way));
                return Some(Stored::Inserted);
            }
        }
        None
    }

    /// Puts an entry in the place of the one that SIEVE gives up; `None` when all ways are claimed.
    pub(super) fn evict(&self, tag: u16, words: &[u64; WORDS]) -> Option<Stored> {
        let order = self.queue.order();
        for way in order.hand_first() {
            let Some((found, record)) = self.way(way) else { continue };
            let stamp = record.stamp();
            if !stamp.is_claimed() && !found.unmark() {
                let Some(claim) = record.claim(stamp) else { return Some(Stored::Skipped) };
                publish(claim, found, tag, words);
                self.queue.change(order, order.evicted(way));
                return Some(if stamp.is_vacant() { Stored::Inserted } else { Stored::Evicted });
            }
        }
        None
    }

    /// A tag and its record; `None` for a way that a damaged queue names.
    pub(super) fn way(&self, way: usize) -> Option<(Tag<'_>, &Record)> {
        let record = self.records.get(way)?;
        Some((Tag { word: self.tags.get(way / LANES)?, shift: 16 * (way % LANES) as u32 }, record))
    }
}

/// Ways of a set, one bit each: the number of its word in the bits of its lane.
pub(super) struct Ways(u64);

impl Iterator for Ways {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let bit = self.0.trailing_zeros() as usize;
        self.0 &= self.0.wrapping_sub(1);
        (bit < u64::BITS as usize).then_some(bit % 16 * LANES + bit / 16)
    }
}

/// The tag of a way, which shares its word with others.
#[derive(Clone, Copy)]
pub(super) struct Tag<'a> {
    word: &'a AtomicU64,
    shift: u32,
}

impl Tag<'_> {
    fn lane(self, word: u64) -> u16 {
        (word >> self.shift) as u16
    }

    /// Marks an entry, unless it is marked or the way has another one by now.
    pub(super) fn mark(self, tag: u16) {
        let word = self.word.load(Relaxed);
        // A compare-and-exchange takes the line from all other cores even when it fails.
        if self.lane(word) == tag {
            let _ = self.word.compare_exchange(word, word | u64::from(MARK) << self.shift, Relaxed, Relaxed);
        }
    }

    /// Takes the mark off, and says whether there was one.
    fn unmark(self) -> bool {
        let word = self.word.load(Relaxed);
        let marked = self.lane(word) & MARK != 0;
        if marked {
            let _ = self.word.compare_exchange(word, word & !(u64::from(MARK) << self.shift), Relaxed, Relaxed);
        }
        marked
    }

    /// Changes the tag of a claimed way, and no other.
    ///
    /// But for its mark it is as the last one who held the claim left it, so the difference gives the new one. A mark that
    /// comes or goes in between leaves the wrong one, which costs little.
    fn set(self, tag: u16) {
        let difference = self.lane(self.word.load(Relaxed)) ^ tag;
        self.word.fetch_xor(u64::from(difference) << self.shift, Relaxed);
    }
}

/// Puts an entry into its way.
fn publish(claim: Claim<'_>, found: Tag<'_>, tag: u16, words: &[u64; WORDS]) {
    found.set(tag);
    claim.publish(words);
}

/// Takes an entry out of its way.
pub(super) fn vacate(claim: Claim<'_>, found: Tag<'_>) {
    found.set(VACANT);
    claim.vacate();
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Few tags, so that some are equal.
        #[test]
        fn tags_share_words_and_nothing_else(
            tags in prop::collection::vec(prop_oneof![0u16..6, 0x7ffeu16..=0x8003, any::<u16>()], WAYS..=WAYS),
            way in 0..WAYS,
            tag in any::<u16>(),
        ) {
            let set = Set::default();
            let at = |way: usize| set.way(way).unwrap().0;
            let read = |way: usize| at(way).lane(at(way).word.load(Relaxed));
            (0..WAYS).for_each(|way| at(way).set(tags[way]));
            let mut expected = tags.clone();
            let all = |expected: &[u16]| (0..WAYS).all(|way| read(way) == expected[way]);
            prop_assert!(all(&expected));
            for wanted in tags.iter().copied().chain([VACANT, tag]).map(|tag| tag & !MARK) {
                let mut found: Vec<usize> = set.tagged(wanted).collect();
                found.sort_unstable();
                let equal: Vec<usize> = (0..WAYS).filter(|way| tags[*way] & !MARK == wanted).collect();
                prop_assert_eq!(found, equal);
            }
            prop_assert_eq!(set.vacant(), set.tagged(VACANT).count());
            at(way).mark(tags[way]);
            expected[way] |= MARK;
            prop_assert!(all(&expected));
            prop_assert!(at(way).unmark() && !at(way).unmark());
            expected[way] &= !MARK;
            at(way).mark(expected[way] ^ 2);
            prop_assert!(all(&expected));
            at(way).set(tag);
            expected[way] = tag;
            prop_assert!(all(&expected));
        }
    }
}
