//! A file of the data folder that carries what is shared over a restart: read when the server starts, written while it runs
//! and when it stops, and removed with one line in the log when it cannot be used.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};

/// Such a file, and what the log says of it.
pub struct KeptFile {
    /// Relative to the data folder, which is the working folder of every server process.
    pub name: &'static str,
    /// What it is of, as a sentence begins.
    pub what: &'static str,
    /// How what it is of begins without it.
    pub without: &'static str,
}

impl KeptFile {
    /// What a former run has left, if there is anything of at most so many bytes.
    pub fn read(&self, most_bytes: u64) -> Option<Vec<u8>> {
        let read = || {
            let metadata = fs::metadata(self.name)?;
            // A named pipe would wait for its other end.
            if !metadata.is_file() || metadata.len() > most_bytes {
                return Err(io::Error::other("it is not a regular file of a fitting size"));
            }
            fs::read(self.name)
        };
        match read() {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                self.discard(&error.to_string());
                None
            }
        }
    }

    /// Has a file of another name written, and gives it the right one when it is complete; with one line in the log where
    /// that fails. Whether it is written: if not, the former one is still there.
    pub fn write(&self, content: impl FnOnce(&mut File) -> io::Result<()>) -> bool {
        // In the same folder, so that it can be renamed.
        let unfinished = format!("{}.tmp", self.name);
        let write = || {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
            content(&mut file)?;
            file.sync_all()?;
            fs::rename(&unfinished, self.name)
        };
        let report = |error: &io::Error| {
            ErrorReport::new(
                PgSqlErrorCode::ERRCODE_IO_ERROR,
                format!("{} could not be written to a file", self.what),
                "",
            )
            .set_detail(format!("File \"{}\" of the data folder: {error}.", self.name))
            .set_hint(format!("After a restart what was last written counts, or {}.", self.without))
            .report(PgLogLevel::LOG);
        };
        write().inspect_err(report).is_ok()
    }

    /// Removes what cannot be used.
    pub fn discard(&self, reason: &str) {
        let Self { name, what, without, .. } = self;
        let gone = if Path::new(name).is_dir() { fs::remove_dir(name) } else { fs::remove_file(name) };
        let more = match gone {
            Ok(()) => "Nothing else is lost.",
            Err(_) => "Remove the file, which the server cannot.",
        };
        ErrorReport::new(PgSqlErrorCode::ERRCODE_DATA_CORRUPTED, format!("file of the {what} is discarded"), "")
            .set_detail(format!("File \"{name}\" of the data folder: {reason}."))
            .set_hint(format!("Without it {without}. {more}"))
            .report(PgLogLevel::LOG);
    }
}
