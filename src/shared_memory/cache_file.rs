//! The warm restart: the shared cache in a file of the data folder (L3), read when the server starts, written while it
//! runs and when it stops.
//!
//! The file holds hashes and answers, no texts, and the secret that the hashes were made with: it is readable by the
//! server alone. A file that this version has not written, whole and unaltered, is removed with one line in the log.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use harca_core::cache::dump::{self, Dump};
use harca_core::cache::shared::{SharedCache, Stored};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};

use crate::settings;

/// Relative to the data folder, which is the working folder of every server process.
const FILE: &str = "pg_harca.cache";

/// In the same folder, so that it can be renamed to [`FILE`].
const UNFINISHED_FILE: &str = "pg_harca.cache.tmp";

/// A dump takes 64 bytes an entry.
const MAX_BYTES: u64 = 64 * (settings::MAX_CACHE_SIZE as u64 + 2);

/// The file that a former run has left, if there is one.
pub fn read() -> Option<Vec<u8>> {
    if settings::cache_size() == 0 {
        return None;
    }
    let read = || {
        let metadata = fs::metadata(FILE)?;
        // A named pipe would wait for its other end.
        if !metadata.is_file() || metadata.len() > MAX_BYTES {
            return Err(io::Error::other("it is not a regular file of a fitting size"));
        }
        fs::read(FILE)
    };
    match read() {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            discard(&error.to_string());
            None
        }
    }
}

/// The dump in `file`, if it is one of this version.
pub fn check(file: &[u8]) -> Option<Dump<'_>> {
    dump::read(file).inspect_err(|error| discard(&error.to_string())).ok()
}

/// Puts the entries of a dump into the cache, and gives how many are in it then: in a smaller one they make room for each
/// other.
pub fn restore(dump: Dump<'_>, cache: SharedCache<'_>) -> u64 {
    let mut restorer = cache.restorer();
    dump.entries().map(|entry| u64::from(restorer.restore(&entry) == Stored::Inserted)).sum()
}

/// Writes the cache to a file of another name, and gives it the right one when it is complete.
///
/// # Errors
/// Those of the file system; the former dump is still there then.
fn write(secret: u64, cache: SharedCache<'_>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(UNFINISHED_FILE)?;
    dump::write(&mut file, secret, cache.entries())?;
    file.sync_all()?;
    fs::rename(UNFINISHED_FILE, FILE)
}

/// [`write`], with one line in the log instead of an error; whether it is written.
pub fn try_write(secret: u64, cache: SharedCache<'_>) -> bool {
    write(secret, cache).inspect_err(report).is_ok()
}

fn report(error: &io::Error) {
    ErrorReport::new(PgSqlErrorCode::ERRCODE_IO_ERROR, "cache could not be written to its file", "")
        .set_detail(format!("File \"{FILE}\" of the data folder: {error}."))
        .set_hint("After a restart the cache begins with the last dump, or empty.")
        .report(PgLogLevel::LOG);
}

fn discard(reason: &str) {
    let gone = if Path::new(FILE).is_dir() { fs::remove_dir(FILE) } else { fs::remove_file(FILE) };
    ErrorReport::new(PgSqlErrorCode::ERRCODE_DATA_CORRUPTED, "cache dump is discarded", "")
        .set_detail(format!("File \"{FILE}\" of the data folder: {reason}."))
        .set_hint(match gone {
            Ok(()) => "The cache begins empty. Nothing else is lost.",
            Err(_) => "The cache begins empty. Remove the file, which the server cannot.",
        })
        .report(PgLogLevel::LOG);
}
