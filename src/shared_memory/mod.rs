//! What all backends share: the cache of answers (L2), that of embeddings of queries, the secret of its keys, counters, and what searches have told of
//! their tables.
//!
//! # Locking contract
//!
//! Nobody waits here for anybody, and nothing is held where an error could be raised, so none can leave a lock behind.
//!
//! | part | written by | read by |
//! |---|---|---|
//! | [`Header`], but its atomics | the process that makes the memory, before anybody else sees it | anybody |
//! | the [`Header`]'s atomics | anybody who may reset statistics, relaxed | anybody |
//! | a [`Slot`] | the process that has its number, by relaxed stores; nobody else has that number at the time | anybody; counts may be a moment behind each other |
//! | the [`ReuseSampler`] | whoever has claimed it, under the contract of [`harca_core::cache::reuse`] | anybody |
//! | the [`ModelStats`] | anybody who has run the model, by atomic additions | anybody |
//! | the [`Arm`]s and [`Health`]s | anybody, under the contract of [`harca_core::watch::traffic`] and [`harca_core::watch::breaker`] | anybody |
//! | the calibrations | anybody who searches, under the contract of [`harca_core::search::calibration::shared`] | anybody |
//! | the [`Set`]s | anybody, under the contract of [`harca_core::cache::shared`] | anybody |
//! | the [`VectorSet`]s | anybody, under the contract of [`harca_core::cache::vectors`] | anybody |
//!
//! With `shared_preload_libraries` the postmaster makes the memory at start, and anew after a crash, and backends inherit
//! its address. Without, on PostgreSQL 17 and later, the first backend makes it in the registry of dynamic shared memory
//! (`storage/dsm_registry.h`), under the registry's own lock, and it stays until the server stops. Else there is none, and
//! each backend has a cache of its own (L1).
//!
//! # The room
//!
//! Promises: a process that cannot have shared memory works all the same; nothing that lies here raises an error or waits.
//! Uses: [`settings`], [`process`]. Used by: [`backend`](crate::backend), [`search`](crate::search),
//! [`api`](crate::api), [`init`](crate::init).
//!
//! - [`reserve`]: the memory of a preloaded library; `dynamic`: that of one which is not.
//! - [`answer_cache`]: the cache of answers as a backend sees it.
//! - [`kept_file`]: a file that comes through a restart: [`cache_file`] of the cache, [`calibration_file`] of what searches
//!   have told. [`dump_worker`] writes them while the server runs.
#![allow(unsafe_code)]

pub mod answer_cache;
mod cache_file;
mod calibration_file;
pub mod dump_worker;
#[cfg(any(feature = "pg17", feature = "pg18"))]
mod dynamic;

#[cfg(not(any(feature = "pg17", feature = "pg18")))]
mod dynamic {
    /// Before PostgreSQL 17 there is no shared memory for a library that was not preloaded.
    pub fn attach() -> Option<super::Shared> {
        None
    }
}
mod kept_file;
pub mod reserve;

use std::cell::Cell;
use std::slice;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use harca_core::cache::reuse::{Curve, Reference, ReuseSampler};
use harca_core::cache::shared::{Set, SharedCache, WAYS};
use harca_core::cache::vectors::{VectorCache, VectorSet};
use harca_core::search::calibration::shared as calibration;
use harca_core::text::key::Key;
use harca_core::watch::model_stats::ModelStats;
use harca_core::watch::traffic::{Arm, Block, Health};
use pgrx::pg_sys;

use crate::{process, settings};

/// What is counted.
#[derive(Clone, Copy)]
#[repr(usize)]
pub enum Event {
    /// A look-up that found a live answer.
    Hit,
    /// A look-up that found none, or one past its time.
    Miss,
    /// An answer that was put out for want of room.
    Eviction,
    /// An answer that was found past its time.
    Expiration,
}

/// What is counted of the cache of embeddings: hits, misses, evictions. A miss takes milliseconds, so all processes count in
/// one place.
#[derive(Clone, Copy)]
#[repr(usize)]
pub enum VectorEvent {
    /// A look-up that found a vector.
    Hit,
    /// One that found none.
    Miss,
    /// A vector that has put others out.
    Eviction,
}

const VECTOR_EVENTS: usize = 3;

const EVENTS: usize = 4;

/// Numbers of each [`Event`].
pub type Counts = [u64; EVENTS];

/// What a process keeps in memory of its own, in bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// The runtime and the session: what loading them has added to the process.
    pub session: u64,
    /// Buffers between the text and the session, encoded texts that are kept among them.
    pub buffers: u64,
    /// The cache of answers that the process keeps for itself.
    pub local_cache: u64,
}

/// What one process tells the others: one cache line.
#[derive(Default)]
#[repr(C, align(64))]
struct Slot {
    counts: [AtomicU64; EVENTS],
    /// The process that has used memory under this number last; it may have ended.
    pid: AtomicU64,
    session: AtomicU64,
    buffers: AtomicU64,
    local_cache: AtomicU64,
}

impl Slot {
    fn counts(&self) -> Counts {
        self.counts.each_ref().map(|count| count.load(Relaxed))
    }
}

/// Models that are counted; what comes after them is not.
const MODELS: usize = 16;

/// Parts that models take in all databases and that are counted; the one that was used longest ago makes room.
const ARMS: usize = 64;

/// Models in all databases whose health is known; likewise.
const HEALTHS: usize = 32;

/// One key of the cache in 2⁶ is sampled to begin with: the others cost a look-up a word that is read, and these a walk over the
/// keys that are followed, some hundred of them with the usual 10,000 answers.
const REUSE_HALVINGS: u64 = 6;

/// How many times larger than it is a cache is thought of at most.
const REUSE_REACH: u64 = 16;

/// Search targets in all databases whose searches are learned from; likewise.
const CALIBRATIONS: usize = 128;

#[repr(C, align(64))]
struct Header {
    /// What the keys of the cache are made with; nobody outside the server can know it.
    secret: u64,
    /// Number of slots: one for each process that can run SQL. Process numbers begin at 0 and are used again.
    slots: usize,
    /// Number of sets of the cache.
    sets: usize,
    /// Number of sets of the cache of embeddings.
    vector_sets: usize,
    /// What was counted of it since the last reset.
    vector_counts: [AtomicU64; VECTOR_EVENTS],
    /// Entries that came from the dump of a former run.
    restored: AtomicU64,
    /// What the slots had counted when the statistics were reset last: a slot has one writer, so nobody sets it to zero.
    base: Slot,
    /// When that was, in microseconds as of PostgreSQL; before the first reset, when the memory was made.
    reset_at: AtomicI64,
    /// Sampled queries that found no room in the log.
    unlogged: AtomicU64,
    /// How far apart look-ups of the same answers are.
    reuse: ReuseSampler,
    models: [ModelStats; MODELS],
}

/// The memory as this process maps it.
#[derive(Clone, Copy)]
pub struct Shared {
    header: &'static Header,
    slots: &'static [Slot],
    arms: &'static [Arm],
    healths: &'static [Health],
    calibrations: &'static [calibration::Slot],
    sets: &'static [Set],
    vector_sets: &'static [VectorSet],
    /// The slot of this process.
    own: Option<&'static Slot>,
}

thread_local! {
    static SHARED: Cell<Option<Shared>> = const { Cell::new(None) };
    static TRIED: Cell<bool> = const { Cell::new(false) };
}

/// The sizes of the parts: the header, the slots, the blocks of models, and the sets of both caches, each of whole cache lines.
struct Layout {
    slots: usize,
    sets: usize,
    vector_sets: usize,
}

impl Layout {
    /// What the settings ask for. The number of processes is known when shared memory is reserved, and fixed.
    fn wanted() -> Self {
        // SAFETY: reads a variable of the process.
        let slots = usize::try_from(unsafe { pg_sys::MaxBackends }).unwrap_or(0);
        let vector_sets = VectorSet::fitting(settings::embedding_cache_bytes());
        Self { slots, sets: Set::needed_for(settings::cache_size()), vector_sets }
    }

    fn head_bytes(&self) -> usize {
        size_of::<Header>()
            + self.slots * size_of::<Slot>()
            + ARMS * size_of::<Arm>()
            + HEALTHS * size_of::<Health>()
            + CALIBRATIONS * size_of::<calibration::Slot>()
    }

    /// Where the sets of embeddings begin, behind the others.
    fn vectors_from(&self) -> usize {
        self.head_bytes() + self.sets * size_of::<Set>()
    }

    fn bytes(&self) -> usize {
        self.vectors_from() + self.vector_sets * size_of::<VectorSet>()
    }

    /// Writes the header of new memory, with the secret of a former run whose entries are to be found again.
    ///
    /// # Safety
    /// `header` must point to [`Self::head_bytes`] zeroed bytes, aligned to 64, that nobody else uses yet.
    unsafe fn write_header(&self, header: *mut Header, secret: Option<u64>) {
        // SAFETY: by the contract; zeroed slots and blocks are valid as they are.
        unsafe {
            header.write(Header {
                secret: secret.unwrap_or_else(process::random_secret),
                slots: self.slots,
                sets: self.sets,
                vector_sets: self.vector_sets,
                vector_counts: Default::default(),
                restored: AtomicU64::new(0),
                base: Slot::default(),
                reset_at: AtomicI64::new(process::current_time()),
                unlogged: AtomicU64::new(0),
                reuse: ReuseSampler::new(REUSE_HALVINGS),
                models: Default::default(),
            });
        }
    }
}

impl Shared {
    /// The memory at three addresses.
    ///
    /// # Safety
    /// `header` must have been written by [`Layout::write_header`] and the sets be the memory that goes with it, all to
    /// stay until this process ends.
    unsafe fn at(header: *const Header, sets: *const Set, vector_sets: *const VectorSet) -> Self {
        // SAFETY: by the contract; slots and blocks follow the header, and they and the sets are atomics alone, of which
        // any content is valid.
        unsafe {
            let head = &*header;
            let slots: *const Slot = header.add(1).cast();
            let arms: *const Arm = slots.add(head.slots).cast();
            let healths: *const Health = arms.add(ARMS).cast();
            let calibrations: *const calibration::Slot = healths.add(HEALTHS).cast();
            Self {
                header: head,
                slots: slice::from_raw_parts(slots, head.slots),
                arms: slice::from_raw_parts(arms, ARMS),
                healths: slice::from_raw_parts(healths, HEALTHS),
                calibrations: slice::from_raw_parts(calibrations, CALIBRATIONS),
                sets: if head.sets == 0 { &[] } else { slice::from_raw_parts(sets, head.sets) },
                vector_sets: match head.vector_sets {
                    0 => &[],
                    number => slice::from_raw_parts(vector_sets, number),
                },
                own: None,
            }
        }
    }

    /// What the keys of the cache are made with.
    pub fn secret(&self) -> u64 {
        self.header.secret
    }

    /// The cache; one without room when `pg_harca.cache_size` was 0.
    pub fn cache(&self) -> SharedCache<'static> {
        SharedCache::new(self.sets)
    }

    /// The cache of embeddings; one without room when `pg_harca.embedding_cache_size` was 0.
    pub fn vectors(&self) -> VectorCache<'static> {
        VectorCache::new(self.vector_sets)
    }

    /// Bytes of the cache of embeddings.
    pub fn vectors_bytes(&self) -> usize {
        size_of_val(self.vector_sets)
    }

    /// Counts something of the cache of embeddings.
    pub fn count_vector(&self, event: VectorEvent) {
        self.header.vector_counts[event as usize].fetch_add(1, Relaxed);
    }

    /// Hits, misses and evictions of the cache of embeddings since the last reset.
    pub fn vector_counts(&self) -> [u64; VECTOR_EVENTS] {
        self.header.vector_counts.each_ref().map(|count| count.load(Relaxed))
    }

    /// Whether there is a cache.
    pub fn has_cache(&self) -> bool {
        !self.sets.is_empty()
    }

    /// Bytes of the cache.
    pub fn cache_bytes(&self) -> usize {
        size_of_val(self.sets)
    }

    /// Bytes of all but the cache.
    pub fn statistics_bytes(&self) -> usize {
        size_of::<Header>()
            + size_of_val(self.slots)
            + size_of_val(self.arms)
            + size_of_val(self.healths)
            + size_of_val(self.calibrations)
    }

    /// Entries that came from the dump of a former run.
    pub fn restored(&self) -> u64 {
        self.header.restored.load(Relaxed)
    }

    /// Counts one event of this process.
    pub fn count(&self, event: Event) {
        if let Some(own) = self.own {
            let count = &own.counts[event as usize];
            count.store(count.load(Relaxed).wrapping_add(1), Relaxed);
        }
    }

    /// What all processes have counted since the last reset.
    pub fn counts(&self) -> Counts {
        let base = self.header.base.counts();
        let total = self.total();
        std::array::from_fn(|i| total[i].wrapping_sub(base[i]))
    }

    fn total(&self) -> Counts {
        self.slots
            .iter()
            .map(Slot::counts)
            .fold([0; EVENTS], |sum, counts| std::array::from_fn(|i| sum[i].wrapping_add(counts[i])))
    }

    /// Begins the counts anew; two at the same time may mix.
    pub fn reset_counts(&self, now: i64) {
        for (base, total) in self.header.base.counts.iter().zip(self.total()) {
            base.store(total, Relaxed);
        }
        self.header.models.iter().for_each(ModelStats::reset);
        self.header.reuse.reset(REUSE_HALVINGS);
        self.arms.iter().for_each(Block::clear);
        self.header.vector_counts.iter().for_each(|count| count.store(0, Relaxed));
        self.header.unlogged.store(0, Relaxed);
        self.header.reset_at.store(now, Relaxed);
    }

    /// Tells the sampler of reuse distances of a look-up.
    #[inline]
    pub fn sample(&self, key: Key, now: i64, ttl: i64) {
        let reach = (self.sets.len() * WAYS) as u64 * REUSE_REACH;
        self.header.reuse.look_up(&Reference { key, now, ttl, reach });
    }

    /// How often caches of other sizes would have hit since the last reset; none before enough is known.
    pub fn hit_curve(&self) -> Option<Curve> {
        let counts = self.counts();
        self.header.reuse.curve(counts[Event::Hit as usize].wrapping_add(counts[Event::Miss as usize]))
    }

    /// The sizes that a curve is shown for: up to what is sampled.
    pub fn curve_sizes(&self) -> impl Iterator<Item = u64> {
        let capacity = (self.sets.len() * WAYS) as u64;
        let halves = (1..=3).rev().map(move |power| capacity >> power);
        halves.chain((0..=REUSE_REACH.ilog2()).map(move |power| capacity << power)).filter(|size| *size > 0)
    }

    /// Tells the others what this process keeps in memory.
    pub fn tell(&self, memory: Memory) {
        if let Some(own) = self.own {
            own.session.store(memory.session, Relaxed);
            own.buffers.store(memory.buffers, Relaxed);
            own.local_cache.store(memory.local_cache, Relaxed);
            own.pid.store(u64::from(std::process::id()), Relaxed);
        }
    }

    /// What processes have told of their memory, by process id; some of them may have ended.
    pub fn told(&self) -> impl Iterator<Item = (u32, Memory)> {
        self.slots.iter().filter_map(|slot| {
            let pid = u32::try_from(slot.pid.load(Relaxed)).ok().filter(|pid| *pid != 0)?;
            let memory = Memory {
                session: slot.session.load(Relaxed),
                buffers: slot.buffers.load(Relaxed),
                local_cache: slot.local_cache.load(Relaxed),
            };
            Some((pid, memory))
        })
    }

    /// What each model has done since the counts began.
    pub fn models(&self) -> &'static [ModelStats] {
        &self.header.models
    }

    /// Where models are counted by the part that they take.
    pub fn arms(&self) -> &'static [Arm] {
        self.arms
    }

    /// Where the health of models is kept.
    pub fn healths(&self) -> &'static [Health] {
        self.healths
    }

    /// What the searches of each target have told.
    pub fn calibrations(&self) -> calibration::Slots<'static> {
        calibration::Slots(self.calibrations)
    }

    /// Counts a sampled query that found no room in the log.
    pub fn count_unlogged(&self) {
        self.header.unlogged.fetch_add(1, Relaxed);
    }

    /// Sampled queries that found no room in the log.
    pub fn unlogged(&self) -> u64 {
        self.header.unlogged.load(Relaxed)
    }

    /// Grows whenever the cache may have changed.
    pub fn changes(&self) -> u64 {
        self.total()[Event::Miss as usize]
    }

    /// When the counts began, in microseconds as of PostgreSQL.
    pub fn counted_since(&self) -> i64 {
        self.header.reset_at.load(Relaxed)
    }
}

/// The memory, if there is any; a backend attaches at its first call.
pub fn attach() -> Option<Shared> {
    if !TRIED.replace(true) && SHARED.get().is_none() {
        SHARED.set(dynamic::attach());
    }
    let own = process_number();
    SHARED.get().map(|shared| Shared { own: own.and_then(|own| shared.slots.get(own)), ..shared })
}

fn process_number() -> Option<usize> {
    // SAFETY: reads variables of a process that is connected to shared memory.
    #[cfg(any(feature = "pg15", feature = "pg16"))]
    let number = unsafe { pg_sys::MyProc.as_ref().map_or(-1, |process| process.pgprocno) };
    // SAFETY: as above.
    #[cfg(any(feature = "pg17", feature = "pg18"))]
    let number = unsafe { pg_sys::MyProcNumber };
    usize::try_from(number).ok()
}
