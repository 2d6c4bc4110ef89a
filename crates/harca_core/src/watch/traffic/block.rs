//! Blocks of shared memory that have an owner, and how a process comes to one; the rules are in the
//! [module above](super).

use std::sync::atomic::{
    AtomicI64, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Words of a name: two names of a manifest and what stands between them.
const NAME_WORDS: usize = 16;

/// In what part a model has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Role {
    /// The model that answers by default.
    Active,
    /// The second model of an A/B test or a canary.
    Challenger,
    /// A model that is recorded and never answers.
    Shadow,
    /// The previous model, in place of one that cannot answer.
    Fallback,
    /// No model at all.
    Rules,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Active, Self::Challenger, Self::Shadow, Self::Fallback, Self::Rules];

    /// Its name, as views show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Challenger => "challenger",
            Self::Shadow => "shadow",
            Self::Fallback => "fallback",
            Self::Rules => "rules",
        }
    }
}

/// Whose counts a block holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The database, by a number of the server's.
    pub database: u32,
    /// In which part.
    pub role: Role,
    /// Since when, in microseconds: a model that takes a part anew begins anew.
    pub since: i64,
    /// Name and version of the model.
    pub model: String,
    /// What tells it from others of that name: its digest.
    pub identity: String,
}

impl Owner {
    fn key(&self) -> u64 {
        let numbers = u64::from(self.database) << 8 | self.role as u64;
        let seed = xxh3_64_with_seed(self.identity.as_bytes(), numbers);
        xxh3_64_with_seed(self.model.as_bytes(), seed ^ self.since as u64).clamp(FREE + 1, TAKEN - 1)
    }
}

/// The key of a block that nobody has.
const FREE: u64 = 0;

/// The key of a block that is on its way from one owner to the next.
const TAKEN: u64 = u64::MAX;

/// Names the owner of a block.
#[derive(Default)]
#[repr(C)]
pub struct Tag {
    /// In the first block of an array, 1 while a process claims one of them.
    claiming: AtomicU64,
    /// Hash of the owner, or one of the above.
    key: AtomicU64,
    /// 1 once what follows is complete: whoever sees it sees the rest.
    complete: AtomicU64,
    used_at: AtomicI64,
    database: AtomicU64,
    role: AtomicU64,
    since: AtomicI64,
    name: [AtomicU64; NAME_WORDS],
}

impl Tag {
    /// Whether the block belongs to the owner with this key still.
    #[must_use]
    pub fn is(&self, key: u64) -> bool {
        self.key.load(Relaxed) == key
    }

    /// The owner as far as it is written down: without its identity. None while the block is free or being taken.
    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        if self.complete.load(Acquire) == 0 {
            return None;
        }
        let bytes: Vec<u8> = self.name.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).collect();
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        let role = self.role.load(Relaxed);
        Some(Owner {
            database: u32::try_from(self.database.load(Relaxed)).unwrap_or(0),
            role: Role::ALL.into_iter().find(|one| *one as u64 == role)?,
            since: self.since.load(Relaxed),
            model: String::from_utf8_lossy(&bytes[..end]).into_owned(),
            identity: String::new(),
        })
    }

    /// Takes the block from its owner.
    fn begin(&self) {
        self.key.store(TAKEN, Relaxed);
        self.complete.store(0, Relaxed);
    }

    /// Gives the block, once it is cleared, to its next owner.
    fn give(&self, key: u64, owner: &Owner, now: i64) {
        let mut bytes = [0; NAME_WORDS * size_of::<u64>()];
        let end = (0..=owner.model.len().min(bytes.len())).rev().find(|&end| owner.model.is_char_boundary(end));
        let name = &owner.model.as_bytes()[..end.unwrap_or(0)];
        bytes[..name.len()].copy_from_slice(name);
        for (word, bytes) in self.name.iter().zip(bytes.as_chunks().0) {
            word.store(u64::from_le_bytes(*bytes), Relaxed);
        }
        self.database.store(u64::from(owner.database), Relaxed);
        self.role.store(owner.role as u64, Relaxed);
        self.since.store(owner.since, Relaxed);
        self.used_at.store(now, Relaxed);
        self.complete.store(1, Release);
        self.key.store(key, Release);
    }
}

/// A block that can be claimed.
pub trait Block {
    /// Whose it is.
    fn tag(&self) -> &Tag;
    /// Forgets what it has counted.
    fn clear(&self);
}

/// A block together with the key under which it was claimed.
pub struct Claim<B: 'static> {
    block: &'static B,
    key: u64,
}

impl<B> Clone for Claim<B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for Claim<B> {}

impl<B: Block> Claim<B> {
    /// The block of `owner`, taken from whoever used one longest ago where none is free. None without blocks, and while
    /// another process is claiming one: nobody waits, so ask again later.
    pub fn of(blocks: &'static [B], owner: &Owner, now: i64) -> Option<Self> {
        let key = owner.key();
        if let Some(known) = Self::known(blocks, key, now) {
            return Some(known);
        }
        // One at a time: two who claim for one owner would find two blocks, or one that is still being cleared.
        let claiming = &blocks.first()?.tag().claiming;
        if claiming.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
            return None;
        }
        let claimed = Self::known(blocks, key, now).or_else(|| {
            let free = blocks.iter().find(|block| block.tag().is(FREE));
            let block = free.or_else(|| blocks.iter().min_by_key(|block| block.tag().used_at.load(Relaxed)))?;
            block.tag().begin();
            block.clear();
            block.tag().give(key, owner, now);
            Some(Self { block, key })
        });
        claiming.store(0, Release);
        claimed
    }

    fn known(blocks: &'static [B], key: u64, now: i64) -> Option<Self> {
        // Whoever sees the key sees the block as it was cleared for it.
        let block = blocks.iter().find(|block| block.tag().key.load(Acquire) == key)?;
        block.tag().used_at.store(now, Relaxed);
        Some(Self { block, key })
    }

    /// The block, as long as it is the claimant's.
    #[must_use]
    pub fn block(&self) -> Option<&'static B> {
        self.block.tag().is(self.key).then_some(self.block)
    }

    /// The block at the time `now`, so that others do not take it for unused.
    #[must_use]
    pub fn used(&self, now: i64) -> Option<&'static B> {
        self.block().inspect(|block| block.tag().used_at.store(now, Relaxed))
    }
}
