//! What the engine is about to run or load, in a file that outlives it: so that whoever starts it again knows what brought it
//! down.
//!
//! The file has two places of 33 bytes, one of the runner and one of the loader: a byte that is 1 while something is at work,
//! and the digest of the model. A write into the page cache costs a microsecond, and is there however the process ends.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use harca_core::protocol::digest::Digest;
use harca_core::protocol::settings::AT_WORK_BYTES as BYTES;

/// Who is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The runner.
    Run,
    /// The loader.
    Load,
}

/// The file.
pub struct AtWork {
    file: File,
}

impl AtWork {
    /// Opens the file, and empties it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
        file.write_all_at(&[0; 2 * BYTES], 0)?;
        Ok(Self { file })
    }

    /// Says that something begins.
    pub fn begin(&self, place: Place, model: Digest) {
        let mut bytes = [1; BYTES];
        bytes[1..].copy_from_slice(&model.0);
        // Where it cannot be written, a crash is not laid at the model's door.
        let _ = self.file.write_all_at(&bytes, place as u64 * BYTES as u64);
    }

    /// Says that it is over.
    pub fn end(&self, place: Place) {
        let _ = self.file.write_all_at(&[0], place as u64 * BYTES as u64);
    }
}

#[cfg(test)]
mod tests {
    use harca_core::protocol::settings::at_work;

    use super::*;

    #[test]
    fn what_is_at_work_can_be_read_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("at_work");
        let work = AtWork::open(&path).unwrap();
        let found = || at_work(&std::fs::read(&path).unwrap());
        assert_eq!(found(), []);
        work.begin(Place::Run, Digest([7; 32]));
        work.begin(Place::Load, Digest([8; 32]));
        assert_eq!(found(), [Digest([7; 32]), Digest([8; 32])]);
        work.end(Place::Run);
        assert_eq!(found(), [Digest([8; 32])]);
    }
}
