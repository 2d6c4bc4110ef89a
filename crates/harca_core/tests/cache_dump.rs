//! The dump of the shared cache: what comes back is what was written, and nothing else is accepted.
#![allow(clippy::unwrap_used)]

use harca_core::cache::dump::{self, DumpError, FORMAT};
use harca_core::cache::shared::{Entry, Lookup, Set, SharedCache, Stored};
use harca_core::classify::classification::{Classification, Scores};
use harca_core::text::key::Key;
use harca_core::text::language::Language;
use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_128;

const SECRET: u64 = 0x0123_4567_89ab_cdef;

fn entry(n: u64) -> Entry {
    let scores = Scores::softmax(&[n as f32 / 7.0, 1.0, (n % 5) as f32], 1.3);
    let language = Language::from_number((n % 9 + 1) as u8).unwrap();
    let answer = match n % 4 {
        0 => Classification::unsearchable(&["a", "b"].map(String::from), language),
        _ => Classification::from_scores(scores, language),
    };
    Entry { key: Key::new(&n.to_le_bytes(), SECRET), stored_at: n as i64 * 1_000_000 - 5, answer }
}

fn dump(entries: impl IntoIterator<Item = Entry>) -> Vec<u8> {
    let mut file = Vec::new();
    dump::write(&mut file, SECRET, entries).unwrap();
    file
}

/// Puts the right checksum behind an altered file, which is then wrong in what was altered only.
fn with_checksum(mut file: Vec<u8>) -> Vec<u8> {
    let end = file.len() - 16;
    let checksum = xxh3_128(&file[..end]);
    file[end..].copy_from_slice(&checksum.to_le_bytes());
    file
}

#[test]
fn every_flipped_bit_and_every_truncation_is_refused() {
    let file = dump((0..5).map(entry));
    assert_eq!(dump::read(&file).unwrap().entry_count(), 5);
    for byte in 0..file.len() {
        for change in (0..8).map(|bit| 1 << bit).chain([0xff]) {
            let mut altered = file.clone();
            altered[byte] ^= change;
            let error = dump::read(&altered).unwrap_err();
            assert!(!error.to_string().contains(['\n', '\0']), "{error}");
        }
        assert!(dump::read(&file[..byte]).is_err(), "cut to {byte} bytes");
        assert!(dump::read(&file[file.len() - byte..]).is_err(), "the last {byte} bytes");
    }
    assert_eq!(dump::read(&[&file[..], &[0]].concat()).unwrap_err(), DumpError::Length);
    assert_eq!(dump::read(&[&file[..], &file].concat()).unwrap_err(), DumpError::Length);
}

#[test]
fn a_refusal_says_what_is_wrong() {
    let file = dump((0..3).map(entry));
    let altered = |at: usize, bytes: &[u8]| {
        let mut altered = file.clone();
        altered[at..at + bytes.len()].copy_from_slice(bytes);
        dump::read(&with_checksum(altered)).unwrap_err()
    };
    let refused = |bytes: &[u8]| dump::read(bytes).unwrap_err();
    assert_eq!([refused(b""), refused(b"pg_harc"), refused(&[0; 300])], [const { DumpError::Foreign }; 3]);
    assert_eq!([refused(b"pg_harca"), refused(&file[..63])], [const { DumpError::Length }; 2]);
    for format in [0, FORMAT - 1, FORMAT + 1, u32::MAX] {
        assert_eq!(altered(8, &format.to_le_bytes()), DumpError::Format(format));
    }
    assert_eq!(altered(12, b"0.0.1\0"), DumpError::Version("0.0.1".into()));
    assert_eq!(altered(12, b"\n\xff\0"), DumpError::Version("\\n\\xff".into()));
    // A count that the file merely claims.
    for count in [0, 2, 4, u64::MAX, u64::MAX / 64] {
        assert_eq!(altered(file.len() - 24, &count.to_le_bytes()), DumpError::Length);
    }
    assert_eq!(altered(40 + 64, &[200]), DumpError::Entry(1), "an unknown language");
    assert_eq!(altered(40 + 128 + 1, &[7]), DumpError::Entry(2), "a label without a score");
    assert_eq!(altered(40 + 4, &[1]), DumpError::Entry(0), "a sequence number");
    assert_eq!(altered(40 + 63, &[1]), DumpError::Entry(0), "a score behind the last");
    let mut last = file.clone();
    last[50] ^= 1;
    assert_eq!(refused(&last), DumpError::Checksum);
}

#[test]
fn a_failing_disk_is_an_error() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let room = self.0.min(bytes.len());
            self.0 -= room;
            if room == 0 { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(room) }
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let whole = dump((0..500).map(entry)).len();
    for room in [0, 39, 40, whole / 2, whole - 1] {
        let error = dump::write(&mut Full(room), SECRET, (0..500).map(entry)).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }
    assert_eq!(dump::write(&mut Full(whole), SECRET, (0..500).map(entry)).unwrap(), 500);
}

#[test]
fn an_answer_that_no_entry_can_hold_is_left_out() {
    let broken = Classification { confidence: 0.9, ..entry(1).answer };
    let file = dump([entry(0), Entry { answer: broken, ..entry(1) }, entry(2)]);
    assert_eq!(dump::read(&file).unwrap().entries().collect::<Vec<_>>(), [entry(0), entry(2)]);
}

#[test]
fn a_table_comes_back_in_its_order() {
    let sets: Vec<Set> = (0..Set::needed_for(200)).map(|_| Set::default()).collect();
    let cache = SharedCache::new(&sets);
    for Entry { key, stored_at, answer } in (0..500).map(entry) {
        cache.put(key, &answer, stored_at);
    }
    let hits = (0..500).rev().step_by(3).filter(|n| matches!(cache.get(entry(*n).key, 0, 0), Lookup::Hit(_))).count();
    assert!(hits > 50, "{hits}");
    let entries: Vec<Entry> = cache.entries().collect();
    assert!(entries.len() > 150, "{}", entries.len());
    let file = dump(entries.iter().copied());
    let read = dump::read(&file).unwrap();
    assert_eq!(read.secret(), SECRET);

    let empty: Vec<Set> = (0..sets.len()).map(|_| Set::default()).collect();
    let again = SharedCache::new(&empty);
    let mut restorer = again.restorer();
    assert!(read.entries().all(|entry| restorer.restore(&entry) == Stored::Inserted));
    assert_eq!(again.entries().collect::<Vec<_>>(), entries);
}

proptest! {
    #[test]
    fn what_comes_back_is_what_was_written(numbers in prop::collection::vec(any::<u32>(), 0..40), secret in any::<u64>()) {
        let entries: Vec<Entry> = numbers.iter().map(|n| entry(u64::from(*n))).collect();
        let mut file = Vec::new();
        prop_assert_eq!(dump::write(&mut file, secret, entries.iter().copied()).unwrap(), entries.len() as u64);
        let read = dump::read(&file).unwrap();
        prop_assert_eq!((read.secret(), read.entry_count()), (secret, entries.len()));
        prop_assert_eq!(read.entries().collect::<Vec<_>>(), entries);
    }

    /// Whatever is accepted would be written in the same way.
    #[test]
    fn any_entries_under_a_right_checksum_are_read_or_refused(
        mut words in prop::collection::vec(any::<[u64; 8]>(), 0..4),
        metadata in any::<[u8; 3]>(),
        tidy in any::<bool>(),
    ) {
        for words in &mut words {
            let [language, label, count] = [metadata[0] % 11, metadata[1] % 9, metadata[2] % 10];
            words[0] = u64::from(u32::from_le_bytes([language, label, count, 0]));
            for i in (usize::from(count)..8).filter(|_| tidy) {
                words[4 + i / 2] &= if i % 2 == 0 { !0 << 32 } else { !0 >> 32 };
            }
        }
        let empty = dump([]);
        let body: Vec<u8> = words.iter().flatten().flat_map(|word| word.to_le_bytes()).collect();
        let count = (words.len() as u64).to_le_bytes();
        let file = with_checksum([&empty[..40], &body, &count, &[0; 16]].concat());
        match dump::read(&file) {
            Ok(read) => prop_assert_eq!(dump(read.entries()), file),
            Err(error) => prop_assert!(matches!(error, DumpError::Entry(_)), "{}", error),
        }
    }
}
