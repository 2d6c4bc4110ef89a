//! The log of sampled queries: JSON lines, one file a day, in a folder of the database server.
//!
//! A file is named `YYYY-MM-DD.jsonl` after the day, in UTC, on which its records were made. Many processes append to
//! it at once and take no lock: a record is one `write` of at most [`MAX_RECORD`] bytes at the end of the file.
//! Whatever else lies in the folder is left alone, and so are symbolic links; the folder itself may be one, as it is
//! the administrator's choice. What is meant to keep others out is the mode of folder and files: queries can be
//! private. While a file is replaced, its successor is named `YYYY-MM-DD.jsonl.new`.
//!
//! A write that did not fit the disk, or a crash of the machine, leaves a torn line behind which the next record begins
//! without a line break. As JSON escapes the quotes within its strings, `{"at":` stands nowhere but where a record
//! begins, so that record is found nonetheless.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The most bytes that a record has in its file, the line break included.
pub const MAX_RECORD: usize = 8 * 1024;

const MICROSECONDS_OF_DAY: i64 = 86_400_000_000;
const SUFFIX: &str = ".jsonl";
/// How a line begins: `at` is the first field of [`Record`].
const BEGIN: &[u8] = br#"{"at":"#;
/// How often a file is opened that another process replaces, makes or removes at the same moment.
const ATTEMPTS: usize = 8;

/// A query and what it was taken for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// When, in microseconds since the Unix epoch; in a year from 0 to 9999.
    pub at: i64,
    /// The query, or its beginning if the record would not fit [`MAX_RECORD`] otherwise.
    pub query: String,
    /// The name of its type.
    pub label: String,
    /// The calibrated probability of the type, from 0 to 1.
    pub confidence: f32,
    /// The code of its language.
    pub language: String,
    /// The model that answered.
    pub model: String,
}

impl Record {
    /// The line of this record with as much of the query as fits, cut between two characters.
    fn line(&self) -> io::Result<Vec<u8>> {
        if !self.confidence.is_finite() {
            return Err(invalid("the confidence is not a finite number"));
        }
        let mut fitting = Self {
            at: self.at,
            query: String::new(),
            label: self.label.clone(),
            confidence: self.confidence,
            language: self.language.clone(),
            model: self.model.clone(),
        };
        let frame = serde_json::to_vec(&fitting)?.len() + 1;
        let room =
            MAX_RECORD.checked_sub(frame).ok_or_else(|| invalid("the record is too long even without its query"))?;
        fitting.query.push_str(cut(&self.query, room));
        let mut line = serde_json::to_vec(&fitting)?;
        line.push(b'\n');
        Ok(line)
    }
}

/// The longest beginning of `text` that has at most `room` bytes within a JSON string.
fn cut(text: &str, room: usize) -> &str {
    let mut used = 0;
    for (start, letter) in text.char_indices() {
        used += match letter {
            '"' | '\\' | '\u{8}' | '\u{c}' | '\n' | '\r' | '\t' => 2,
            '\0'..' ' => 6,
            _ => letter.len_utf8(),
        };
        if used > room {
            return &text[..start];
        }
    }
    text
}

/// A day of the Gregorian calendar in UTC, in a year from 0 to 9999; shown as `YYYY-MM-DD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64); // since 1970-01-01

impl Day {
    /// The day of a time in microseconds since the Unix epoch; none outside the years 0 to 9999.
    #[must_use]
    pub fn of(at: i64) -> Option<Self> {
        let day = Self(day_number(at));
        (0..=9999).contains(&day.date().0).then_some(day)
    }

    /// Reads `YYYY-MM-DD`, and nothing else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-').map(|part| part.parse().ok());
        let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
        let day = Self(days_from_civil(year, month, day));
        // The 30th of February and the like come out as another day.
        (text.len() == 10 && day.to_string() == text).then_some(day)
    }

    /// When it begins, in microseconds since the Unix epoch.
    #[must_use]
    pub fn start(self) -> i64 {
        self.0 * MICROSECONDS_OF_DAY
    }

    /// Year, month from 1, day of the month from 1. After `civil_from_days` in Howard Hinnant, "chrono-Compatible
    /// Low-Level Date Algorithms", as is [`days_from_civil`].
    fn date(self) -> (i64, i64, i64) {
        // Years begin in March, so that the leap day is the last of its year; eras have 400 years.
        let days = self.0 + 719_468;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        (year_of_era + 400 * era + i64::from(month <= 2), month, day)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

fn day_number(at: i64) -> i64 {
    at.div_euclid(MICROSECONDS_OF_DAY)
}

/// The days from 1970-01-01 to a date.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The log in a folder. It holds no file open and keeps nothing from one call to the next.
#[derive(Debug, Clone)]
pub struct QueryLog {
    folder: PathBuf,
    most_bytes: u64,
}

impl QueryLog {
    /// The log in `folder`, which need not exist, with at most `most_bytes` bytes a day.
    #[must_use]
    pub fn new(folder: PathBuf, most_bytes: u64) -> Self {
        Self { folder, most_bytes }
    }

    /// Adds a record to the file of its day; false if it is left out, as the file would grow beyond its bound.
    /// Processes that append at the same moment can each exceed the bound by one record.
    ///
    /// The file is made with mode 0600, and the folder with 0700, but not the folder's parent.
    ///
    /// # Errors
    /// Those of the file system. Also when what has the file's name is a symbolic link or otherwise no regular file,
    /// and [`InvalidInput`](ErrorKind::InvalidInput) when the record is of a year outside 0 to 9999, has a confidence
    /// that is not finite, or is too long even without its query.
    pub fn append(&self, record: &Record) -> io::Result<bool> {
        let day = Day::of(record.at).ok_or_else(|| invalid("the time is not in a year from 0 to 9999"))?;
        let line = record.line()?;
        if line.len() as u64 > self.most_bytes {
            return Ok(false);
        }
        let mut file = self.open_or_create(day)?;
        if file.metadata()?.len() > self.most_bytes - line.len() as u64 {
            return Ok(false);
        }
        // Not `write_all`: another process could write between its parts.
        let written = loop {
            match file.write(&line) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        if written < line.len() {
            return Err(io::Error::new(ErrorKind::WriteZero, "only a part of the record could be written"));
        }
        Ok(true)
    }

    /// The days that have a file, in ascending order. A folder that does not exist has none.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn days(&self) -> io::Result<Vec<Day>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut days = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(day) = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)).and_then(Day::parse) else {
                continue;
            };
            match entry.file_type() {
                Ok(kind) if kind.is_file() => days.push(day),
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        days.sort_unstable();
        Ok(days)
    }

    /// The records of a day in the order in which they were appended, read as they are asked for.
    ///
    /// # Errors
    /// Those of the file system, [`NotFound`](ErrorKind::NotFound) if the day has no file; also when what has the
    /// file's name is a symbolic link or otherwise no regular file.
    pub fn read(&self, day: Day) -> io::Result<Records> {
        Ok(Records::new(open_regular(&self.path(day), OpenOptions::new().read(true))?))
    }

    /// Removes the files of days more than `keep_days` days before that of `now`, in microseconds since the Unix epoch,
    /// and gives their number. With 0 the day of `now` stays, and so do, always, days that are yet to come.
    ///
    /// # Errors
    /// Those of the file system; files removed by then stay removed.
    pub fn expire(&self, now: i64, keep_days: u32) -> io::Result<usize> {
        let oldest = day_number(now) - i64::from(keep_days);
        let mut count = 0;
        for day in self.days()?.into_iter().take_while(|day| day.0 < oldest) {
            count += usize::from(self.remove(day)?);
        }
        Ok(count)
    }

    /// Removes what was recorded before a time in microseconds since the Unix epoch, or everything, and gives the
    /// number of records removed.
    ///
    /// A file of which nothing is kept is removed, one that holds records from both sides of the border is replaced by
    /// a new one. Damaged lines in such a file go as well, as they may be from before the border. Records that other
    /// processes append to a file while it is read and replaced or removed may be lost, whatever their time.
    ///
    /// # Errors
    /// Those of the file system, and [`ResourceBusy`](ErrorKind::ResourceBusy) if another process is replacing the same
    /// file; what was removed by then stays removed.
    pub fn forget(&self, before: Option<i64>) -> io::Result<u64> {
        let mut count = 0;
        let days = self.days()?;
        for &day in days.iter().filter(|day| before.is_none_or(|before| day.start() < before)) {
            count += match self.forget_of_day(day, before) {
                Err(error) if error.kind() == ErrorKind::NotFound => 0,
                result => result?,
            };
        }
        if !days.is_empty() {
            // What was forgotten must not come back after a crash of the machine.
            File::open(&self.folder)?.sync_all()?;
        }
        Ok(count)
    }

    fn forget_of_day(&self, day: Day, before: Option<i64>) -> io::Result<u64> {
        let path = self.path(day);
        let file = open_regular(&path, OpenOptions::new().read(true).append(true))?;
        // Not against those that append, but against a second call, which could bring back what this one removes.
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => busy(&path),
            TryLockError::Error(error) => error,
        })?;
        if !same(&fs::symlink_metadata(&path)?, &file.metadata()?) {
            return Err(busy(&path));
        }
        let new_path = self.new_path(day);
        // One that a crash has left.
        remove_if_there(&new_path)?;
        // The lock lasts as long as these are there.
        let mut records = Records::new(file);
        self.replace(day, &mut records, before).inspect_err(|_| {
            // The first error is the one to report; a later call removes the file if this one cannot.
            let _ = fs::remove_file(&new_path);
        })
    }

    /// Removes or replaces the file of `day`, of which `records` has read nothing yet.
    fn replace(&self, day: Day, records: &mut Records, before: Option<i64>) -> io::Result<u64> {
        let new_path = self.new_path(day);
        let mut new_file = None;
        let mut count = 0;
        for record in &mut *records {
            let record = record?;
            if before.is_none_or(|before| record.at < before) {
                count += 1;
                continue;
            }
            let file = match &mut new_file {
                Some(file) => file,
                none => none.insert(BufWriter::new(create(&new_path)?)),
            };
            serde_json::to_writer(&mut *file, &record)?;
            file.write_all(b"\n")?;
        }
        match new_file {
            None => {
                self.remove(day)?;
            }
            Some(_) if count == 0 && records.skipped() == 0 => fs::remove_file(new_path)?,
            Some(file) => {
                file.into_inner()?.sync_all()?;
                fs::rename(new_path, self.path(day))?;
            }
        }
        Ok(count)
    }

    /// Removes the file of a day and what a crash may have left of its replacement; false if there was no file.
    fn remove(&self, day: Day) -> io::Result<bool> {
        // In this order: without its file, nobody would find what is left.
        remove_if_there(&self.new_path(day))?;
        remove_if_there(&self.path(day))
    }

    fn path(&self, day: Day) -> PathBuf {
        self.folder.join(format!("{day}{SUFFIX}"))
    }

    /// Where the replacement of a file is written.
    fn new_path(&self, day: Day) -> PathBuf {
        self.folder.join(format!("{day}{SUFFIX}.new"))
    }

    /// The file of a day, to append to.
    fn open_or_create(&self, day: Day) -> io::Result<File> {
        let path = self.path(day);
        for _ in 0..ATTEMPTS {
            match open_regular(&path, OpenOptions::new().append(true)) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                result => return result,
            }
            match DirBuilder::new().mode(0o700).create(&self.folder) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            match create(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                result => return result,
            }
        }
        Err(busy(&path))
    }
}

/// The records of a day, from [`QueryLog::read`]. After an error there are no more.
#[derive(Debug)]
pub struct Records {
    file: Option<BufReader<File>>,
    line: Vec<u8>,
    skipped: u64,
}

impl Records {
    fn new(file: File) -> Self {
        Self { file: Some(BufReader::new(file)), line: Vec::new(), skipped: 0 }
    }

    /// How many lines so far were not a record and nothing else. The last line can be one that is just being written.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Reads the next line, or the end of a line that is too long for a record; false at the end of the file.
    fn next_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        let Some(file) = &mut self.file else {
            return Ok(false);
        };
        loop {
            let count = file.take(MAX_RECORD as u64).read_until(b'\n', &mut self.line)?;
            if count == 0 || self.line.ends_with(b"\n") {
                return Ok(!self.line.is_empty());
            }
            // No more than a whole record can be at the end of the line.
            self.line.drain(..self.line.len().saturating_sub(MAX_RECORD));
        }
    }

    fn parse_line(&mut self) -> Option<Record> {
        if let Ok(record) = serde_json::from_slice(&self.line) {
            return Some(record);
        }
        self.skipped += 1;
        let start = self.line.windows(BEGIN.len()).rposition(|bytes| bytes == BEGIN)?;
        serde_json::from_slice(&self.line[start..]).ok()
    }
}

impl Iterator for Records {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.next_line() {
                Ok(true) => {
                    if let Some(record) = self.parse_line() {
                        return Some(Ok(record));
                    }
                }
                Ok(false) => return None,
                Err(error) => {
                    self.file = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// Opens a file that exists and is a regular one.
///
/// It is looked at before, as to open a pipe would wait for its other end, and compared after, as its name may have
/// become a link in between.
fn open_regular(path: &Path, options: &OpenOptions) -> io::Result<File> {
    for _ in 0..ATTEMPTS {
        let expected = fs::symlink_metadata(path)?;
        if !expected.is_file() {
            return Err(io::Error::other(format!("\"{}\" is not a regular file", path.display())));
        }
        let file = options.open(path)?;
        if same(&expected, &file.metadata()?) {
            return Ok(file);
        }
    }
    Err(busy(path))
}

/// Makes a file, to be written at its end; no link is followed.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)
}

fn remove_if_there(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        result => result.map(|()| true),
    }
}

fn same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

fn busy(path: &Path) -> io::Error {
    io::Error::new(ErrorKind::ResourceBusy, format!("another process is replacing \"{}\"", path.display()))
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, reason)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(date: &str) -> Option<i64> {
        Day::parse(date).map(|day| day.0)
    }

    #[test]
    fn dates_and_days_agree() {
        for (date, number) in [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("1972-02-29", 789),
            ("2000-02-29", 11_016),
            ("2000-03-01", 11_017),
            ("2024-02-29", 19_782),
            ("2024-12-31", 20_088),
            ("2100-02-28", 47_540),
            ("2100-03-01", 47_541),
            ("0000-01-01", -719_528),
            ("9999-12-31", 2_932_896),
        ] {
            assert_eq!(at(date), Some(number), "{date}");
            assert_eq!(Day(number).to_string(), date);
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "2024",
            "2023-02-29",
            "2100-02-29",
            "2024-02-30",
            "2024-04-31",
            "2024-00-10",
            "2024-13-01",
            "2024-01-00",
            "2024-1-001",
            "+024-01-01",
            "-001-01-01",
            "12024-01-1",
            "2024-01-01 ",
            "2024-01-01-",
            "2024/01/01",
            "２０２４-01-01",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight() {
        let leap_day = Day::parse("2024-02-29");
        assert_eq!(Day::of(1_709_164_800_000_000), leap_day);
        assert_eq!(Day::of(1_709_251_199_999_999), leap_day);
        assert_eq!(Day::of(1_709_251_200_000_000), Day::parse("2024-03-01"));
        assert_eq!(leap_day.unwrap().start(), 1_709_164_800_000_000);
        assert_eq!(Day::of(-1), Day::parse("1969-12-31"));
        assert_eq!((Day::of(i64::MIN), Day::of(i64::MAX)), (None, None));
        let last = Day::parse("9999-12-31").unwrap().start() + MICROSECONDS_OF_DAY;
        assert!(Day::of(last - 1).is_some() && Day::of(last).is_none());
    }

    proptest! {
        #[test]
        fn dates_follow_each_other(number in -719_528..2_932_896i64) {
            let (day, next) = (Day(number), Day(number + 1));
            prop_assert_eq!(Day::parse(&day.to_string()), Some(day));
            prop_assert_eq!(Day::of(day.start()), Some(day));
            prop_assert_eq!(Day::of(next.start() - 1), Some(day));
            prop_assert!(day.to_string() < next.to_string());
        }

        #[test]
        fn a_cut_is_as_long_as_fits(text in "(\\PC|[\\x00-\\x7f]){0,60}", room in 0..100usize) {
            let bytes_of = |text: &str| serde_json::to_string(text).unwrap().len() - 2;
            let short = cut(&text, room);
            prop_assert!(text.starts_with(short) && bytes_of(short) <= room);
            if let Some(next) = text[short.len()..].chars().next() {
                let longer = format!("{short}{next}");
                prop_assert!(bytes_of(&longer) > room);
            }
        }
    }
}
