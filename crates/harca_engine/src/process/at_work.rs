//! What the engine is about to run or load, in a file that outlives it: so that whoever starts it again knows what may have
//! brought it down.
//!
//! The file has places of 33 bytes, one for each run or load that goes on: a byte that is 1 meanwhile, and the digest of the model.
//! A write into the page cache costs a microsecond, and is there however the process ends.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire},
};

use harca_core::protocol::digest::Digest;
use harca_core::protocol::settings::AT_WORK_BYTES as BYTES;

/// The file.
pub struct AtWork {
    file: File,
    /// A bit for each of its places that is taken.
    taken: AtomicU64,
}

/// Something that goes on until this is dropped.
#[must_use]
pub struct Work<'a> {
    at_work: &'a AtWork,
    /// Where it stands; nowhere if all places were taken.
    place: Option<u32>,
}

impl AtWork {
    /// Opens the file, and empties it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
        Ok(Self { file, taken: AtomicU64::new(0) })
    }

    /// Says that something begins.
    pub fn begin(&self, model: Digest) -> Work<'_> {
        let place = self.take();
        if let Some(place) = place {
            let mut bytes = [1; BYTES];
            bytes[1..].copy_from_slice(&model.0);
            // Where it cannot be written, a crash is not laid at the model's door.
            let _ = self.file.write_all_at(&bytes, offset(place));
        }
        Work { at_work: self, place }
    }

    /// A place that nothing else has until its bit is cleared.
    fn take(&self) -> Option<u32> {
        let first_free = |taken: u64| taken.checked_add(1).map(|_| taken | (taken + 1));
        let before = self.taken.fetch_update(AcqRel, Acquire, first_free).ok()?;
        Some(before.trailing_ones())
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let _ = self.at_work.file.write_all_at(&[0], offset(place));
            self.at_work.taken.fetch_and(!(1 << place), AcqRel);
        }
    }
}

/// Where a place begins.
fn offset(place: u32) -> u64 {
    u64::from(place) * BYTES as u64
}

#[cfg(test)]
mod tests {
    use harca_core::protocol::settings::at_work;

    use super::*;

    #[test]
    fn what_is_at_work_can_be_read_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("at_work");
        let at = AtWork::open(&path).unwrap();
        let found = || at_work(&std::fs::read(&path).unwrap());
        assert_eq!(found(), []);
        let first = at.begin(Digest([7; 32]));
        assert_eq!(found(), [Digest([7; 32])]);
        let second = at.begin(Digest([8; 32]));
        assert_eq!(found(), [Digest([7; 32]), Digest([8; 32])]);
        drop(first);
        assert_eq!(found(), [Digest([8; 32])]);
        let third = at.begin(Digest([9; 32]));
        assert_eq!(found(), [Digest([9; 32]), Digest([8; 32])]);
        drop((second, third));
        assert_eq!(found(), []);
    }

    #[test]
    fn what_finds_no_place_takes_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("at_work");
        let at = AtWork::open(&path).unwrap();
        let works: Vec<Work<'_>> = (0..70).map(|n| at.begin(Digest([n; 32]))).collect();
        let found = at_work(&std::fs::read(&path).unwrap());
        assert_eq!(found, (0..64).map(|n| Digest([n; 32])).collect::<Vec<_>>());
        drop(works);
        assert_eq!(at_work(&std::fs::read(&path).unwrap()), []);
    }
}
