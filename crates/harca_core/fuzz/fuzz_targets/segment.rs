//! Any text is cut into units that are not empty, and a byte of it brings four of them at most.
#![no_main]

use harca_core::text::segment;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let folded = segment::fold(text);
    let mut count = 0;
    for unit in segment::units(&folded) {
        assert!(!unit.text.of(&folded).is_empty());
        count += 1;
    }
    assert!(count <= 4 * folded.as_str().len());
    let _ = segment::without_particles(text);
});
