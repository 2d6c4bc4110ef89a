//! Bytes that are taken for a query and a `tsvector` give a score within the query's bound, and the
//! `tsvector` with marks of frequencies is one again.
#![no_main]

use harca_core::search::bm25::{Scorer, TsVector};
use harca_core::search::frequency_marks;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: (&[u8], &[u8])| {
    let (query, document) = bytes;
    let (Some(scorer), Some(document)) = (Scorer::decode(query), TsVector::new(document)) else { return };
    let score = scorer.score(&document);
    assert!(score >= 0.0 && score <= scorer.bound() * (1.0 + 1e-9));
    let marked = frequency_marks::with_marks(&document);
    assert!(TsVector::new(&marked).is_some());
});
