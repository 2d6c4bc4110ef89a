use super::atomic::Ordering::Relaxed;
use super::set::VACANT;
use super::*;
use crate::classify::classification::Scores;
use crate::text::language::Language;

fn key(n: u64) -> Key {
    Key::new(&n.to_le_bytes(), 7)
}

fn answer(n: u64) -> Classification {
    Classification::from_scores(Scores::new(&[n as f32, 0.5]), Language::German)
}

fn sets(count: usize) -> Vec<Set> {
    (0..count).map(|_| Set::default()).collect()
}

fn fill(cache: SharedCache<'_>, keys: std::ops::Range<u64>) {
    keys.for_each(|n| assert_ne!(cache.put(key(n), &answer(n), 0), Stored::Skipped));
}

#[test]
fn keys_spread_over_all_pairs_of_sets() {
    let sets = sets(7);
    let cache = SharedCache::new(&sets);
    let mut found = [[0; 7]; 7];
    for n in 0..7000 {
        let place = cache.place(key(n)).unwrap();
        assert!(place.tag != VACANT && place.tag & MARK == 0);
        let index = |set: &Set| sets.iter().position(|s| ptr::eq(s, set)).unwrap();
        found[index(place.home)][index(place.other().unwrap())] += 1;
    }
    for (home, others) in found.iter().enumerate() {
        for (other, n) in others.iter().enumerate() {
            // 7000 / 42, and five standard deviations.
            assert!(if home == other { *n == 0 } else { (104..230).contains(n) }, "{found:?}");
        }
    }
}

#[test]
fn only_the_first_hit_changes_anything() {
    let sets = sets(1);
    let cache = SharedCache::new(&sets);
    fill(cache, 0..3);
    let before = hints(&sets[0]);
    assert_eq!(cache.get(key(9), 0, 0), Lookup::Missing);
    assert_eq!(hints(&sets[0]), before);
    assert_eq!(cache.get(key(1), 0, 0), Lookup::Hit(answer(1)));
    let marked = hints(&sets[0]);
    assert_ne!(marked, before);
    assert_eq!(cache.get(key(1), 0, 0), Lookup::Hit(answer(1)));
    assert_eq!(hints(&sets[0]), marked);
}

fn hints(set: &Set) -> Vec<u64> {
    let tags = set.tags.iter().map(|tags| tags.load(Relaxed));
    tags.chain(set.queue.order().hand_first().map(|way| way as u64)).collect()
}

/// As if a process had died inside a write.
fn lose(record: &record::Record<WORDS>) {
    assert!(record.claim(record.stamp()).is_some());
}

#[test]
fn a_lost_way_is_skipped_by_everybody() {
    let sets = sets(1);
    let cache = SharedCache::new(&sets);
    fill(cache, 0..WAYS as u64);
    let lost = sets[0].queue.order().oldest_first().next().unwrap();
    lose(&sets[0].records[lost]);
    assert_eq!(cache.get(key(0), 0, 0), Lookup::Missing);
    assert_eq!((cache.len(), cache.entries().count()), (WAYS - 1, WAYS - 1));
    // The key that was lost, and others, find room in the ways that are left, again and again.
    fill(cache, 0..100);
    for n in 100 - (WAYS as u64 - 1)..100 {
        assert_eq!(cache.get(key(n), 0, 0), Lookup::Hit(answer(n)));
    }
    assert_eq!(cache.clear(), WAYS - 1);
    assert!(cache.is_empty());
    sets[0].records.iter().enumerate().filter(|(way, _)| *way != lost).for_each(|(_, record)| lose(record));
    assert_eq!(cache.put(key(1), &answer(1), 0), Stored::Skipped);
}

#[test]
fn damaged_records_are_misses() {
    let sets = sets(1);
    let cache = SharedCache::new(&sets);
    fill(cache, 0..WAYS as u64);
    for (n, record) in sets[0].records.iter().enumerate() {
        let (stamp, mut words) = record.read(|_| true).unwrap();
        // An unknown language, a label without a score, no scores, too many of them.
        words[0] = [0x0002_0000, 0x0002_0201, 0x0000_0001, 0x0009_0001][n % 4];
        record.claim(stamp).unwrap().publish(&words);
    }
    for n in 0..WAYS as u64 {
        assert_eq!(cache.get(key(n), 0, 0), Lookup::Missing);
    }
    assert_eq!(cache.entries().count(), 0);
    assert_eq!(cache.put(key(1), &answer(1), 0), Stored::Replaced);
    assert_eq!(cache.get(key(1), 0, 0), Lookup::Hit(answer(1)));
}

#[test]
fn a_set_without_ways_leaves_its_keys_the_other_one() {
    let sets = sets(2);
    let cache = SharedCache::new(&sets);
    sets[0].records.iter().for_each(lose);
    fill(cache, 0..100);
    assert_eq!(cache.len(), WAYS);
    assert_eq!(cache.put(key(100), &answer(100), 0), Stored::Evicted);
    assert_eq!(cache.get(key(100), 0, 0), Lookup::Hit(answer(100)));
    assert_eq!(cache.clear(), WAYS);
    assert_eq!(cache.put(key(100), &answer(100), 0), Stored::Inserted);
}

/// As two writers that missed each other leave it. The older copy is looked at first.
#[test]
fn an_entry_that_is_there_twice_dies_once_each() {
    for count in [1, 2] {
        let sets = sets(count);
        let cache = SharedCache::new(&sets);
        let place = cache.place(key(1)).unwrap();
        let words = |stored_at| Entry { key: key(1), stored_at, answer: answer(1) }.to_words().unwrap();
        place.other().unwrap_or(place.home).fill(place.tag, &words(50));
        place.home.fill(place.tag, &words(0));
        assert_eq!(cache.len(), 2);
        assert_eq!(cache.get(key(1), 60, 20), Lookup::Hit(answer(1)));
        assert_eq!(cache.len(), 1);
        assert_eq!(cache.get(key(1), 70, 20), Lookup::Expired);
        assert_eq!(cache.get(key(1), 70, 20), Lookup::Missing);
    }
}

#[test]
fn of_copies_in_both_sets_that_of_the_home_is_used() {
    let sets = sets(2);
    let cache = SharedCache::new(&sets);
    let place = cache.place(key(1)).unwrap();
    let words = Entry { key: key(1), stored_at: 7, answer: answer(1) }.to_words().unwrap();
    place.other().unwrap().fill(place.tag, &words);
    place.home.fill(place.tag, &words);
    let before = hints(place.other().unwrap());
    assert_eq!(cache.put(key(1), &answer(2), 9), Stored::Replaced);
    assert_eq!(cache.get(key(1), 9, 0), Lookup::Hit(answer(2)));
    assert_eq!(hints(place.other().unwrap()), before, "the other one ages");
    // Without the first, the other one answers.
    let way = place.home.tagged(place.tag).next().unwrap();
    let (tag, record) = place.home.way(way).unwrap();
    vacate(record.claim(record.stamp()).unwrap(), tag);
    assert_eq!(cache.get(key(1), 9, 0), Lookup::Hit(answer(1)));
    assert_eq!(cache.get(key(1), 9, 2), Lookup::Expired);
    assert!(cache.is_empty());
}

#[test]
fn no_sets_keep_nothing() {
    let cache = SharedCache::new(&[]);
    assert_eq!(cache.put(key(1), &answer(1), 0), Stored::Skipped);
    assert_eq!(cache.get(key(1), 0, 0), Lookup::Missing);
    assert_eq!((cache.len(), cache.capacity(), Set::needed_for(0)), (0, 0, 0));
    assert_eq!((Set::needed_for(1), Set::needed_for(14), Set::needed_for(15)), (1, 1, 2));
}
