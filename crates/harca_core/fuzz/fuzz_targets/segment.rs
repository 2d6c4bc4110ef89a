//! Any text is cut into slices of its folded form, in order, and at least every two bytes bring one unit at most.
#![no_main]

use harca_core::text::segment;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let folded = segment::fold(text);
    let mut last = 0;
    let mut count = 0;
    for unit in segment::units(&folded) {
        assert!(unit.start >= last && unit.end > unit.start);
        assert!(folded.get(unit.start..unit.end).is_some());
        last = unit.start;
        count += 1;
    }
    assert!(count <= 2 * folded.len());
});
