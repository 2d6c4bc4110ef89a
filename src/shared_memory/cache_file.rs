//! The warm restart: the shared cache in a file of the data folder (L3).
//!
//! The file holds hashes and answers, no texts, and the secret that the hashes were made with: it is readable by the
//! server alone. A file that this version has not written, whole and unaltered, is discarded.

use harca_core::cache::dump::{self, Dump};
use harca_core::cache::shared::{SharedCache, Stored};

use super::kept_file::KeptFile;
use crate::settings;

const FILE: KeptFile = KeptFile { name: "pg_harca.cache", what: "cache", without: "the cache begins empty" };

/// A dump takes 64 bytes an entry.
const MAX_BYTES: u64 = 64 * (settings::MAX_CACHE_SIZE as u64 + 2);

/// The file that a former run has left, if there is one.
pub fn read() -> Option<Vec<u8>> {
    if settings::cache_size() == 0 { None } else { FILE.read(MAX_BYTES) }
}

/// The dump in `file`, if it is one of this version.
pub fn check(file: &[u8]) -> Option<Dump<'_>> {
    dump::read(file).inspect_err(|error| FILE.discard(&error.to_string())).ok()
}

/// Puts the entries of a dump into the cache, and gives how many are in it then: in a smaller one they make room for each
/// other.
pub fn restore(dump: Dump<'_>, cache: SharedCache<'_>) -> u64 {
    let mut restorer = cache.restorer();
    dump.entries().map(|entry| u64::from(restorer.restore(&entry) == Stored::Inserted)).sum()
}

/// Writes the cache; whether that was possible.
pub fn write(secret: u64, cache: SharedCache<'_>) -> bool {
    FILE.write(|file| dump::write(file, secret, cache.entries()).map(|_| ()))
}
