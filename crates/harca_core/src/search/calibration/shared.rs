//! The calibrations of the tables of a server, kept by all processes together in memory that they share.
//!
//! # Locking contract
//!
//! A [`Slot`] belongs to the table whose key it has, from the first search that shows something until the memory goes or
//! another table needs the room: then the one that was used longest ago is taken. Who writes a slot holds its `writing`;
//! who finds another one writing does not wait: its search is not counted. The number of writes is odd while one is under
//! way and grows with each, so that whoever reads takes what it has read only if the number was even and is the same
//! after; it tries a few times, and then goes without. Between the two no error can be raised, and a process that is
//! killed there has the server make its shared memory anew. All of it is atomics, of which any content is valid; zeros
//! are a free slot.
//!
//! Of queries nothing is kept but hashes of the latest that counted, so that one which is asked again and again counts
//! once; they are made with a secret of the server.

use std::sync::atomic::{
    AtomicI64, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

use super::{Calibration, Means, Observation};

/// Queries that are known to have counted.
const RECENT: usize = 32;
/// Searches from which on only one in [`SHARE`] counts.
const ALL_UNTIL: u64 = 256;
/// See [`ALL_UNTIL`]: a table that is well known need not be looked at with every search.
const SHARE: u64 = 16;
/// Times that a reader tries.
const TRIES: usize = 4;

/// The key of a slot that is free.
const FREE: u64 = 0;

/// The calibration of one table.
#[derive(Default)]
#[repr(C, align(64))]
pub struct Slot {
    /// 1 while a process writes.
    writing: AtomicU64,
    /// Number of times that one has begun or ended to write.
    writes: AtomicU64,
    key: AtomicU64,
    used_at: AtomicI64,
    /// Searches that asked whether they count.
    asked: AtomicU64,
    searches: AtomicU64,
    /// The bits of the means.
    means: [AtomicU64; 5],
    /// 1 where there is a calibration.
    calibrated: AtomicU64,
    /// The bits of weight, spread and what is found.
    units: [AtomicU64; 3],
    calibrated_searches: AtomicU64,
    since: AtomicI64,
    recent: [AtomicU64; RECENT],
}

/// What is known of a table.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct State {
    /// What its searches have shown.
    pub means: Means,
    /// What they go by, once they are enough.
    pub calibration: Option<Calibration>,
}

/// A table, as it is [saved](super::saved).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    /// Which.
    pub key: u64,
    /// When a search of it counted last, in microseconds.
    pub used_at: i64,
    /// What is known of it.
    pub state: State,
}

impl Slot {
    fn state(&self) -> State {
        let bits = |atomic: &AtomicU64| f64::from_bits(atomic.load(Relaxed));
        let means = Means {
            searches: self.searches.load(Relaxed),
            of: Observation::from_numbers(self.means.each_ref().map(bits)),
        };
        let [weight, spread, found] = self.units.each_ref().map(bits);
        let calibration = (self.calibrated.load(Relaxed) == 1).then(|| Calibration {
            weight,
            spread,
            found,
            searches: self.calibrated_searches.load(Relaxed),
            since: self.since.load(Relaxed),
        });
        State { means, calibration }
    }

    fn store(&self, state: &State) {
        self.searches.store(state.means.searches, Relaxed);
        for (atomic, number) in self.means.iter().zip(state.means.of.numbers()) {
            atomic.store(number.to_bits(), Relaxed);
        }
        self.calibrated.store(u64::from(state.calibration.is_some()), Relaxed);
        if let Some(calibration) = state.calibration {
            for (atomic, number) in self.units.iter().zip([calibration.weight, calibration.spread, calibration.found]) {
                atomic.store(number.to_bits(), Relaxed);
            }
            self.calibrated_searches.store(calibration.searches, Relaxed);
            self.since.store(calibration.since, Relaxed);
        }
    }

    /// Writes, unless another process does.
    fn write<R>(&self, change: impl FnOnce() -> R) -> Option<R> {
        if self.writing.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
            return None;
        }
        let writes = self.writes.load(Relaxed);
        self.writes.store(writes.wrapping_add(1), Relaxed);
        fence(Release);
        let result = change();
        self.writes.store(writes.wrapping_add(2), Release);
        self.writing.store(0, Release);
        Some(result)
    }

    /// What it holds.
    fn entry(&self) -> Option<Entry> {
        for _ in 0..TRIES {
            let before = self.writes.load(Acquire);
            let (key, used_at, state) = (self.key.load(Relaxed), self.used_at.load(Relaxed), self.state());
            fence(Acquire);
            if before.is_multiple_of(2) && self.writes.load(Relaxed) == before {
                return (key != FREE).then_some(Entry { key, used_at, state });
            }
        }
        None
    }

    fn take(&self, key: u64, now: i64) {
        self.key.store(key, Relaxed);
        self.used_at.store(now, Relaxed);
        self.asked.store(0, Relaxed);
        self.store(&State::default());
        self.recent.iter().for_each(|hash| hash.store(0, Relaxed));
    }
}

/// The slots of a server.
#[derive(Clone, Copy)]
pub struct Slots<'a>(pub &'a [Slot]);

impl<'a> Slots<'a> {
    fn of(self, key: u64) -> Option<&'a Slot> {
        self.0.iter().find(|slot| slot.key.load(Relaxed) == key)
    }

    /// What is known of the table with that key.
    #[must_use]
    pub fn read(self, key: u64) -> State {
        let key = key.max(FREE + 1);
        let entry = self.of(key).and_then(Slot::entry).filter(|entry| entry.key == key);
        entry.map(|entry| entry.state).unwrap_or_default()
    }

    /// Whether the search that asks is to be counted.
    #[must_use]
    pub fn counts(self, key: u64) -> bool {
        let Some(slot) = self.of(key.max(FREE + 1)) else { return true };
        let asked = slot.asked.fetch_add(1, Relaxed);
        asked < ALL_UNTIL || asked.is_multiple_of(SHARE)
    }

    /// Counts a search of the table with that key, whose query has a hash, at a time in microseconds.
    pub fn learn(self, key: u64, query: u64, seen: &Observation, now: i64) {
        let key = key.max(FREE + 1);
        let Some(slot) = self.of(key).or_else(|| self.claim(key, now)) else { return };
        // 0 is no query.
        let query = query.max(1);
        slot.write(|| {
            if slot.key.load(Relaxed) != key || slot.recent.iter().any(|known| known.load(Relaxed) == query) {
                return;
            }
            let State { means, calibration } = slot.state();
            let place = (means.searches % RECENT as u64) as usize;
            slot.recent[place].store(query, Relaxed);
            slot.used_at.store(now, Relaxed);
            let means = means.with(seen);
            slot.store(&State { means, calibration: Calibration::after(calibration, &means, now) });
        });
    }

    /// Forgets a table.
    pub fn forget(self, key: u64) {
        let key = key.max(FREE + 1);
        if let Some(slot) = self.of(key) {
            slot.write(|| {
                if slot.key.load(Relaxed) == key {
                    slot.take(FREE, 0);
                }
            });
        }
    }

    /// All tables of which anything is known.
    pub fn entries(self) -> impl Iterator<Item = Entry> {
        self.0.iter().filter_map(Slot::entry)
    }

    /// Takes in what was known before, into memory that is new and that nobody else sees yet; as many as there is room for,
    /// those that were used last before others. Queries of which it was learned may count once more.
    pub fn restore(self, mut entries: Vec<Entry>) {
        entries.retain(|entry| entry.key != FREE);
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.used_at));
        for (slot, entry) in self.0.iter().zip(entries) {
            slot.take(entry.key, entry.used_at);
            slot.asked.store(entry.state.means.searches, Relaxed);
            slot.store(&entry.state);
        }
    }

    /// Grows with everything that is learned.
    #[must_use]
    pub fn changes(self) -> u64 {
        self.0.iter().fold(0, |sum, slot| sum.wrapping_add(slot.writes.load(Relaxed)))
    }

    /// A slot for a table that has none: a free one, or that which was used longest ago. The first slot's `writing` is held
    /// meanwhile, so that no two are made for one table.
    fn claim(self, key: u64, now: i64) -> Option<&'a Slot> {
        let (first, others) = self.0.split_first()?;
        first.write(|| {
            if let Some(known) = self.of(key) {
                return Some(known);
            }
            let oldest = self.0.iter().min_by_key(|slot| match slot.key.load(Relaxed) {
                FREE => i64::MIN,
                _ => slot.used_at.load(Relaxed),
            })?;
            if std::ptr::eq(oldest, first) {
                first.take(key, now);
                return Some(first);
            }
            debug_assert!(others.iter().any(|slot| std::ptr::eq(slot, oldest)));
            oldest.write(|| oldest.take(key, now)).map(|()| oldest)
        })?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: Observation = Observation { nearness: 0.8, wording: 0.7, prominence: 4.5, spread: 0.3, found: 0.6 };

    fn slots(n: usize) -> Vec<Slot> {
        (0..n).map(|_| Slot::default()).collect()
    }

    #[test]
    fn what_is_saved_is_known_after_a_restart() {
        let slots: Vec<Slot> = (0..3).map(|_| Slot::default()).collect();
        let slots = Slots(&slots);
        assert_eq!(slots.changes(), 0);
        for n in 1..=300 {
            slots.learn(7, n, &SEEN, n as i64);
            slots.learn(8, n, &Observation { wording: 0.2, ..SEEN }, -(n as i64));
        }
        let changes = slots.changes();
        assert!(changes > 0);
        let saved: Vec<Entry> = slots.entries().collect();
        assert_eq!(saved.iter().map(|entry| entry.key).collect::<Vec<_>>(), [7, 8]);
        assert_eq!(slots.changes(), changes);
        let anew: Vec<Slot> = (0..3).map(|_| Slot::default()).collect();
        Slots(&anew).restore(saved.clone());
        assert_eq!(Slots(&anew).read(7), slots.read(7));
        assert_eq!(Slots(&anew).read(8), slots.read(8));
        let counted = (0..32).filter(|_| Slots(&anew).counts(7)).count();
        assert_eq!(counted, 2, "a table that is well known stays so");
        let one = [Slot::default()];
        Slots(&one).restore(saved);
        assert_eq!((Slots(&one).read(7), Slots(&one).read(8)), (slots.read(7), State::default()), "the one used last");
    }

    #[test]
    fn tables_are_apart() {
        let memory = slots(3);
        let slots = Slots(&memory);
        for n in 0..30 {
            slots.learn(1, 100 + n, &SEEN, n as i64);
            slots.learn(2, 100 + n, &Observation { wording: 0.9, ..SEEN }, n as i64);
        }
        let (one, two) = (slots.read(1), slots.read(2));
        assert_eq!((one.means.searches, two.means.searches), (30, 30));
        assert!(two.calibration.unwrap().weight > one.calibration.unwrap().weight);
        assert_eq!(slots.read(3), State::default());
        slots.forget(1);
        assert_eq!(slots.read(1), State::default());
        assert_eq!(slots.read(2), two);
    }

    #[test]
    fn a_query_that_is_asked_again_counts_once() {
        let memory = slots(1);
        let slots = Slots(&memory);
        for _ in 0..10_000 {
            slots.learn(7, 42, &SEEN, 0);
        }
        assert_eq!(slots.read(7).means.searches, 1);
        // As many as are known in turn.
        for n in 0..10_000 {
            slots.learn(7, 1 + n % RECENT as u64, &SEEN, 0);
        }
        assert_eq!(slots.read(7).means.searches, 1 + RECENT as u64);
    }

    #[test]
    fn the_table_that_was_used_longest_ago_makes_room() {
        let memory = slots(2);
        let slots = Slots(&memory);
        slots.learn(1, 1, &SEEN, 10);
        slots.learn(2, 1, &SEEN, 20);
        slots.learn(1, 2, &SEEN, 30);
        slots.learn(3, 1, &SEEN, 40);
        assert_eq!([1, 2, 3].map(|key| slots.read(key).means.searches), [2, 0, 1]);
        assert_eq!(Slots(&[]).read(1), State::default());
        Slots(&[]).learn(1, 1, &SEEN, 0);
    }

    #[test]
    fn of_many_searches_one_in_sixteen_counts() {
        let memory = slots(1);
        let slots = Slots(&memory);
        slots.learn(1, 1, &SEEN, 0);
        assert_eq!((0..256).filter(|_| slots.counts(1)).count(), 256);
        assert_eq!((0..1600).filter(|_| slots.counts(1)).count(), 100);
        assert!(slots.counts(9), "one that is not known");
    }

    #[test]
    fn processes_that_write_at_once_leave_a_whole_state() {
        let memory = slots(2);
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let slots = Slots(&memory);
                scope.spawn(move || {
                    for n in 0..5_000 {
                        let seen =
                            Observation { spread: 0.3, found: 0.3, wording: 0.3, nearness: 0.3, prominence: 0.3 };
                        slots.learn(1 + n % 2, thread << 32 | n, &seen, n as i64);
                        let read = slots.read(1 + n % 2).means;
                        assert!(read.searches == 0 || read.of.numbers().iter().all(|mean| (mean - 0.3).abs() < 1e-9));
                    }
                });
            }
        });
        let counted = Slots(&memory).read(1).means.searches;
        assert!((1..=10_000).contains(&counted), "{counted}");
    }
}
