//! What stands for a text where the text itself must not be kept: in caches, their files and shared memory.
//!
//! A key is a 128-bit hash of the text and of everything that its answer depends on, keyed with a secret of the process, so
//! that nobody can craft two texts that meet.

use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

/// Names a text under one model generation; two texts have the same key with probability 2⁻¹²⁸.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u128);

impl Key {
    /// The key of `text`, in whatever encoding its bytes are, under `seed`: the process secret combined with the model
    /// generation.
    #[must_use]
    pub fn new(text: &[u8], seed: u64) -> Self {
        Self(xxh3_128_with_seed(text, seed))
    }

    /// The key as it is stored: its low half, then its high half.
    pub(crate) fn halves(self) -> [u64; 2] {
        [self.0 as u64, (self.0 >> 64) as u64]
    }

    /// The key whose [`Self::halves`] these are.
    pub(crate) fn from_halves([low, high]: [u64; 2]) -> Self {
        Self(u128::from(high) << 64 | u128::from(low))
    }
}

/// Joins the secret of a process with the identity of a model (its SHA-256) to the seed of its keys.
#[must_use]
pub fn seed(secret: u64, model: &str) -> u64 {
    xxh3_64_with_seed(model.as_bytes(), secret)
}
