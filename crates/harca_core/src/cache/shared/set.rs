//! The layout of the table: sets, their tags, and the marks of SIEVE in the tags.

use super::atomic::{AtomicU32, Ordering::Relaxed};
use super::entry::WORDS;
use super::queue::{Queue, WAYS};
use super::record::{Claim, Record};

/// The tag of a way without an entry.
pub(super) const VACANT: u32 = 0;

/// The bit of a tag that marks an entry as asked for since the hand was there.
pub(super) const MARK: u32 = 1;

/// The part of the table that a key belongs to.
///
/// It consists of atomic integers alone: any content is a valid value, and all zeros is a set without entries. 960 bytes,
/// aligned to 64.
#[derive(Default)]
#[repr(C, align(64))]
pub struct Set {
    pub(super) queue: Queue,
    pub(super) tags: [AtomicU32; WAYS],
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

    /// A bit for each way whose tag is `tag`. All are compared: which way a key is in cannot be predicted, so leaving the
    /// loop early would cost more than it saves.
    pub(super) fn tagged(&self, tag: u32) -> Ways {
        let bits = self
            .tags
            .iter()
            .enumerate()
            .fold(0, |bits, (way, found)| bits | u32::from(found.load(Relaxed) & !MARK == tag) << way);
        Ways(bits)
    }

    /// A tag and its record; `None` for a way that a damaged queue names.
    pub(super) fn way(&self, way: usize) -> Option<(&AtomicU32, &Record)> {
        Some((self.tags.get(way)?, self.records.get(way)?))
    }
}

/// Ways of a set, one bit each, the lowest first.
pub(super) struct Ways(u32);

impl Iterator for Ways {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let way = self.0.trailing_zeros();
        self.0 &= self.0.wrapping_sub(1);
        (way < u32::BITS).then_some(way as usize)
    }
}

/// Marks an entry, unless it is marked or the way has another one by now.
pub(super) fn mark(found: &AtomicU32, tag: u32) {
    // A compare-and-exchange takes the line from all other cores even when it fails.
    if found.load(Relaxed) == tag {
        let _ = found.compare_exchange(tag, tag | MARK, Relaxed, Relaxed);
    }
}

/// Takes the mark off, and says whether there was one.
pub(super) fn unmark(found: &AtomicU32) -> bool {
    let tag = found.load(Relaxed);
    let marked = tag & MARK != 0;
    if marked {
        let _ = found.compare_exchange(tag, tag & !MARK, Relaxed, Relaxed);
    }
    marked
}

/// Changes the tag of a claimed way.
///
/// A store would do, as no mark can come behind it: its compare-and-exchange follows the very tag it expects. Loom does not
/// know that rule, and checks this.
fn set_tag(found: &AtomicU32, tag: u32) {
    found.swap(tag, Relaxed);
}

/// Puts an entry into its way.
pub(super) fn publish(claim: Claim<'_>, found: &AtomicU32, tag: u32, words: &[u64; WORDS]) {
    set_tag(found, tag);
    claim.publish(words);
}

/// Takes an entry out of its way.
pub(super) fn vacate(claim: Claim<'_>, found: &AtomicU32) {
    set_tag(found, VACANT);
    claim.vacate();
}
