//! A manifest that is read keeps its promises; any other text is an error of one line.
#![no_main]

use harca_core::model::manifest::{MAX_LABELS, Manifest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &str| match Manifest::parse(json) {
    Ok(manifest) => {
        assert!((2..=MAX_LABELS).contains(&manifest.labels.len()));
        assert!(!manifest.file.contains('/'));
    }
    Err(error) => assert!(!error.to_string().contains('\n')),
});
