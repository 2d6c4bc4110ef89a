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

mod day;
mod record;
mod regular_file;

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

pub use day::Day;
use day::day_number;
use record::invalid;
pub use record::{MAX_RECORD, Record, Records};
use regular_file::{ATTEMPTS, busy, create, open_regular, remove_if_there, same};

const SUFFIX: &str = ".jsonl";

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
