//! Files that are opened, made and removed by name where other processes do the same, and where no link is followed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// How often a file is opened that another process replaces, makes or removes at the same moment.
pub(super) const ATTEMPTS: usize = 8;

/// Opens a file that exists and is a regular one.
///
/// It is looked at before, as to open a pipe would wait for its other end, and compared after, as its name may have
/// become a link in between.
pub(super) fn open_regular(path: &Path, options: &OpenOptions) -> io::Result<File> {
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
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)
}

/// Removes a file; false if there was none.
pub(super) fn remove_if_there(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        result => result.map(|()| true),
    }
}

/// Whether two names are of one file.
pub(super) fn same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// The error for a file that another process is replacing.
pub(super) fn busy(path: &Path) -> io::Error {
    io::Error::new(ErrorKind::ResourceBusy, format!("another process is replacing \"{}\"", path.display()))
}
