//! Any text gives feature ids within their bounds, the same ones twice; rules and language never panic.
#![no_main]

use harca_core::encode::{ENCODER_ID, Encoder};
use harca_core::manifest::EncoderSpec;
use harca_core::{language, rules};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let spec = EncoderSpec { id: ENCODER_ID.into(), buckets: 1024, max_features: 128, max_chars: 200 };
    let encoder = Encoder::new(&spec).unwrap();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    encoder.encode(text, &mut first);
    encoder.encode(text, &mut second);
    assert_eq!(first, second);
    assert!((1..=128).contains(&first.len()));
    assert!(first.iter().all(|id| (1..=1024).contains(id)));
    let answer = rules::classify(text);
    assert_eq!(answer.language, language::detect(text));
});
