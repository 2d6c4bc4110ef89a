//! A graph that reads tokens beside the features: what it is given, alone and padded in a batch, and when it is refused.
//!
//! `data/two_inputs.onnx` counts the features and the words of a text; of token ids it knows those up to 256. It is
//! `onnx.parser.parse_model` of this text, serialized:
//!
//! ```text
//! <ir_version: 8, opset_import: ["" : 17]>
//! two_inputs (int32[batch,features] features, int32[batch,length,3] tokens) => (float[batch,2] logits)
//! <int64[1] axis = {1}, int64[1] rows = {257}, int64 word = {0}>
//! {
//!     features_present = Sign (features)
//!     feature_ones = Cast <to: int = 1> (features_present)
//!     feature_count = ReduceSum (feature_ones, axis)
//!     table = ConstantOfShape <value: tensor = float[1] {1}> (rows)
//!     known = Gather <axis: int = 0> (table, tokens)
//!     words = Gather <axis: int = 2> (tokens, word)
//!     words_present = Sign (words)
//!     word_ones = Cast <to: int = 1> (words_present)
//!     known_words = Gather <axis: int = 2> (known, word)
//!     words_counted = Mul (word_ones, known_words)
//!     word_count = ReduceSum (words_counted, axis)
//!     logits = Concat <axis: int = 1> (feature_count, word_count)
//! }
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod onnxruntime;

use std::path::Path;

use harca_core::classify::classification::Classification;
use harca_core::classify::classifier::Classifier;
use harca_core::classify::encode::{ENCODER_ID, Encoded, Encoder};
use harca_core::error::Error;
use harca_core::model::manifest::{Manifest, TOKEN_IDS};
use onnxruntime::runtime;

/// Keeps the scores of counts apart: a softmax over the counts themselves would be 0 and 1.
const TEMPERATURE: f32 = 16.0;

const TEXTS: [&str; 5] = [
    "東京 天気",
    "ab",
    "How do I make vector search faster?",
    "2 words",
    "a b c d e f g h i j k l m n o p q r s t u v w",
];

fn manifest(token_buckets: Option<u32>) -> String {
    let mut manifest = serde_json::json!({
        "format": 1, "name": "counts", "version": "1", "labels": ["features", "words"],
        "encoder": {"id": ENCODER_ID, "buckets": 1024, "max_features": 64, "max_chars": 64},
        "input": {"name": "features", "type": "int32"}, "output": {"name": "logits", "type": "float32"},
        "calibration": {"method": "temperature", "temperature": TEMPERATURE},
        "file": "two_inputs.onnx", "sha256": "0".repeat(64)
    });
    if let Some(buckets) = token_buckets {
        manifest["encoder"]["tokens"] = serde_json::json!({"buckets": buckets, "max_tokens": 16});
    }
    manifest.to_string()
}

fn build(file: &str, token_buckets: Option<u32>) -> Result<Classifier, Error> {
    let model = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file)).unwrap();
    Classifier::from_bytes(runtime(), &manifest(token_buckets), &model)
}

/// By how much the first count was larger.
fn difference(answer: &Classification) -> f32 {
    let scores = answer.scores.as_slice();
    (scores[0] / scores[1]).ln() * TEMPERATURE
}

#[test]
fn both_inputs_arrive_alone_and_in_a_batch() {
    let mut classifier = build("two_inputs.onnx", Some(256)).unwrap();
    let encoder = Encoder::new(&Manifest::parse(&manifest(Some(256))).unwrap().encoder).unwrap();
    let mut encoded = Encoded::default();
    let mut batch = Vec::new();
    classifier.classify_batch(&TEXTS, &mut batch).unwrap();
    let mut words_seen = Vec::new();
    for (text, in_batch) in TEXTS.iter().zip(&batch) {
        encoder.encode(text, &mut encoded);
        let words = encoded.tokens.len() / TOKEN_IDS;
        words_seen.push(words);
        let expected = encoded.features.len() as f32 - words as f32;
        let alone = classifier.classify(text).unwrap();
        assert!((difference(&alone) - expected).abs() < 0.01, "{text}: {} for {expected}", difference(&alone));
        assert!((difference(in_batch) - expected).abs() < 0.01, "{text}: {} for {expected}", difference(in_batch));
    }
    assert_eq!(words_seen, [4, 1, 7, 2, 16]);
}

#[test]
fn a_graph_and_a_manifest_that_differ_about_tokens_are_refused() {
    for (file, token_buckets, reason) in
        [("count.onnx", Some(256), "1 inputs, expected 2"), ("two_inputs.onnx", None, "2 inputs, expected 1")]
    {
        match build(file, token_buckets).map(|_| ()) {
            Err(Error::ModelShape(found)) => assert!(found.contains(reason), "{found}"),
            other => panic!("{file}: {other:?}"),
        }
    }
}

#[test]
fn a_table_too_small_for_the_token_ids_is_found_while_loading() {
    assert!(matches!(build("two_inputs.onnx", Some(512)).map(|_| ()), Err(Error::Inference(_))));
}
