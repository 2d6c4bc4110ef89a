//! Any bytes are refused with one line, or are read and written in a way that is read the same again; so is any text under a
//! right checksum.
#![no_main]

use harca_core::search::calibration::saved;
use libfuzzer_sys::fuzz_target;
use xxhash_rust::xxh3::xxh3_64;

fn check(file: &[u8]) {
    match saved::read(file) {
        Ok(tables) => assert_eq!(saved::read(&saved::write(tables.iter().copied())), Ok(tables)),
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
}

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    let whole = saved::write(std::iter::empty());
    let name = whole.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut file = name[..name.len() - 16].to_vec();
    file.extend_from_slice(format!("{:016x}\n", xxh3_64(bytes)).as_bytes());
    file.extend_from_slice(bytes);
    file.push(b'\n');
    check(&file);
});
