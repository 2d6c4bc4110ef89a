//! One entry in shared memory: some atomic words under a sequence lock.
//!
//! | word | content |
//! |---|---|
//! | 0 | high half: the sequence number, odd while the record is being written; low half: metadata, not 0 |
//! | 1, 2 | the key |
//! | others | what is kept under it; of an answer as in [`Entry`](super::entry::Entry) |
//!
//! The protocol is that of Boehm, "Can seqlocks get along with programming language memory models?" (MSPC 2012); the
//! module above says what it promises.

use std::array;

use super::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

/// One step of the sequence number.
const STEP: u64 = 1 << 32;

/// Where the sequence number stands in word 0.
const SEQUENCE: u64 = !0 << 32;

/// A record of `N` words. That of an answer fills one cache line, so that a hit touches two lines in all: this one and the
/// set's.
#[repr(C, align(64))]
pub(in crate::cache) struct Record<const N: usize> {
    words: [AtomicU64; N],
}

impl<const N: usize> Default for Record<N> {
    fn default() -> Self {
        Self { words: array::from_fn(|_| AtomicU64::default()) }
    }
}

/// Word 0 of a record, as it was at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::cache) struct Stamp(u64);

impl Stamp {
    /// Whether somebody is writing, or died while writing.
    pub(in crate::cache) fn is_claimed(self) -> bool {
        self.0 & STEP != 0
    }

    /// Whether there is no entry. An entry has two labels at least, so that its metadata is never 0.
    pub(in crate::cache) fn is_vacant(self) -> bool {
        self.0 & !SEQUENCE == 0
    }
}

impl<const N: usize> Record<N> {
    /// The stamp to [`claim`](Self::claim) the record with, whatever it holds.
    pub(in crate::cache) fn stamp(&self) -> Stamp {
        Stamp(self.words[0].load(Relaxed))
    }

    /// Copies the words out if the record holds the entry of a key that is `wanted`, given as its two halves.
    ///
    /// `None` as well when a writer is at work or came between. The copy is never torn; its metadata may still be
    /// impossible, which whoever makes something of it finds out.
    #[inline]
    pub(in crate::cache) fn read(&self, wanted: impl FnOnce([u64; 2]) -> bool) -> Option<(Stamp, [u64; N])> {
        // Acquire: with it, all that was written before this stamp was published is seen below.
        let stamp = Stamp(self.words[0].load(Acquire));
        if stamp.is_claimed() || stamp.is_vacant() {
            return None;
        }
        let key = [self.words[1].load(Relaxed), self.words[2].load(Relaxed)];
        if !wanted(key) {
            return None;
        }
        let words = array::from_fn(|i| match i {
            0 => stamp.0,
            1 | 2 => key[i - 1],
            _ => self.words[i].load(Relaxed),
        });
        // Pairs with the fence in `claim`: whoever saw one word of a later writer sees that writer's stamp here.
        fence(Acquire);
        (self.words[0].load(Relaxed) == stamp.0).then_some((stamp, words))
    }

    /// Takes the record for writing if it is still as it was at `stamp`; `None` when it is not, or was claimed then.
    pub(in crate::cache) fn claim(&self, stamp: Stamp) -> Option<Claim<'_, N>> {
        if stamp.is_claimed() {
            return None;
        }
        let claimed = stamp.0.wrapping_add(STEP);
        // Acquire: the words of the last writer stay behind those that this one stores.
        self.words[0].compare_exchange(stamp.0, claimed, Acquire, Relaxed).ok()?;
        // No word that is stored from here on can be seen without the odd number above.
        fence(Release);
        Some(Claim { record: self, claimed })
    }
}

/// The right to write a record, which nobody else has until it is given back by one of the two methods.
#[must_use]
pub(in crate::cache) struct Claim<'a, const N: usize> {
    record: &'a Record<N>,
    claimed: u64,
}

impl<const N: usize> Claim<'_, N> {
    /// Writes an entry; the high half of its word 0 does not matter.
    pub(in crate::cache) fn publish(self, words: &[u64; N]) {
        for (word, value) in self.record.words.iter().zip(words).skip(1) {
            word.store(*value, Relaxed);
        }
        self.release(words[0] & !SEQUENCE);
    }

    /// Leaves the record without an entry.
    pub(in crate::cache) fn vacate(self) {
        self.release(0);
    }

    fn release(self, metadata: u64) {
        let sequence = self.claimed.wrapping_add(STEP) & SEQUENCE;
        self.record.words[0].store(sequence | metadata, Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const WORDS: usize = 8;
    type Record = super::Record<WORDS>;

    fn words(n: u64) -> [u64; WORDS] {
        [n; WORDS]
    }

    #[test]
    fn a_claimed_record_cannot_be_read_or_claimed() {
        let record = Record::default();
        assert!(record.read(|_| true).is_none());
        let claim = record.claim(record.stamp()).unwrap();
        assert!(record.stamp().is_claimed());
        assert!(record.read(|_| true).is_none());
        assert!(record.claim(record.stamp()).is_none());
        claim.publish(&words(7));
        let (_, read) = record.read(|key| key == [7, 7]).unwrap();
        assert_eq!(read[1..], words(7)[1..]);
        assert!(record.read(|key| key == [7, 8]).is_none());
    }

    #[test]
    fn an_old_stamp_claims_nothing() {
        let record = Record::default();
        let old = record.stamp();
        record.claim(old).unwrap().publish(&words(1));
        assert!(record.claim(old).is_none());
        record.claim(record.stamp()).unwrap().vacate();
        assert!(record.stamp().is_vacant());
        assert!(record.claim(old).is_none());
    }

    #[test]
    fn the_sequence_number_wraps_without_touching_the_metadata() {
        let record = Record::default();
        record.words[0].store(SEQUENCE & !STEP | 5, Relaxed);
        record.claim(record.stamp()).unwrap().publish(&words(9));
        assert_eq!(record.stamp().0, 9);
    }
}
