//! The table against lists with hands, one operation after the other.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::classify::classification::Scores;
use crate::text::language::Language;

fn key(n: u64) -> Key {
    Key::new(&n.to_le_bytes(), 7)
}

/// Differs from that of every other number in all scores.
fn answer(n: u64) -> Classification {
    let scores: [f32; 8] = std::array::from_fn(|i| (n * 8 + i as u64) as f32);
    Classification::from_scores(Scores::new(&scores), Language::from_number((n % 9 + 1) as u8).unwrap())
}

fn table(sets: usize) -> Vec<Set> {
    (0..sets).map(|_| Set::default()).collect()
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Get(u64),
    Put(u64),
    Restore(u64),
    Clear,
}

/// Numbers are spread over 1.4 times the room of the table.
fn step() -> impl Strategy<Value = Step> {
    let n = 0u64..60;
    prop_oneof![
        80 => n.clone().prop_map(Step::Get),
        80 => n.clone().prop_map(Step::Put),
        10 => n.prop_map(Step::Restore),
        1 => Just(Step::Clear),
    ]
}

/// A set, the oldest way first; a way that is vacated keeps its place until it is filled.
struct List {
    slots: Vec<Slot>,
    /// Where the hand stands.
    hand: usize,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    way: usize,
    entry: Option<(u64, i64)>,
    marked: bool,
}

impl List {
    fn new() -> Self {
        Self { slots: (0..WAYS).rev().map(|way| Slot { way, entry: None, marked: false }).collect(), hand: 0 }
    }

    fn find(&mut self, n: u64) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.entry.is_some_and(|(number, _)| number == n))
    }

    fn vacant(&self) -> usize {
        self.slots.iter().filter(|slot| slot.entry.is_none()).count()
    }

    fn fill(&mut self, n: u64, now: i64) {
        let place = self.slots.iter().position(|slot| slot.entry.is_none()).unwrap();
        self.renew(place, n, now);
    }

    fn evict(&mut self, n: u64, now: i64) {
        while self.slots[self.hand].marked {
            self.slots[self.hand].marked = false;
            self.hand = (self.hand + 1) % WAYS;
        }
        self.renew(self.hand, n, now);
    }

    fn renew(&mut self, place: usize, n: u64, now: i64) {
        let slot = self.slots.remove(place);
        self.slots.push(Slot { entry: Some((n, now)), marked: false, ..slot });
        // The hand goes with the way it points to; from the one that is gone it moves on, from the newest to the oldest.
        if place < self.hand {
            self.hand -= 1;
        } else if place == self.hand && place == WAYS - 1 {
            self.hand = 0;
        }
    }

    fn newest(&self) -> usize {
        self.slots[WAYS - 1].way
    }
}

struct Oracle {
    lists: Vec<List>,
    /// For each number its home, and its other set where there is one.
    places: Vec<(usize, Option<usize>)>,
}

impl Oracle {
    fn new(sets: &[Set]) -> Self {
        let index = |set: &Set| sets.iter().position(|s| ptr::eq(s, set)).unwrap();
        let places = (0..60).map(|n| {
            let place = SharedCache::new(sets).place(key(n)).unwrap();
            (index(place.home), place.other().map(index))
        });
        Self { places: places.collect(), lists: sets.iter().map(|_| List::new()).collect() }
    }

    fn find(&mut self, n: u64) -> Option<&mut Slot> {
        self.lists.iter_mut().find_map(|list| list.find(n))
    }

    /// `always_home`: in the home as long as that has room.
    fn insert(&mut self, n: u64, now: i64, always_home: bool) -> Stored {
        let (home, other) = self.places[n as usize];
        let there = other.unwrap_or(home);
        let (free, elsewhere) = (self.lists[home].vacant(), self.lists[there].vacant());
        if free + elsewhere == 0 {
            let wander = (self.lists[home].newest() ^ self.lists[there].newest()).is_multiple_of(WANDER);
            self.lists[if wander { there } else { home }].evict(n, now);
            return Stored::Evicted;
        }
        let emptier = elsewhere >= 2 * free || free <= 3 && elsewhere > free;
        let better = free == 0 || !always_home && emptier;
        self.lists[if better { there } else { home }].fill(n, now);
        Stored::Inserted
    }

    /// Set by set, those at home first, the oldest first.
    fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (index, list) in self.lists.iter().enumerate() {
            for at_home in [true, false] {
                let live = list.slots.iter().filter_map(|slot| slot.entry);
                let wanted = live.filter(|(n, _)| (self.places[*n as usize].0 == index) == at_home);
                entries.extend(wanted.map(|(n, stored_at)| Entry { key: key(n), stored_at, answer: answer(n) }));
            }
        }
        entries
    }
}

proptest! {
    #[test]
    fn a_table_behaves_like_lists_with_hands(
        count in 1usize..=3,
        steps in prop::collection::vec(step(), 1..500),
        ttl in 0i64..200,
    ) {
        let sets = table(count);
        let cache = SharedCache::new(&sets);
        let mut oracle = Oracle::new(&sets);
        for (now, step) in (0i64..).zip(steps) {
            match step {
                Step::Get(n) => {
                    let found = cache.get(key(n), now, ttl);
                    match oracle.find(n) {
                        None => prop_assert_eq!(found, Lookup::Missing),
                        Some(slot) if ttl > 0 && slot.entry.is_some_and(|(_, stored_at)| now - stored_at >= ttl) => {
                            (slot.entry, slot.marked) = (None, false);
                            prop_assert_eq!(found, Lookup::Expired);
                        }
                        Some(slot) => {
                            slot.marked = true;
                            prop_assert_eq!(found, Lookup::Hit(answer(n)));
                        }
                    }
                }
                Step::Put(n) => {
                    let stored = cache.put(key(n), &answer(n), now);
                    let expected = match oracle.find(n) {
                        Some(slot) => {
                            (slot.entry, slot.marked) = (Some((n, now)), true);
                            Stored::Replaced
                        }
                        None => oracle.insert(n, now, false),
                    };
                    prop_assert_eq!(stored, expected);
                }
                Step::Restore(n) => {
                    let stored = cache.restorer().restore(&Entry { key: key(n), stored_at: now - 3, answer: answer(n) });
                    let there = oracle.find(n).is_some();
                    let expected = if there { Stored::Skipped } else { oracle.insert(n, now - 3, true) };
                    prop_assert_eq!(stored, expected);
                }
                Step::Clear => {
                    let live = oracle.entries().len();
                    prop_assert_eq!(cache.clear(), live);
                    oracle.lists.iter_mut().flat_map(|list| &mut list.slots).for_each(|slot| {
                        (slot.entry, slot.marked) = (None, false);
                    });
                }
            }
            let expected = oracle.entries();
            prop_assert_eq!((cache.len(), cache.is_empty()), (expected.len(), expected.is_empty()));
            prop_assert_eq!(cache.entries().collect::<Vec<_>>(), expected);
        }
    }

    /// However full it is: everything finds room again, and in a full table its own place.
    #[test]
    fn a_table_comes_back(count in 1usize..40, load in 0.0f64..1.5) {
        let (sets, empty) = (table(count), table(count));
        let (cache, again) = (SharedCache::new(&sets), SharedCache::new(&empty));
        for n in 0..(load * cache.capacity() as f64) as u64 {
            cache.put(key(n), &answer(n), n as i64);
        }
        let mut restorer = again.restorer();
        for entry in cache.entries() {
            prop_assert_eq!(restorer.restore(&entry), Stored::Inserted);
        }
        let sorted = |cache: SharedCache<'_>| {
            let mut entries: Vec<Entry> = cache.entries().collect();
            entries.sort_by_key(|entry| entry.key);
            entries
        };
        prop_assert_eq!(sorted(again), sorted(cache));
        if cache.len() == cache.capacity() {
            prop_assert_eq!(again.entries().collect::<Vec<_>>(), cache.entries().collect::<Vec<_>>());
        }
    }
}
