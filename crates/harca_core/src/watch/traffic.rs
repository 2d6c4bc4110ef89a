//! What the models of a database have answered, counted by all processes together in memory that they share.
//!
//! A process counts for itself in a [`Tally`], plain numbers, and adds that to an [`Arm`] when its transaction ends: an
//! answer from the cache takes 0.1 µs, and a line of memory that all processors write for each would cost as much again.
//!
//! # Blocks
//!
//! [`Arm`]s and [`Health`]s are blocks of atomics in arrays of a fixed size, and zeros are a free one. A block belongs to
//! whom its [`Tag`] names. It is claimed by one process at a time, and when none is free, the one that was used longest ago
//! is taken: models come and go, the arrays do not grow. A process that finds another one claiming does not wait: it keeps
//! its counts and asks again when it adds the next. Claiming is a few hundred stores with nothing between that could fail,
//! and a process that is killed in the midst of it has the server make its shared memory anew. Who has found a block keeps
//! it and asks [`Tag::is`] before each use. A process that has asked and then adds to a block which is being taken spoils a
//! few counts of another model; that is all that can happen, and the price for having no lock on every count.

use std::sync::atomic::{
    AtomicI64, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::classify::classification::Classification;
use crate::model::manifest::MAX_LABELS;
use crate::watch::breaker::Breaker;
use crate::watch::histogram::Histogram;
use crate::watch::significance::Moments;

/// Types that are told apart: the labels of a model, and `unknown` where it is none of them.
pub const CLASSES: usize = MAX_LABELS + 1;

/// Steps of the confidence, each a tenth.
pub const BINS: usize = 10;

/// Confidences are added up as whole millionths.
const MILLION: f64 = 1e6;

/// Words of a name: two names of a manifest and what stands between them.
const NAME_WORDS: usize = 16;

/// Answers by type and by confidence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answers {
    /// By label, in the order of the model; the last is `unknown` for a model without that label.
    pub classes: [u64; CLASSES],
    /// By confidence, from 0 to 1 in tenths.
    pub bins: [u64; BINS],
    sum: u64,
    squares: u64,
}

impl Answers {
    /// Counts one.
    pub fn add(&mut self, answer: &Classification) {
        let confidence = f64::from(answer.confidence).clamp(0.0, 1.0);
        self.classes[answer.class()] += 1;
        self.bins[((confidence * BINS as f64) as usize).min(BINS - 1)] += 1;
        self.sum += (confidence * MILLION).round() as u64;
        self.squares += (confidence * confidence * MILLION).round() as u64;
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.classes.iter().fold(0, |sum, class| sum.wrapping_add(*class))
    }

    /// Number, sum and sum of squares of the confidences.
    #[must_use]
    pub fn confidences(&self) -> Moments {
        Moments { count: self.count(), sum: self.sum as f64 / MILLION, sum_of_squares: self.squares as f64 / MILLION }
    }

    /// What has come since they were `former`.
    #[must_use]
    pub fn since(&self, former: &Self) -> Self {
        Self::of(|i| self.number(i).wrapping_sub(former.number(i)))
    }

    const NUMBERS: usize = CLASSES + BINS + 2;

    fn number(&self, i: usize) -> u64 {
        match i {
            _ if i < CLASSES => self.classes[i],
            _ if i < CLASSES + BINS => self.bins[i - CLASSES],
            _ if i == CLASSES + BINS => self.sum,
            _ => self.squares,
        }
    }

    fn of(number: impl Fn(usize) -> u64) -> Self {
        Self {
            classes: std::array::from_fn(&number),
            bins: std::array::from_fn(|i| number(CLASSES + i)),
            sum: number(CLASSES + BINS),
            squares: number(CLASSES + BINS + 1),
        }
    }
}

/// [`Answers`] in shared memory.
#[derive(Default)]
#[repr(C)]
struct SharedAnswers([AtomicU64; Answers::NUMBERS]);

impl SharedAnswers {
    fn add(&self, answers: &Answers) {
        for (i, number) in self.0.iter().enumerate() {
            // Most are zero, and need no line of memory.
            if answers.number(i) != 0 {
                number.fetch_add(answers.number(i), Relaxed);
            }
        }
    }

    fn load(&self) -> Answers {
        Answers::of(|i| self.0[i].load(Relaxed))
    }

    fn store(&self, answers: &Answers) {
        self.0.iter().enumerate().for_each(|(i, number)| number.store(answers.number(i), Relaxed));
    }
}

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

/// What one model has done in one part.
#[derive(Default)]
#[repr(C, align(64))]
pub struct Arm {
    tag: Tag,
    answers: SharedAnswers,
    runs: SharedAnswers,
    failures: AtomicU64,
    agreement: Agreement,
    latency: Histogram,
}

/// Pairs of types, that of the active model first.
#[repr(transparent)]
struct Agreement([AtomicU64; CLASSES * CLASSES]);

impl Default for Agreement {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; CLASSES * CLASSES])
    }
}

impl Block for Arm {
    fn tag(&self) -> &Tag {
        &self.tag
    }

    fn clear(&self) {
        self.answers.store(&Answers::default());
        self.runs.store(&Answers::default());
        self.failures.store(0, Relaxed);
        self.agreement.0.iter().for_each(|pair| pair.store(0, Relaxed));
        self.latency.reset();
    }
}

impl Arm {
    /// Counts one run over `queries` texts.
    pub fn record(&self, queries: usize, elapsed: Duration) {
        let nanoseconds = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        self.latency.record(nanoseconds / queries.max(1) as u64, queries as u64);
    }

    /// Adds what a process has counted.
    pub fn add(&self, tally: &Tally) {
        self.answers.add(&tally.answers);
        self.runs.add(&tally.runs);
        self.failures.fetch_add(tally.failures, Relaxed);
        for (pair, count) in &tally.agreement {
            self.agreement.0[*pair].fetch_add(*count, Relaxed);
        }
    }

    /// A copy of the numbers; they may be a moment behind each other.
    #[must_use]
    pub fn counts(&self) -> ArmCounts {
        ArmCounts {
            answers: self.answers.load(),
            runs: self.runs.load(),
            failures: self.failures.load(Relaxed),
            agreement: self.agreement.0.each_ref().map(|pair| pair.load(Relaxed)),
            latency: self.latency.snapshot(),
        }
    }
}

/// The numbers of an [`Arm`].
pub struct ArmCounts {
    /// What was answered, from the cache or by a run; of a shadow, what it would have answered.
    pub answers: Answers,
    /// What was answered by a run: each query about once, where the cache is large enough.
    pub runs: Answers,
    /// Runs that gave no answer.
    pub failures: u64,
    /// Of a shadow, [`CLASSES`] rows of the active model's type and as many columns of its own.
    pub agreement: [u64; CLASSES * CLASSES],
    /// Times of one query in a run.
    pub latency: crate::watch::histogram::Snapshot,
}

/// What one process has counted for an [`Arm`] since it added that last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    answers: Answers,
    runs: Answers,
    failures: u64,
    agreement: Vec<(usize, u64)>,
}

impl Tally {
    /// Counts an answer, and whether the model ran for it.
    pub fn count(&mut self, answer: &Classification, ran: bool) {
        self.answers.add(answer);
        if ran {
            self.runs.add(answer);
        }
    }

    /// Counts an answer of a shadow beside that of the active model, by their classes among the labels of the latter.
    pub fn compare(&mut self, active: usize, shadow: usize) {
        let pair = active.min(CLASSES - 1) * CLASSES + shadow.min(CLASSES - 1);
        match self.agreement.iter_mut().find(|(known, _)| *known == pair) {
            Some((_, count)) => *count += 1,
            None => self.agreement.push((pair, 1)),
        }
    }

    /// Counts a run that gave no answer.
    pub fn fail(&mut self) {
        self.failures += 1;
    }

    /// The answers so far.
    #[must_use]
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.failures == 0 && self.answers.count() == 0
    }
}

/// Why a model did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Reason {
    /// It could not be loaded.
    Load = 1,
    /// It ran and gave no answer.
    Inference = 2,
}

/// How one model of a database is, whatever part it takes: the [`Breaker`], failures, and the windows by which drift is
/// seen.
#[derive(Default)]
#[repr(C, align(64))]
pub struct Health {
    tag: Tag,
    /// The latency bound.
    pub breaker: Breaker,
    failures: AtomicU64,
    failed_at: AtomicI64,
    reason: AtomicU64,
    windows: Windows,
}

impl Block for Health {
    fn tag(&self) -> &Tag {
        &self.tag
    }

    fn clear(&self) {
        self.breaker.reset();
        self.failures.store(0, Relaxed);
        self.failed_at.store(0, Relaxed);
        self.reason.store(0, Relaxed);
        self.windows.reset();
    }
}

impl Health {
    /// Counts a failure.
    pub fn fail(&self, reason: Reason, now: i64) {
        self.failures.fetch_add(1, Relaxed);
        self.reason.store(reason as u64, Relaxed);
        self.failed_at.store(now, Relaxed);
    }

    /// How often it has failed, and when and why last; 0 where it never has.
    #[must_use]
    pub fn failures(&self) -> (u64, i64, Option<Reason>) {
        let reason = match self.reason.load(Relaxed) {
            1 => Some(Reason::Load),
            2 => Some(Reason::Inference),
            _ => None,
        };
        (self.failures.load(Relaxed), self.failed_at.load(Relaxed), reason)
    }

    /// Adds answers to the windows, which are of `window` answers each.
    pub fn add(&self, answers: &Answers, window: u64) {
        self.windows.add(answers, window);
    }

    /// The answers of the reference window, once it is full, and those of the recent ones: of the latest full window and
    /// of what has come since, but none of the reference.
    #[must_use]
    pub fn windows(&self) -> (Option<Answers>, Answers) {
        self.windows.load()
    }

    /// Forgets the windows: the next one is the reference.
    pub fn reset_windows(&self) {
        self.windows.reset();
    }
}

/// Answers from the beginning, and copies of that number where windows have ended: nothing is ever set to zero while it
/// is counted, so no answer is lost at a border.
#[derive(Default)]
#[repr(C)]
struct Windows {
    total: SharedAnswers,
    /// Answers at which the present window ends; 0 before the first.
    end: AtomicU64,
    /// Windows that have ended.
    ended: AtomicU64,
    first: SharedAnswers,
    /// `total` at the end of the latest windows, the one with number n at n mod 2.
    ends: [SharedAnswers; 2],
}

impl Windows {
    fn add(&self, answers: &Answers, window: u64) {
        self.total.add(answers);
        let _ = self.end.compare_exchange(0, window, Relaxed, Relaxed);
        let end = self.end.load(Relaxed);
        let total = self.total.load();
        let over = total.count() >= end;
        if over && self.end.compare_exchange(end, total.count() + window, Relaxed, Relaxed).is_ok() {
            let number = self.ended.load(Relaxed) + 1;
            if number == 1 {
                self.first.store(&total);
            }
            self.ends[(number % 2) as usize].store(&total);
            self.ended.store(number, Release);
        }
    }

    fn load(&self) -> (Option<Answers>, Answers) {
        let ended = self.ended.load(Acquire);
        if ended == 0 {
            return (None, self.total.load());
        }
        let former = self.ends[(ended.saturating_sub(1).max(1) % 2) as usize].load();
        (Some(self.first.load()), self.total.load().since(&former))
    }

    fn reset(&self) {
        self.end.store(0, Relaxed);
        self.ended.store(0, Relaxed);
        self.total.store(&Answers::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::classification::Scores;
    use crate::text::language::Language;

    fn answer(label: usize, confidence: f32) -> Classification {
        let rest = (1.0 - confidence) / 3.0;
        let scores: [f32; 4] = std::array::from_fn(|i| if i == label { confidence } else { rest });
        Classification::from_scores(Scores::new(&scores), Language::English)
    }

    fn owner(model: &str) -> Owner {
        Owner { database: 5, role: Role::Active, since: 7, model: model.into(), identity: "aa".into() }
    }

    fn arms(count: usize) -> &'static [Arm] {
        Box::leak((0..count).map(|_| Arm::default()).collect())
    }

    #[test]
    fn what_processes_count_comes_together() {
        let arms = arms(2);
        for part in 0..3 {
            let claim = Claim::of(arms, &owner("m 1"), 100).unwrap();
            let mut tally = Tally::default();
            assert!(tally.is_empty());
            for _ in 0..10 {
                tally.count(&answer(part, 0.9), part == 0);
                tally.compare(0, part);
            }
            claim.block().unwrap().add(&tally);
            claim.block().unwrap().record(10, Duration::from_micros(50));
        }
        let block = arms.iter().find_map(|arm| Some((arm.tag().owner()?, arm.counts()))).unwrap();
        let (found, counts) = block;
        assert_eq!((found.model.as_str(), found.database, found.role, found.since), ("m 1", 5, Role::Active, 7));
        assert_eq!(&counts.answers.classes[..4], [10, 10, 10, 0]);
        assert_eq!(
            (counts.answers.count(), counts.runs.count(), counts.answers.bins[8] + counts.answers.bins[9]),
            (30, 10, 30)
        );
        assert!((counts.answers.confidences().sum - 27.0).abs() < 1e-3);
        assert!((counts.answers.confidences().sum_of_squares - 24.3).abs() < 1e-3);
        assert_eq!(counts.agreement[..4], [10, 10, 10, 0]);
        assert_eq!((counts.latency.count(), counts.latency.sum()), (30, 150_000));
    }

    #[test]
    fn the_block_that_was_used_longest_ago_is_taken() {
        let arms = arms(2);
        let one = Claim::of(arms, &owner("one 1"), 100).unwrap();
        let two = Claim::of(arms, &owner("two 1"), 200).unwrap();
        let mut tally = Tally::default();
        tally.count(&answer(0, 0.5), true);
        two.block().unwrap().add(&tally);
        assert!(one.used(300).is_some());
        let three = Claim::of(arms, &owner("three 1"), 400).unwrap();
        assert!(one.block().is_some() && two.block().is_none());
        assert_eq!(three.block().unwrap().counts().answers.count(), 0);
        assert!(Claim::of(&[] as &'static [Arm], &owner("one 1"), 0).is_none());
    }

    #[test]
    fn a_long_name_is_cut_between_two_characters() {
        let arms = arms(1);
        Claim::of(arms, &owner(&format!("a{}", "あ".repeat(60))), 1).unwrap();
        assert_eq!(arms[0].tag().owner().unwrap().model, format!("a{}", "あ".repeat(42)));
    }

    #[test]
    fn threads_agree_on_a_block() {
        for round in 0..500 {
            let arms = arms(8);
            let start = std::sync::Barrier::new(4);
            std::thread::scope(|scope| {
                for thread in 0..4 {
                    let start = &start;
                    scope.spawn(move || {
                        let mut tally = Tally::default();
                        tally.count(&answer(1, 0.7), false);
                        start.wait();
                        // Two owners, so that the first free block is not the same for all.
                        let owner = owner(if (thread + round) % 2 == 0 { "m 1" } else { "m 2" });
                        let claim = std::iter::repeat_with(|| Claim::of(arms, &owner, 1)).flatten().next();
                        claim.unwrap().block().unwrap().add(&tally);
                    });
                }
            });
            let counts: Vec<u64> =
                arms.iter().filter(|arm| arm.tag().owner().is_some()).map(|arm| arm.counts().answers.count()).collect();
            assert_eq!(counts, [2, 2], "round {round}");
        }
    }

    #[test]
    fn windows_follow_each_other() {
        let health = Health::default();
        let add = |label: usize, count: u64| {
            for _ in 0..count {
                let mut one = Answers::default();
                one.add(&answer(label, 0.9));
                health.add(&one, 1000);
            }
            let (first, recent) = health.windows();
            (first.map(|first| first.classes[..2].to_vec()), recent.classes[..2].to_vec())
        };
        assert_eq!(add(0, 999), (None, vec![999, 0]));
        assert_eq!(add(0, 1), (Some(vec![1000, 0]), vec![0, 0]));
        assert_eq!(add(1, 600), (Some(vec![1000, 0]), vec![0, 600]));
        assert_eq!(add(1, 400), (Some(vec![1000, 0]), vec![0, 1000]));
        assert_eq!(add(0, 1000), (Some(vec![1000, 0]), vec![1000, 0]));
        assert_eq!(add(1, 300), (Some(vec![1000, 0]), vec![1000, 300]));
        health.reset_windows();
        assert_eq!(health.windows(), (None, Answers::default()));
        health.fail(Reason::Inference, 44);
        assert_eq!(health.failures(), (1, 44, Some(Reason::Inference)));
    }
}
