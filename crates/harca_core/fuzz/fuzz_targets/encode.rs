//! Any text gives feature ids and tokens within their bounds, the same ones twice, and a word for each token; rules and
//! language never panic.
#![no_main]

use harca_core::classify::encode::{ENCODER_ID, Encoded, Encoder};
use harca_core::classify::rules;
use harca_core::model::manifest::{EncoderSpec, TOKEN_IDS, TokenSpec};
use harca_core::text::language;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let tokens = Some(TokenSpec { buckets: 2048, max_tokens: 48 });
    let spec = EncoderSpec { id: ENCODER_ID.into(), buckets: 1024, max_features: 128, max_chars: 200, tokens };
    let encoder = Encoder::new(&spec).unwrap();
    let (mut first, mut second, mut words) = (Encoded::default(), Encoded::default(), Vec::new());
    encoder.encode(text, &mut first);
    encoder.words(text, &mut words);
    encoder.encode(text, &mut second);
    assert_eq!(first, second);
    assert!((1..=128).contains(&first.features.len()));
    assert!(first.features.iter().all(|id| (1..=1024).contains(id)));
    assert!((1..=48).contains(&words.len()));
    assert_eq!(first.tokens.len(), TOKEN_IDS * words.len());
    assert!(first.tokens.iter().all(|id| (0..=2048).contains(id)));
    let answer = rules::classify(text);
    assert_eq!(answer.language, language::detect(text));
});
