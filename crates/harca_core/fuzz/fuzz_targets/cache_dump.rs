//! Any bytes are refused with one line, or are read and would be written in the same way; so are any entries under a
//! right header and checksum.
#![no_main]

use harca_core::cache::dump;
use libfuzzer_sys::fuzz_target;
use xxhash_rust::xxh3::xxh3_128;

const HEADER_BYTES: usize = 40;
const ENTRY_BYTES: usize = 64;

fn check(file: &[u8]) {
    match dump::read(file) {
        Ok(dump) => {
            let mut again = Vec::new();
            let count = dump::write(&mut again, dump.secret(), dump.entries()).unwrap();
            assert_eq!(count, dump.entry_count() as u64);
            assert_eq!(again, file);
        }
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
}

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    let mut file = Vec::new();
    dump::write(&mut file, 1, []).unwrap();
    file.truncate(HEADER_BYTES);
    file.extend_from_slice(bytes);
    file.extend_from_slice(&((bytes.len() / ENTRY_BYTES) as u64).to_le_bytes());
    file.extend_from_slice(&xxh3_128(&file).to_le_bytes());
    check(&file);
});
