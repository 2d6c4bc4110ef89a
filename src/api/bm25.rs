//! `harca.bm25` and its query: the core's BM25 for the keyword leg.
#![allow(unsafe_code)] // exported symbols

use harca_core::search::bm25::{Collection, Parameters, Query, Scorer, TsVector};
use harca_core::search::frequency_marks;
use pgrx::pg_sys::Datum;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};

use crate::bridge::function_call::{Call, sql_function};
use crate::bridge::server_text::ServerText;
use crate::bridge::value::Value;

sql_function!(pg_finfo_harca_bm25, harca_bm25, bm25);
sql_function!(pg_finfo_harca_bm25_query, harca_bm25_query, bm25_query);
sql_function!(pg_finfo_harca_bm25_bound, harca_bm25_bound, bm25_bound);
sql_function!(pg_finfo_harca_with_frequencies, harca_with_frequencies, with_frequencies);

/// Bytes of a lexeme that are compared; a `tsvector` has no longer one.
const LEXEME_CHARS: usize = harca_core::search::bm25::MAX_LEXEME_BYTES + 1;

/// `harca.bm25(document tsvector, query bytea) → double precision`, strict.
fn bm25(call: &mut Call<'_>) -> Datum {
    let (Some(document), Some(query)) = (call.varlena(0), call.varlena(1)) else { return call.null() };
    // PostgreSQL writes no `tsvector` that is too short for its entries.
    let Some(document) = TsVector::new(document) else { return call.value(Value::Double(0.0)) };
    // The query of a search is the same for all rows.
    let kept: &mut Option<Scorer> = call.kept();
    if kept.as_ref().is_none_or(|scorer| scorer.bytes() != query) {
        *kept = decode(query);
    }
    let score = kept.as_ref().map(|scorer| scorer.score(&document));
    call.value(score.into())
}

/// `harca.bm25_query(lexemes text[], occurrences integer[], documents bigint[], total bigint, average_length double
/// precision, k1 double precision, b double precision) → bytea`.
fn bm25_query(call: &mut Call<'_>) -> Datum {
    let (Some(lexemes), Some(occurrences), Some(documents)) = (call.array(0), call.array(1), call.array(2)) else {
        return call.null();
    };
    let (Some(total), Some(k1), Some(b)) = (call.big_int(3), call.double(5), call.double(6)) else {
        return call.null();
    };
    let collection = Collection { documents: natural(total), average_length: call.double(4) };
    let Some(parameters) = Parameters::new(k1, b) else {
        ErrorReport::new(PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, "parameters of BM25 are out of range", "")
            .set_detail(format!("k1 is {k1} and b is {b}."))
            .set_hint(format!("Use a k1 from 0 to {} and a b from 0 to 1.", Parameters::MAX_K1))
            .report(PgLogLevel::ERROR);
        return call.null();
    };
    let terms = lexemes.texts().zip(occurrences).zip(documents).filter_map(|((lexeme, occurrences), documents)| {
        let occurrences = u32::try_from(occurrences?.value() as i32).unwrap_or(0);
        Some((ServerText::prefix(lexeme?, LEXEME_CHARS), occurrences, natural(documents?.value() as i64)))
    });
    let query = Query::new(collection, parameters, terms);
    call.value(Value::Bytes(&query.encode()))
}

/// `harca.with_frequencies(document tsvector) → tsvector`, strict.
fn with_frequencies(call: &mut Call<'_>) -> Datum {
    let Some(document) = call.varlena(0).and_then(TsVector::new) else { return call.null() };
    // Both have the same form: a header with the length, and bytes behind it.
    call.value(Value::Bytes(&frequency_marks::with_marks(&document)))
}

/// `harca.bm25_bound(query bytea) → double precision`, strict.
fn bm25_bound(call: &mut Call<'_>) -> Datum {
    match call.varlena(0) {
        Some(query) => {
            let bound = decode(query).map(|scorer| scorer.bound());
            call.value(bound.into())
        }
        None => call.null(),
    }
}

/// An encoded query; an error for anything else.
fn decode(query: &[u8]) -> Option<Scorer> {
    let scorer = Scorer::decode(query);
    if scorer.is_none() {
        ErrorReport::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, "query is not one of harca.bm25_query", "")
            .set_detail(format!("It has {} bytes that cannot be read.", query.len()))
            .set_hint("Make it with harca.bm25_query, by this version of the extension.")
            .report(PgLogLevel::ERROR);
    }
    scorer
}

/// A count; a negative one is none.
fn natural(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
