//! The cache of vectors that all backends share: of queries that were embedded before.
//!
//! A vector is kept in pieces of [`PIECE`] numbers, each a record of its own under the key of the vector and its place. A key
//! names one set of [`WAYS`] records for each piece; where none is vacant, the hand of a clock (Corbató, "A paging experiment
//! with the Multics system", 1968) goes on to a record that was not asked for since it was there last. The pieces of a vector
//! are asked for together, and so they age together; a vector of which one has gone is a miss, and is stored anew.
//!
//! # Locking contract
//!
//! That of [`super::shared`], whose records these are: no lock that anybody waits for, every operation ends after a bounded
//! number of steps, and zeroed memory is an empty cache. The marks and the hand of a set are hints, written relaxed. Pieces that
//! two processes have stored for one key at the same time may come out as one vector: both are vectors of one text by one
//! model, and so differ by roundings at most.

use std::array;

use super::shared::atomic::{AtomicU64, Ordering::Relaxed};
use super::shared::record::Record;
use super::shared::{Stored, scale};
use crate::text::key::Key;

/// Words of a record: nine cache lines.
const WORDS: usize = 72;

/// Words before the numbers: the stamp and the key.
const HEAD: usize = 3;

/// Numbers of a piece.
pub const PIECE: usize = 2 * (WORDS - HEAD);

/// Records of a set.
pub const WAYS: usize = 8;

/// Numbers that a vector may have: as many as pgvector's.
pub const MOST: usize = 16_000;

/// Where the hand stands in the word of a set, above the marks.
const HAND: u32 = 32;

/// One of the parts of the cache that a piece may be in. It consists of atomic integers alone: any content is a valid value.
#[derive(Default)]
#[repr(C, align(64))]
pub struct VectorSet {
    /// A mark for each record that was asked for since the hand was there, and the hand.
    clock: AtomicU64,
    records: [Record<WORDS>; WAYS],
}

impl VectorSet {
    /// The sets that fit into so many bytes.
    #[must_use]
    pub const fn fitting(bytes: usize) -> usize {
        bytes / size_of::<Self>()
    }

    fn mark(&self, way: usize) {
        let marks = self.clock.load(Relaxed);
        if marks >> way & 1 == 0 {
            // A lost mark is a hint less.
            let _ = self.clock.compare_exchange(marks, marks | 1 << way, Relaxed, Relaxed);
        }
    }

    /// The record whose turn it is to make room.
    fn victim(&self) -> usize {
        let clock = self.clock.load(Relaxed);
        let (mut marks, mut hand) = (clock & ((1 << WAYS) - 1), (clock >> HAND) as usize % WAYS);
        while marks >> hand & 1 == 1 {
            marks &= !(1 << hand);
            hand = (hand + 1) % WAYS;
        }
        let next = ((hand + 1) % WAYS) as u64;
        let _ = self.clock.compare_exchange(clock, next << HAND | marks, Relaxed, Relaxed);
        hand
    }
}

/// A view of the cache, as one process maps it.
#[derive(Clone, Copy)]
pub struct VectorCache<'m> {
    sets: &'m [VectorSet],
}

impl<'m> VectorCache<'m> {
    /// The cache in `sets`; without any it keeps nothing.
    #[must_use]
    pub fn new(sets: &'m [VectorSet]) -> Self {
        Self { sets }
    }

    /// The vector of a key.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<Vec<f32>> {
        let mut vector = Vec::new();
        let mut width = 0;
        for piece in 0.. {
            let (found, words) = self.piece(key, piece)?;
            if piece == 0 {
                width = found;
                vector.reserve(width);
            }
            if found != width {
                return None;
            }
            let halves = words.iter().skip(HEAD).flat_map(|word| [*word as u32, (word >> 32) as u32]);
            vector.extend(halves.take(width - vector.len()).map(f32::from_bits));
            if vector.len() == width {
                return Some(vector);
            }
        }
        None
    }

    /// Keeps a vector. [`Stored::Skipped`] where a piece of it could not be, so that it will not be found.
    pub fn put(&self, key: Key, vector: &[f32]) -> Stored {
        if self.sets.is_empty() || vector.is_empty() || vector.len() > MOST {
            return Stored::Skipped;
        }
        let mut all = Stored::Replaced;
        for (piece, numbers) in vector.chunks(PIECE).enumerate() {
            match self.put_piece(key, piece, vector.len(), numbers) {
                Stored::Skipped => return Stored::Skipped,
                Stored::Evicted => all = Stored::Evicted,
                Stored::Inserted if all == Stored::Replaced => all = Stored::Inserted,
                Stored::Inserted | Stored::Replaced => {}
            }
        }
        all
    }

    /// Takes every vector out, and gives their number.
    pub fn clear(&self) -> usize {
        let mut cleared = 0;
        for record in self.sets.iter().flat_map(|set| &set.records) {
            let stamp = record.stamp();
            let first = record.read(|_| true).is_some_and(|(_, words)| is_first(words[0]));
            if !stamp.is_vacant()
                && let Some(claim) = record.claim(stamp)
            {
                claim.vacate();
                cleared += usize::from(first);
            }
        }
        cleared
    }

    /// The number of vectors, by their first pieces. It looks at every record.
    #[must_use]
    pub fn len(&self) -> usize {
        let records = self.sets.iter().flat_map(|set| &set.records);
        records.filter_map(|record| record.read(|_| true)).filter(|(_, words)| is_first(words[0])).count()
    }

    /// Whether there is none; as costly as [`Self::len`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers there is room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.sets.len() * WAYS * PIECE
    }

    /// The width of the vector that a piece belongs to, and the piece.
    fn piece(&self, key: Key, piece: usize) -> Option<(usize, [u64; WORDS])> {
        let (set, halves) = self.place(key, piece)?;
        for (way, record) in set.records.iter().enumerate() {
            if let Some((_, words)) = record.read(|found| found == halves) {
                set.mark(way);
                let width = (words[0] & 0xffff) as usize;
                return ((1..=MOST).contains(&width) && piece * PIECE < width).then_some((width, words));
            }
        }
        None
    }

    fn put_piece(&self, key: Key, piece: usize, width: usize, numbers: &[f32]) -> Stored {
        let Some((set, halves)) = self.place(key, piece) else { return Stored::Skipped };
        let number = |n: usize| numbers.get(n).map_or(0, |number| u64::from(number.to_bits()));
        let words: [u64; WORDS] = array::from_fn(|word| match word {
            // The width is not 0, and so the metadata is not.
            0 => (width as u64) | u64::from(piece == 0) << 16,
            1 | 2 => halves[word - 1],
            _ => number(2 * (word - HEAD)) | number(2 * (word - HEAD) + 1) << 32,
        });
        let records = || set.records.iter().enumerate();
        let same = records().find(|(_, record)| record.read(|found| found == halves).is_some());
        let vacant = || records().find(|(_, record)| record.stamp().is_vacant() && !record.stamp().is_claimed());
        let (way, stored) = match (same, vacant()) {
            (Some((way, _)), _) => (way, Stored::Replaced),
            (None, Some((way, _))) => (way, Stored::Inserted),
            (None, None) => (set.victim(), Stored::Evicted),
        };
        let Some(record) = set.records.get(way) else { return Stored::Skipped };
        match record.claim(record.stamp()) {
            Some(claim) => {
                claim.publish(&words);
                stored
            }
            None => Stored::Skipped,
        }
    }

    /// The set of a piece, and the key that its record has.
    fn place(&self, key: Key, piece: usize) -> Option<(&'m VectorSet, [u64; 2])> {
        let [low, high] = key.halves();
        // An odd factor: the pieces of a key differ, and lie in sets of their own.
        let halves = [low, high.wrapping_add((piece as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))];
        self.sets.get(scale(halves[1], self.sets.len())).map(|set| (set, halves))
    }
}

/// Whether a record, by its metadata, holds the first piece of a vector.
fn is_first(metadata: u64) -> bool {
    metadata >> 16 & 1 == 1
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn sets(number: usize) -> Vec<VectorSet> {
        std::iter::repeat_with(VectorSet::default).take(number).collect()
    }

    fn key(n: usize) -> Key {
        Key::new(&n.to_le_bytes(), 7)
    }

    fn vector(n: usize, width: usize) -> Vec<f32> {
        (0..width).map(|place| (n * 1000 + place) as f32).collect()
    }

    #[test]
    fn vectors_of_all_widths_come_back() {
        let sets = sets(64);
        let cache = VectorCache::new(&sets);
        for (n, width) in [1, PIECE - 1, PIECE, PIECE + 1, 384, 1024, MOST].into_iter().enumerate() {
            assert_eq!(cache.get(key(n)), None);
            assert_eq!(cache.put(key(n), &vector(n, width)), Stored::Inserted);
            assert_eq!(cache.get(key(n)), Some(vector(n, width)), "{width}");
        }
        assert_eq!(cache.put(key(1), &vector(9, PIECE - 1)), Stored::Replaced);
        assert_eq!(cache.get(key(1)), Some(vector(9, PIECE - 1)));
        assert_eq!((cache.len(), cache.clear(), cache.len()), (7, 7, 0));
    }

    #[test]
    fn what_is_asked_for_outlives_what_is_not() {
        let sets = sets(8);
        let cache = VectorCache::new(&sets);
        let hot: Vec<usize> = (0..10).collect();
        for &n in &hot {
            cache.put(key(n), &vector(n, 384));
        }
        for n in 100..200 {
            for &n in &hot {
                if cache.get(key(n)).is_none() {
                    cache.put(key(n), &vector(n, 384));
                }
            }
            cache.put(key(n), &vector(n, 384));
        }
        let kept = hot.iter().filter(|&&n| cache.get(key(n)) == Some(vector(n, 384))).count();
        assert!(kept >= 7, "{kept}");
        assert!(cache.len() <= 8 * WAYS / 3 + 8);
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let cache = VectorCache::new(&[]);
        assert_eq!(cache.put(key(1), &[1.0]), Stored::Skipped);
        assert_eq!((cache.get(key(1)), cache.len(), cache.capacity()), (None, 0, 0));
        let sets = sets(1);
        assert_eq!(VectorCache::new(&sets).put(key(1), &[]), Stored::Skipped);
        assert_eq!(VectorCache::new(&sets).put(key(1), &vec![0.0; MOST + 1]), Stored::Skipped);
    }

    #[test]
    fn threads_never_see_a_vector_of_another_key() {
        let sets = sets(4);
        let cache = VectorCache::new(&sets);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for round in 0..5_000 {
                        let n = (thread * 31 + round * 7) % 40;
                        match cache.get(key(n)) {
                            Some(found) => assert_eq!(found, vector(n, 300)),
                            None => drop(cache.put(key(n), &vector(n, 300))),
                        }
                    }
                });
            }
        });
    }
}
