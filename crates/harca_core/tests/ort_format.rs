//! A model in the ORT format, as `harca_train` writes beside the ONNX file, loads from memory and answers alike.
//!
//! `data/count.onnx` tells texts of up to four features from longer ones; `data/count.ort` is the same graph, with an
//! operator fused that plain ONNX lacks. Both are rebuilt and compared in `models/training/tests/test_convert.py`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod onnxruntime;

use std::path::Path;

use harca_core::classify::classifier::Classifier;
use harca_core::error::Error;
use harca_core::model::session;
use onnxruntime::runtime;

fn data(file: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file)).unwrap()
}

#[test]
fn a_model_in_the_ort_format_answers_as_the_onnx_file_does() {
    let threads = session::thread_count().expect("this system tells");
    let runtime = runtime();
    let manifest = serde_json::json!({
        "format": 1, "name": "count", "version": "1", "labels": ["short", "long"],
        "encoder": {"id": harca_core::classify::encode::ENCODER_ID, "buckets": 1024, "max_features": 64, "max_chars": 64},
        "input": {"name": "features", "type": "int32"}, "output": {"name": "logits", "type": "float32"},
        "calibration": {"method": "temperature", "temperature": 1.0},
        "file": "count.ort", "sha256": "0".repeat(64)
    })
    .to_string();
    let build = |model: &[u8]| Classifier::from_bytes(runtime, &manifest, model);
    let (onnx, ort) = (data("count.onnx"), data("count.ort"));
    assert_eq!(&ort[4..8], b"ORTM");
    let (mut expected, mut found) = (build(&onnx).unwrap(), build(&ort).unwrap());
    for text in ["ab", "two words", "How do I make vector search faster?", "東京 天気"] {
        assert_eq!(found.classify(text).unwrap(), expected.classify(text).unwrap(), "{text}");
    }
    assert_eq!(session::thread_count(), Some(threads));

    // The digest of the manifest keeps damaged files out; should one get in, it is an error and not a crash.
    for end in [0, 4, 8, 20, ort.len() / 2, ort.len() - 8] {
        assert!(matches!(build(&ort[..end]), Err(Error::Inference(_))), "{end} bytes");
    }
}
