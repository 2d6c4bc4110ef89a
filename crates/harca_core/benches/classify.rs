//! What a classification costs without a server: encoding, a single run, a batch, a hit. Answers are checked first.
//!
//! `cargo bench -p harca_core`; the runtime is found as in `tests/onnxruntime`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use harca_core::cache::local::LocalCache;
use harca_core::classify::classifier::Classifier;
use harca_core::classify::encode::{Encoded, Encoder};
use harca_core::classify::feature_cache::FeatureCache;
use harca_core::model::manifest::{EncoderSpec, TokenSpec};
use harca_core::model::session::Runtime;
use harca_core::text::key::Key;
use harca_core::text::segment;

fn classify(c: &mut Criterion) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let library = std::env::var_os("HARCA_ONNXRUNTIME")
        .map_or_else(|| repository.join(".build/onnxruntime/libonnxruntime.so.1.24.4"), PathBuf::from);
    let runtime = Runtime::load(&library).expect("run scripts/setup_onnxruntime.sh first");
    let mut classifier = Classifier::open(runtime, &repository.join("models/query_type")).unwrap();
    let labels = classifier.manifest().labels.clone();
    let file = std::fs::read_to_string(repository.join("tests/data/quality_queries.tsv")).unwrap();
    let rows: Vec<(&str, &str)> = file
        .lines()
        .skip(1)
        .map(|line| {
            let mut columns = line.split('\t');
            (columns.next().unwrap(), columns.next().unwrap())
        })
        .collect();
    let right = rows.iter().filter(|(q, label)| classifier.classify(q).unwrap().query_type(&labels) == *label).count();
    assert!(right * 10 > rows.len() * 8, "{right} of {} answers are right", rows.len());
    let queries: Vec<&str> = rows.iter().map(|row| row.0).take(448).collect();

    let mut group = c.benchmark_group("one query of tests/data");
    group.throughput(Throughput::Elements(queries.len() as u64));
    let mut encoded = Encoded::default();
    for (name, tokens) in [("encode", None), ("encode with tokens", Some(TokenSpec { buckets: 24576, max_tokens: 64 }))]
    {
        let spec = EncoderSpec { tokens, ..classifier.manifest().encoder.clone() };
        let encoder = Encoder::new(&spec).unwrap();
        group.bench_function(name, |b| {
            b.iter(|| queries.iter().for_each(|q| encoder.encode(black_box(q), &mut encoded)));
        });
    }
    let encoder = Encoder::new(&classifier.manifest().encoder).unwrap();
    let mut features = FeatureCache::new(queries.len(), 1);
    queries.iter().for_each(|q| features.encode(&encoder, q, &mut encoded));
    group.bench_function("encode, from the feature cache", |b| {
        b.iter(|| queries.iter().for_each(|q| features.encode(&encoder, black_box(q), &mut encoded)));
    });
    group.bench_function("segment", |b| {
        b.iter(|| queries.iter().map(|q| segment::units(&segment::fold(black_box(q))).count()).sum::<usize>());
    });
    group.bench_function("classify one by one", |b| {
        b.iter(|| queries.iter().map(|q| classifier.classify(black_box(q)).unwrap().confidence).sum::<f32>());
    });
    let mut answers = Vec::new();
    classifier.classify_batch(&queries, &mut answers).unwrap();
    assert!(queries.iter().zip(&answers).all(|(q, a)| classifier.classify(q).unwrap().label == a.label));
    for (name, batch_size) in
        [("classify in batches", 0), ("classify in batches of 16", 16), ("classify in batches of 64", 64)]
    {
        group.bench_function(name, |b| {
            b.iter(|| {
                assert_eq!(classifier.begin_batch(black_box(&queries), batch_size), queries.len());
                while classifier.next_run().unwrap().is_some() {}
                classifier.batch_answers().len()
            });
        });
    }
    let mut cache = LocalCache::new(1000);
    for q in &queries {
        cache.put(Key::new(q.as_bytes(), 1), classifier.classify(q).unwrap(), 0);
    }
    group.bench_function("hit", |b| {
        b.iter(|| queries.iter().filter(|q| cache.get(Key::new(q.as_bytes(), 1), 0, 0).is_some()).count());
    });
    group.finish();
}

criterion_group!(benches, classify);
criterion_main!(benches);
