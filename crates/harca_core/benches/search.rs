//! What ranking costs: BM25 of a document of 100 lexemes for a query of 8 words, the bounds of the documents of such a query,
//! the marks of a document for an index, and the fusion of two legs of 100 rows.
//! Answers are checked first.
//!
//! `cargo bench -p harca_core --bench search`
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use harca_core::search::bm25::{Collection, Parameters, Query, Scorer, TsVector};
use harca_core::search::frequency_marks::with_marks;
use harca_core::search::fusion::{Legs, Method, Scale, fuse};
use harca_core::search::length_classes::Lengths;
use harca_core::search::max_score::{Condition, MaxScore, Term};

/// The bytes of a `tsvector` whose lexemes, in order, have one position each, on a machine that puts low bytes first.
fn document(lexemes: &[String]) -> Vec<u8> {
    let (mut entries, mut text) = (Vec::new(), Vec::new());
    for lexeme in lexemes {
        let entry = 1 | (lexeme.len() as u32) << 1 | (text.len() as u32) << 12;
        entries.extend_from_slice(&entry.to_le_bytes());
        text.extend_from_slice(lexeme.as_bytes());
        text.resize(text.len().next_multiple_of(2), 0);
        text.extend_from_slice(&[1, 0, 1, 0]);
    }
    [&(lexemes.len() as u32).to_le_bytes()[..], &entries, &text].concat()
}

fn search(c: &mut Criterion) {
    let lexemes: Vec<String> = (100..200).map(|i| format!("lexeme{i}")).collect();
    let bytes = document(&lexemes);
    let document = TsVector::new(&bytes).unwrap();
    assert_eq!(document.length(), 100);
    let collection = Collection { documents: 1_000_000, average_length: Some(100.0) };
    let words: Vec<String> = (0..8).map(|i| format!("lexeme{}", 95 + 5 * i)).collect();
    let terms = words.iter().map(|word| (word.as_bytes(), 1, 1000));
    let query = Query::new(collection, Parameters { k1: 0.9, b: 0.4 }, terms);
    let scorer = Scorer::decode(&query.encode()).unwrap();
    let weight = collection.weight(1000);
    assert!((scorer.score(&document) - 7.0 * weight / 1.9).abs() < 1e-4);
    c.bench_function("bm25 of a document", |b| b.iter(|| scorer.score(black_box(&document))));

    assert_eq!(TsVector::new(&with_marks(&document)).unwrap().length(), 100);
    c.bench_function("marks of a document", |b| b.iter(|| with_marks(black_box(&document))));

    let bounds = |words: &[String], by_frequency: bool, classes: usize| {
        let term = |word: &String, shortest: u64| match by_frequency {
            true => Term::by_frequency(|frequency| scorer.most(word.as_bytes(), frequency, shortest), 1000),
            false => Term::new(scorer.most(word.as_bytes(), None, shortest), 1000),
        };
        let terms = |lengths: Lengths| (lengths, words.iter().map(|word| term(word, lengths.shortest)).collect());
        MaxScore::by_length(Lengths::around(100.0, classes).into_iter().map(terms), 1_000_000)
    };
    for (name, words, by_frequency, classes) in [
        ("bounds of 8 words", &words[..], false, 1),
        ("bounds of 8 words by frequency", &words[..], true, 1),
        ("bounds of 2 words by frequency and length", &words[..2], true, 14),
    ] {
        let half = bounds(words, by_frequency, classes).most() / 2.0;
        assert!(bounds(words, by_frequency, classes).condition(half) != Condition::Never);
        c.bench_function(name, |b| {
            b.iter(|| bounds(black_box(words), by_frequency, classes).condition(half));
        });
    }

    let vector: Vec<(u32, f64)> = (0..100).map(|i| (i, 1.0 - f64::from(i) / 200.0)).collect();
    let keyword: Vec<(u32, f64)> = (0..100).map(|i| (50 + i, 9.0 - f64::from(i) / 20.0)).collect();
    let method = Method::Convex { vector: Scale::Table(Some(0.1)), keyword: Scale::Bound(12.0) };
    assert_eq!(fuse(Legs::new(&vector, &keyword), 0.5, method).len(), 150);
    c.bench_function("fusion of two legs", |b| b.iter(|| fuse(Legs::new(black_box(&vector), &keyword), 0.5, method)));
}

criterion_group!(benches, search);
criterion_main!(benches);
