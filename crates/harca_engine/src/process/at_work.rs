//! What the engine is about to run or load, in a file that outlives it: so that whoever starts it again knows what may have
//! brought it down.
//!
//! The file has places of 33 bytes, one of the loader and one of each runner: a byte that is 1 while something is at work, and
//! the digest of the model. A write into the page cache costs a microsecond, and is there however the process ends.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use harca_core::protocol::digest::Digest;
use harca_core::protocol::settings::AT_WORK_BYTES as BYTES;

/// Who is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The loader.
    Load,
    /// The runner of this number.
    Run(usize),
}

impl Place {
    /// Where it stands in the file.
    fn offset(self) -> u64 {
        let place = match self {
            Self::Load => 0,
            Self::Run(runner) => 1 + runner,
        };
        (place * BYTES) as u64
    }
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
        Ok(Self { file })
    }

    /// Says that something begins.
    pub fn begin(&self, place: Place, model: Digest) {
        let mut bytes = [1; BYTES];
        bytes[1..].copy_from_slice(&model.0);
        // Where it cannot be written, a crash is not laid at the model's door.
        let _ = self.file.write_all_at(&bytes, place.offset());
    }

    /// Says that it is over.
    pub fn end(&self, place: Place) {
        let _ = self.file.write_all_at(&[0], place.offset());
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
        work.begin(Place::Run(2), Digest([7; 32]));
        assert_eq!(found(), [Digest([7; 32])]);
        work.begin(Place::Load, Digest([8; 32]));
        assert_eq!(found(), [Digest([8; 32]), Digest([7; 32])]);
        work.end(Place::Run(2));
        assert_eq!(found(), [Digest([8; 32])]);
        work.begin(Place::Run(0), Digest([9; 32]));
        assert_eq!(found(), [Digest([8; 32]), Digest([9; 32])]);
    }
}
