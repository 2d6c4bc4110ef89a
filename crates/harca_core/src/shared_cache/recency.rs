//! In what order the ways of a set were used: an exact permutation in one word.

use super::WAYS;
use super::atomic::{AtomicU64, Ordering::Relaxed};

/// Bits for one way in the permutation.
const BITS: u32 = 4;
const NIBBLE: u64 = (1 << BITS) - 1;

/// A one in every nibble.
const ONES: u64 = u64::MAX / NIBBLE;

/// Way `n` at position `n`.
const IDENTITY: u64 = {
    let (mut order, mut way) = (0, 0);
    while way < WAYS as u64 {
        order |= way << (BITS as u64 * way);
        way += 1;
    }
    order
};

const _: () = assert!(WAYS <= (u64::BITS / BITS) as usize);

/// The permutation of a set, shared by all processes.
///
/// It is stored XOR the identity, so that zeroed memory is the identity. Each change is one compare-and-exchange from
/// one permutation to another: no interleaving can lose a way or have it twice.
#[derive(Default)]
#[repr(transparent)]
pub(super) struct Recency(AtomicU64);

impl Recency {
    /// Makes `way` the most recently used. A way that is already so costs no write: backends that keep asking for the
    /// same text share the cache line instead of fighting for it.
    ///
    /// A change that another process overtakes is dropped: losing one step of the order costs less than trying again.
    pub(super) fn touch(&self, way: usize) {
        let stored = self.0.load(Relaxed);
        let order = Permutation(stored ^ IDENTITY);
        if order.most_recent() != way {
            let _ = self.0.compare_exchange(stored, order.move_to_front(way).0 ^ IDENTITY, Relaxed, Relaxed);
        }
    }

    /// The order at this moment.
    pub(super) fn order(&self) -> Permutation {
        Permutation(self.0.load(Relaxed) ^ IDENTITY)
    }
}

/// Ways in the order of their use; the lowest nibble is the most recent.
#[derive(Clone, Copy)]
pub(super) struct Permutation(u64);

impl Permutation {
    fn most_recent(self) -> usize {
        (self.0 & NIBBLE) as usize
    }

    fn move_to_front(self, way: usize) -> Self {
        // The lowest nibble that is zero, as in "Bit Twiddling Hacks" (Anderson), "Determine if a word has a zero byte":
        // borrows only disturb what is above it.
        let difference = self.0 ^ (ONES * way as u64);
        let zeros = difference.wrapping_sub(ONES) & !difference & (ONES << (BITS - 1));
        // Memory that holds no permutation shall give a wrong order, not a panic.
        let position = (zeros.trailing_zeros() / BITS).min(WAYS as u32 - 1);
        let before = (1 << (BITS * position)) - 1;
        let behind = !before << BITS;
        Self(self.0 & behind | (self.0 & before) << BITS | way as u64)
    }

    /// All ways, the least recently used first.
    pub(super) fn oldest_first(self) -> impl Iterator<Item = usize> {
        (0..WAYS as u32).rev().map(move |position| (self.0 >> (BITS * position) & NIBBLE) as usize)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zeroed_memory_is_the_identity() {
        let order = Recency::default().order();
        assert_eq!(order.oldest_first().collect::<Vec<_>>(), (0..WAYS).rev().collect::<Vec<_>>());
        assert_eq!(order.most_recent(), 0);
    }

    proptest! {
        /// The oracle is a vector.
        #[test]
        fn moves_to_the_front_like_a_vector(touched in prop::collection::vec(0..WAYS, 0..100)) {
            let recency = Recency::default();
            let mut oracle: Vec<usize> = (0..WAYS).collect();
            for way in touched {
                recency.touch(way);
                oracle.retain(|&w| w != way);
                oracle.insert(0, way);
                let order = recency.order();
                prop_assert_eq!(order.most_recent(), way);
                prop_assert_eq!(order.oldest_first().collect::<Vec<_>>(), oracle.iter().rev().copied().collect::<Vec<_>>());
            }
        }

        #[test]
        fn no_word_makes_it_panic(word in any::<u64>(), way in 0..WAYS) {
            let recency = Recency(AtomicU64::new(word));
            recency.touch(way);
            prop_assert_eq!(recency.order().most_recent(), way);
        }
    }
}
