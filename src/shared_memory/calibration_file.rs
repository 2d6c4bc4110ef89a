//! What searches have told of their tables, in a file of the data folder.
//!
//! Of queries it holds nothing, and of tables means and a hash.

use std::io::Write;

use harca_core::search::calibration::saved;
use harca_core::search::calibration::shared::Slots;

use super::kept_file::KeptFile;

const FILE: KeptFile = KeptFile {
    name: "pg_harca.calibrations",
    what: "calibrations",
    without: "search targets begin anew to learn from their searches",
};

/// More than that is none.
const MAX_BYTES: u64 = 1 << 20;

/// Takes in what a former run has left; the memory is new.
pub fn restore(slots: Slots<'_>) {
    let Some(file) = FILE.read(MAX_BYTES) else { return };
    match saved::read(&file) {
        Ok(tables) => slots.restore(tables),
        Err(error) => FILE.discard(&error.to_string()),
    }
}

/// Writes them; whether that was possible.
pub fn write(slots: Slots<'_>) -> bool {
    FILE.write(|file| file.write_all(&saved::write(slots.entries())))
}
