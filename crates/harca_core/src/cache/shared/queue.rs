//! Who makes room: the queue of a set in order of arrival, and the hand that SIEVE moves along it, in one word.
//!
//! Zhang et al., "SIEVE is Simpler than LRU: an Efficient Turn-Key Eviction Algorithm for Web Caches" (NSDI 2024),
//! algorithm 1, with a set for the whole cache. The marks of what was asked for are not here but in the tags, so that a
//! hit leaves this word alone.

use super::atomic::{AtomicU64, Ordering::Relaxed};

/// Entries of a set: as many tags as fit into one cache line beside the queue. Fewer under loom, where every one of them
/// multiplies the interleavings.
pub const WAYS: usize = if cfg!(loom) { 2 } else { 14 };

/// Bits for one way.
const BITS: u32 = 4;
const NIBBLE: u64 = (1 << BITS) - 1;

/// A one in every nibble.
const ONES: u64 = u64::MAX / NIBBLE;

/// Where the hand stands in the word: 0 for the oldest way, else the way it points to and 1.
const HAND: u32 = u64::BITS - BITS;

/// Way `n` at position `n`.
const IDENTITY: u64 = {
    let (mut order, mut way) = (0, 0);
    while way < WAYS as u64 {
        order |= way << (BITS as u64 * way);
        way += 1;
    }
    order
};

// The top nibble is the hand, and its values must have room for every way and 0.
const _: () = assert!(WAYS as u32 * BITS <= HAND && WAYS as u64 <= NIBBLE);

/// The queue of a set, shared by all processes.
///
/// It is stored XOR the identity, so that zeroed memory is the identity with the hand at the oldest. Each change is one
/// compare-and-exchange from one permutation to another: no interleaving can lose a way or have it twice.
#[derive(Default)]
#[repr(transparent)]
pub(super) struct Queue(AtomicU64);

impl Queue {
    /// The queue at this moment.
    pub(super) fn order(&self) -> Order {
        Order(self.0.load(Relaxed) ^ IDENTITY)
    }

    /// Changes the queue from `seen`, unless another process was faster: then its change stays, and the way keeps its
    /// place, which costs less than trying again.
    pub(super) fn change(&self, seen: Order, next: Order) {
        let _ = self.0.compare_exchange(seen.0 ^ IDENTITY, next.0 ^ IDENTITY, Relaxed, Relaxed);
    }
}

/// Ways in the order of their arrival, the newest in the lowest nibble, and the hand.
#[derive(Clone, Copy)]
pub(super) struct Order(u64);

impl Order {
    /// All ways, the oldest first.
    pub(super) fn oldest_first(self) -> impl Iterator<Item = usize> {
        (0..WAYS).rev().map(move |position| self.way_at(position))
    }

    /// The ways that the hand passes in two rounds: towards the newest, and on from the oldest.
    pub(super) fn hand_first(self) -> impl Iterator<Item = usize> {
        let start = self.hand().map_or(WAYS - 1, |way| self.position(way));
        (0..2 * WAYS).map(move |step| self.way_at((start + 2 * WAYS - step) % WAYS))
    }

    /// The way that came last.
    pub(super) fn newest(self) -> usize {
        self.way_at(0)
    }

    /// The queue after a vacant `way` was filled: it is the newest. A hand that pointed to it moves on.
    pub(super) fn filled(self, way: usize) -> Self {
        let position = self.position(way);
        let hand = if self.hand() == Some(way) { self.newer(position) } else { self.0 >> HAND };
        // What is newer moves up by one, what is older stays.
        let newer = (1 << (BITS * position as u32)) - 1;
        let older = !newer << BITS & !(NIBBLE << HAND);
        Self(self.0 & older | (self.0 & newer) << BITS | way as u64 | hand << HAND)
    }

    /// The queue after the entry of `way` made room for another: as [`Self::filled`], with the hand behind it.
    pub(super) fn evicted(self, way: usize) -> Self {
        Self(self.0 & !(NIBBLE << HAND) | (way as u64 + 1) << HAND).filled(way)
    }

    fn hand(self) -> Option<usize> {
        ((self.0 >> HAND) as usize).checked_sub(1)
    }

    fn way_at(self, position: usize) -> usize {
        (self.0 >> (BITS * position as u32) & NIBBLE) as usize
    }

    /// The hand that points to the way after the one at `position`.
    fn newer(self, position: usize) -> u64 {
        position.checked_sub(1).map_or(0, |newer| self.way_at(newer) as u64 + 1)
    }

    fn position(self, way: usize) -> usize {
        // The lowest nibble that is zero, as in "Bit Twiddling Hacks" (Anderson), "Determine if a word has a zero byte":
        // borrows only disturb what is above it.
        let difference = self.0 ^ ONES.wrapping_mul(way as u64);
        let zeros = difference.wrapping_sub(ONES) & !difference & (ONES << (BITS - 1));
        // Memory that holds no permutation shall give a wrong order, not a panic.
        ((zeros.trailing_zeros() / BITS) as usize).min(WAYS - 1)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zeroed_memory_is_the_identity() {
        let order = Queue::default().order();
        assert_eq!(order.oldest_first().collect::<Vec<_>>(), (0..WAYS).rev().collect::<Vec<_>>());
        assert_eq!(order.hand_first().next(), Some(WAYS - 1));
    }

    #[test]
    fn a_change_that_comes_too_late_is_dropped() {
        let queue = Queue::default();
        let seen = queue.order();
        queue.change(seen, seen.filled(5));
        queue.change(seen, seen.filled(6));
        assert_eq!(queue.order().way_at(0), 5);
    }

    proptest! {
        /// The oracle is a vector, the oldest first, and the way under the hand.
        #[test]
        fn behaves_like_a_vector_with_a_hand(steps in prop::collection::vec((0..WAYS, any::<bool>()), 0..100)) {
            let queue = Queue::default();
            let mut oracle: Vec<usize> = (0..WAYS).rev().collect();
            let mut hand = None;
            for (way, evicted) in steps {
                let seen = queue.order();
                queue.change(seen, if evicted { seen.evicted(way) } else { seen.filled(way) });
                let position = oracle.iter().position(|w| *w == way).unwrap();
                if evicted || hand == Some(way) {
                    hand = oracle.get(position + 1).copied();
                }
                oracle.remove(position);
                oracle.push(way);
                prop_assert_eq!(queue.order().oldest_first().collect::<Vec<_>>(), oracle.clone());
                let start = hand.map_or(0, |hand| oracle.iter().position(|w| *w == hand).unwrap());
                let passed = oracle.iter().cycle().skip(start).take(2 * WAYS).copied().collect::<Vec<_>>();
                prop_assert_eq!(queue.order().hand_first().collect::<Vec<_>>(), passed);
            }
        }

        #[test]
        fn no_word_makes_it_panic(word in any::<u64>(), way in 0..WAYS, evicted in any::<bool>()) {
            let order = Order(word);
            let next = if evicted { order.evicted(way) } else { order.filled(way) };
            prop_assert_eq!(next.way_at(0), way);
            prop_assert_eq!(order.hand_first().count(), 2 * WAYS);
        }
    }
}
