//! The query log in a folder on disk.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use harca_core::watch::query_log::{Day, MAX_RECORD, QueryLog, Record};
use proptest::prelude::*;

const HOUR: i64 = 3_600_000_000;

/// A folder that does not exist yet, and is gone after the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("query_log.{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn log(&self) -> QueryLog {
        QueryLog::new(self.0.clone(), u64::MAX)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.0.join(name)).unwrap().permissions().mode() & 0o777
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn day(date: &str) -> Day {
    Day::parse(date).unwrap()
}

fn at(date: &str, hour: i64) -> i64 {
    day(date).start() + hour * HOUR
}

fn record(at: i64, query: &str) -> Record {
    Record {
        at,
        query: query.into(),
        label: "keyword".into(),
        confidence: 0.75,
        language: "en".into(),
        model: "query_type".into(),
    }
}

fn read(log: &QueryLog, date: &str) -> (Vec<Record>, u64) {
    let mut records = log.read(day(date)).unwrap();
    let read = records.by_ref().map(|record| record.unwrap()).collect();
    (read, records.skipped())
}

fn queries(log: &QueryLog, date: &str) -> Vec<String> {
    read(log, date).0.into_iter().map(|record| record.query).collect()
}

#[test]
fn records_lie_in_the_files_of_their_days() {
    let folder = Folder::new();
    let log = folder.log();
    assert_eq!(log.days().unwrap(), []);
    assert_eq!(log.expire(0, 0).unwrap(), 0);
    assert_eq!(log.forget(None).unwrap(), 0);
    assert!(!folder.0.exists());
    assert_eq!(log.read(day("2024-02-29")).unwrap_err().kind(), ErrorKind::NotFound);

    let records = [record(at("2024-03-01", 0), "b"), record(at("2024-03-01", 0) - 1, "a"), record(-1, "z")];
    for record in &records {
        assert!(log.append(record).unwrap());
    }
    assert_eq!(log.days().unwrap(), [day("1969-12-31"), day("2024-02-29"), day("2024-03-01")]);
    assert_eq!(read(&log, "2024-03-01"), (vec![records[0].clone()], 0));
    assert_eq!(read(&log, "2024-02-29"), (vec![records[1].clone()], 0));
    assert_eq!(
        fs::read_to_string(folder.file("1969-12-31.jsonl")).unwrap(),
        "{\"at\":-1,\"query\":\"z\",\"label\":\"keyword\",\"confidence\":0.75,\"language\":\"en\",\
         \"model\":\"query_type\"}\n"
    );
    assert_eq!((folder.mode(""), folder.mode("2024-02-29.jsonl")), (0o700, 0o600));
}

#[test]
fn records_that_cannot_be_read_again_are_refused() {
    let folder = Folder::new();
    let mut wrong = vec![record(i64::MAX, "a"), record(i64::MIN, "a")];
    wrong.extend([f32::NAN, f32::INFINITY].map(|confidence| Record { confidence, ..record(0, "a") }));
    wrong.push(Record { model: "m".repeat(MAX_RECORD), ..record(0, "a") });
    for record in wrong {
        assert_eq!(folder.log().append(&record).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    assert!(!folder.0.exists());
}

#[test]
fn a_folder_without_its_parent_is_not_made() {
    let folder = Folder::new();
    let log = QueryLog::new(folder.file("inner"), u64::MAX);
    assert_eq!(log.append(&record(0, "a")).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!folder.0.exists());
}

#[test]
fn a_file_does_not_grow_beyond_its_bound() {
    let folder = Folder::new();
    folder.log().append(&record(0, "a")).unwrap();
    let bytes = fs::metadata(folder.file("1970-01-01.jsonl")).unwrap().len();
    let log = |most| QueryLog::new(folder.0.clone(), most);
    assert!(!log(2 * bytes - 1).append(&record(0, "b")).unwrap());
    assert!(log(2 * bytes).append(&record(0, "c")).unwrap());
    assert!(!log(2 * bytes).append(&record(0, "d")).unwrap());
    assert!(!log(0).append(&record(0, "e")).unwrap());
    assert!(log(2 * bytes).append(&record(24 * HOUR, "f")).unwrap());
    assert!(!log(bytes - 1).append(&record(48 * HOUR, "g")).unwrap());
    assert_eq!(queries(&log(0), "1970-01-01"), ["a", "c"]);
    assert_eq!(folder.names(), ["1970-01-01.jsonl", "1970-01-02.jsonl"]);
}

#[test]
fn a_long_query_fills_its_record() {
    let folder = Folder::new();
    let log = folder.log();
    for (number, letter) in ["a", "ß", "😀", "\"", "\u{1}"].into_iter().enumerate() {
        let long = letter.repeat(3 * MAX_RECORD);
        let time = number as i64 * 24 * HOUR;
        assert!(log.append(&record(time, &long)).unwrap());
        let date = Day::of(time).unwrap().to_string();
        let bytes = fs::metadata(folder.file(&format!("{date}.jsonl"))).unwrap().len() as usize;
        assert!(bytes <= MAX_RECORD && bytes + 6 > MAX_RECORD, "{bytes}");
        let (records, skipped) = read(&log, &date);
        assert_eq!((records.len(), skipped), (1, 0));
        assert!(long.starts_with(&records[0].query));
    }
}

#[test]
fn damaged_lines_are_skipped_and_counted() {
    let folder = Folder::new();
    let log = folder.log();
    let path = folder.file("1970-01-01.jsonl");
    let damage = |bytes: &[u8]| fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(bytes).unwrap();
    let append = |query: &str| assert!(log.append(&record(1, query)).unwrap());

    append("a");
    damage(b"\n");
    damage(b"not JSON\n");
    damage(b"\xff\xfe\n");
    damage(b"{\"at\":1}\n");
    append("{\"at\":1");
    damage(b"{\"at\":1,\"query\":\"torn {\\\"at\\\":");
    append("behind a torn line");
    damage(&[0; 5000]);
    append("behind zeros");
    damage(&vec![b'x'; 10 * MAX_RECORD + 17]);
    append(&"long".repeat(MAX_RECORD));
    damage(&vec![b'x'; 5 * MAX_RECORD]);
    damage(b"\n");
    append("b");
    damage(b"{\"at\":1,\"que");

    let (records, skipped) = read(&log, "1970-01-01");
    let queries: Vec<_> = records.iter().map(|record| record.query.as_str()).collect();
    assert_eq!(queries[..4], ["a", "{\"at\":1", "behind a torn line", "behind zeros"]);
    assert!(queries[4].starts_with("longlong") && queries[4].len() > MAX_RECORD - 200);
    assert_eq!(queries[5..], ["b"]);
    assert_eq!(skipped, 9);
}

#[test]
fn unknown_and_missing_fields_are_damage() {
    let folder = Folder::new();
    let log = folder.log();
    log.append(&record(1, "a")).unwrap();
    let path = folder.file("1970-01-01.jsonl");
    let line = fs::read_to_string(&path).unwrap();
    let more = line.replace("\"label\"", "\"user\":\"b\",\"label\"");
    let less = line.replace("\"language\":\"en\",", "");
    fs::write(&path, format!("{more}{less}{line}")).unwrap();
    let (records, skipped) = read(&log, "1970-01-01");
    assert_eq!((records, skipped), (vec![record(1, "a")], 2));
}

#[test]
fn a_record_without_line_break_at_the_end_is_read() {
    let folder = Folder::new();
    let log = folder.log();
    log.append(&record(1, "a")).unwrap();
    let path = folder.file("1970-01-01.jsonl");
    let line = fs::read_to_string(&path).unwrap();
    fs::write(&path, line.trim_end()).unwrap();
    assert_eq!(read(&log, "1970-01-01"), (vec![record(1, "a")], 0));
}

#[test]
fn old_days_expire() {
    let folder = Folder::new();
    let log = folder.log();
    let dates = ["2024-02-27", "2024-02-28", "2024-02-29", "2024-03-01", "2024-03-02", "2024-03-03"];
    for date in dates {
        log.append(&record(at(date, 12), "a")).unwrap();
    }
    fs::write(folder.file("2024-02-27.jsonl.new"), "left by a crash").unwrap();
    let now = at("2024-03-02", 0);
    assert_eq!(log.expire(now, u32::MAX).unwrap(), 0);
    assert_eq!(log.expire(now, 4).unwrap(), 0);
    assert_eq!(log.expire(now, 3).unwrap(), 1);
    assert_eq!(log.expire(now, 3).unwrap(), 0);
    assert!(!folder.file("2024-02-27.jsonl.new").exists());
    assert_eq!(log.days().unwrap(), dates[1..].iter().map(|date| day(date)).collect::<Vec<_>>());
    assert_eq!(log.expire(now, 0).unwrap(), 3);
    // A clock that was wrong for a while is no reason to lose what is newest.
    assert_eq!(log.days().unwrap(), [day("2024-03-02"), day("2024-03-03")]);
    assert_eq!(log.expire(i64::MIN, u32::MAX).unwrap(), 0);
    assert_eq!(log.expire(i64::MAX, 0).unwrap(), 2);
}

#[test]
fn what_lies_before_a_border_is_forgotten() {
    let folder = Folder::new();
    let log = folder.log();
    for (date, hour) in [("2024-02-28", 5), ("2024-02-29", 1), ("2024-02-29", 9), ("2024-02-29", 5), ("2024-03-01", 0)]
    {
        log.append(&record(at(date, hour), &format!("{date} {hour}"))).unwrap();
    }
    let path = folder.file("2024-02-29.jsonl");
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"damaged\n").unwrap();
    fs::write(folder.file("2024-02-29.jsonl.new"), "left by a crash").unwrap();

    assert_eq!(log.forget(Some(at("2024-02-28", 0))).unwrap(), 0);
    assert_eq!(log.days().unwrap().len(), 3);
    assert_eq!(log.forget(Some(at("2024-02-29", 5))).unwrap(), 2);
    assert_eq!(log.days().unwrap(), [day("2024-02-29"), day("2024-03-01")]);
    assert_eq!(read(&log, "2024-02-29").1, 0);
    assert_eq!(queries(&log, "2024-02-29"), ["2024-02-29 9", "2024-02-29 5"]);
    assert_eq!(folder.names(), ["2024-02-29.jsonl", "2024-03-01.jsonl"]);
    assert_eq!(folder.mode("2024-02-29.jsonl"), 0o600);

    // Nothing to remove: the file stays the same one, as others may be appending to it.
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let before = inode(&path);
    assert_eq!(log.forget(Some(at("2024-02-29", 5))).unwrap(), 0);
    assert_eq!(inode(&path), before);
    assert_eq!(folder.names(), ["2024-02-29.jsonl", "2024-03-01.jsonl"]);

    assert!(log.append(&record(at("2024-02-29", 3), "late")).unwrap());
    assert_eq!(queries(&log, "2024-02-29"), ["2024-02-29 9", "2024-02-29 5", "late"]);
    assert_eq!(log.forget(Some(at("2024-03-01", 0))).unwrap(), 3);
    assert_eq!(log.days().unwrap(), [day("2024-03-01")]);
}

#[test]
fn everything_can_be_forgotten() {
    let folder = Folder::new();
    let log = folder.log();
    for hour in 0..50 {
        log.append(&record(hour * HOUR, "a")).unwrap();
    }
    fs::write(folder.file("2024-02-29.jsonl"), "damaged\n").unwrap();
    fs::write(folder.file("1970-01-02.jsonl.new"), "left by a crash").unwrap();
    assert_eq!(log.forget(None).unwrap(), 50);
    assert!(folder.names().is_empty());
}

#[test]
fn two_calls_do_not_forget_in_the_same_file() {
    let folder = Folder::new();
    let log = folder.log();
    log.append(&record(0, "a")).unwrap();
    let held = fs::File::open(folder.file("1970-01-01.jsonl")).unwrap();
    held.lock().unwrap();
    assert_eq!(log.forget(None).unwrap_err().kind(), ErrorKind::ResourceBusy);
    assert!(log.append(&record(0, "b")).unwrap());
    drop(held);
    assert_eq!(log.forget(None).unwrap(), 2);
}

#[test]
fn links_and_foreign_names_are_left_alone() {
    let folder = Folder::new();
    let log = folder.log();
    log.append(&record(48 * HOUR, "a")).unwrap();
    fs::write(folder.file("target"), "precious\n").unwrap();
    symlink("target", folder.file("1970-01-01.jsonl")).unwrap();
    symlink("nowhere", folder.file("1970-01-02.jsonl")).unwrap();
    fs::create_dir(folder.file("1970-01-04.jsonl")).unwrap();
    for name in ["1970-02-30.jsonl", "1970-01-01.json", "1970-01-01.jsonl.bak", "x1970-01-01.jsonl"] {
        fs::write(folder.file(name), "precious\n").unwrap();
    }
    let mut names = folder.names();

    for time in [0, 24 * HOUR, 72 * HOUR] {
        let error = log.append(&record(time, "b")).unwrap_err();
        assert!(error.to_string().ends_with("is not a regular file"), "{error}");
        assert!(log.read(Day::of(time).unwrap()).is_err());
    }
    assert_eq!(log.days().unwrap(), [day("1970-01-03")]);
    assert_eq!(log.expire(i64::MAX, 0).unwrap(), 1);
    assert_eq!(log.forget(None).unwrap(), 0);
    names.retain(|name| name != "1970-01-03.jsonl");
    assert_eq!(folder.names(), names);
    assert_eq!(fs::read_to_string(folder.file("target")).unwrap(), "precious\n");
}

#[test]
fn a_pipe_is_refused_without_waiting() {
    let folder = Folder::new();
    fs::create_dir(&folder.0).unwrap();
    let pipe = folder.file("1970-01-01.jsonl");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(folder.log().append(&record(0, "a")).is_err());
    assert!(folder.log().read(day("1970-01-01")).is_err());
    assert_eq!(folder.log().days().unwrap(), []);
}

#[test]
fn appenders_survive_forgetting() {
    let folder = Folder::new();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for number in 0..300 {
                    assert!(folder.log().append(&record(number % 10, "a")).unwrap());
                }
            });
        }
        for border in 0..30 {
            folder.log().forget(Some(border % 10)).unwrap();
            folder.log().expire(24 * HOUR * (border % 2), 0).unwrap();
        }
    });
    folder.log().append(&record(0, "last")).unwrap();
    let (records, skipped) = read(&folder.log(), "1970-01-01");
    assert_eq!((records.last().unwrap().query.as_str(), skipped), ("last", 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_query_comes_back(
        query in prop_oneof![any::<String>(), "(\\PC|[\\x00-\\x7f]){0,200}"],
        times in prop_oneof![Just(1usize), 1..200usize],
        label in any::<String>(),
        confidence in 0f32..=1.0,
        time in at("0000-01-01", 0)..at("9999-12-31", 24),
    ) {
        let folder = Folder::new();
        let log = folder.log();
        let written = Record { label, confidence, ..record(time, &query.repeat(times)) };
        prop_assert!(log.append(&written).unwrap());
        let date = Day::of(time).unwrap().to_string();
        let bytes = fs::metadata(folder.file(&format!("{date}.jsonl"))).unwrap().len() as usize;
        prop_assert!(bytes <= MAX_RECORD);
        let (mut records, skipped) = read(&log, &date);
        prop_assert_eq!((records.len(), skipped), (1, 0));
        let read = records.remove(0);
        prop_assert!(written.query.starts_with(&read.query));
        if read.query.len() < written.query.len() {
            prop_assert!(bytes + 6 > MAX_RECORD);
        }
        prop_assert!((read.confidence - confidence).abs() < 1e-6);
        let expected = Record { query: read.query.clone(), confidence: read.confidence, ..written };
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn lines_of_several_appenders_never_mix(
        queries in prop::collection::vec((any::<String>(), 1..300usize), 2..5),
    ) {
        const EACH: usize = 40;
        let folder = Folder::new();
        std::thread::scope(|scope| {
            for (number, (query, times)) in queries.iter().enumerate() {
                let log = folder.log();
                let record = Record { model: number.to_string(), ..record(0, &query.repeat(*times)) };
                scope.spawn(move || (0..EACH).for_each(|at| {
                    assert!(log.append(&Record { at: at as i64, ..record.clone() }).unwrap());
                }));
            }
        });
        let (records, skipped) = read(&folder.log(), "1970-01-01");
        prop_assert_eq!((records.len(), skipped), (EACH * queries.len(), 0));
        for (number, (query, times)) in queries.iter().enumerate() {
            let own: Vec<_> = records.iter().filter(|record| record.model == number.to_string()).collect();
            prop_assert!(own.iter().map(|record| record.at).eq(0..EACH as i64));
            prop_assert!(own.iter().all(|record| query.repeat(*times).starts_with(&record.query)));
        }
    }
}
