//! No file makes the check of a graph panic, run away, or let a file pass that it has no figures for.
#![no_main]

use harca_core::model::graph_check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    if let Ok(facts) = graph_check::check(file.to_vec().into()) {
        assert!((7..=23).contains(&facts.opset));
        assert!(facts.operators <= file.len());
    }
});
