//! A file that is taken for a network runs; no file makes the reader panic.
#![no_main]

use harca_core::model::manifest::TOKEN_IDS;
use harca_core::model::network::Network;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    if let Some(mut network) = Network::read(file.to_vec().into()) {
        let mut logits = Vec::new();
        network.run(&[0, 0], &[0; TOKEN_IDS], 1, &mut logits).expect("every table knows id 0");
        assert_eq!(logits.len(), network.labels());
        // Whether the tables have these ids or not.
        let _ = network.run(&[1, 9_000], &[1, 500, 20_000], 1, &mut logits);
    }
});
