//! `harca.fuse`: the core's fusion for `hybrid_search`, which runs the legs in SQL.
#![allow(unsafe_code)] // exported symbols

use harca_core::fusion::{self, Method, Scale};
use pgrx::pg_sys::Datum;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};

use crate::call::{Call, Value, sql_function};

sql_function!(pg_finfo_harca_fuse, harca_fuse, fuse);

/// Longest row id, in bytes; what a longer one has beyond is ignored.
const MAX_ID_BYTES: usize = 4096;
/// More than any name of a method has.
const MAX_NAME_CHARS: usize = 16;

/// `harca.fuse(vector_ids text[], vector_scores double precision[], keyword_ids text[], keyword_scores double
/// precision[], vector_weight double precision, method text, vector_deviation double precision, keyword_bound double
/// precision, boosted_ids text[], boosts double precision[]) → setof (…)`.
///
/// Ids are compared as bytes: they need not be valid in any encoding but the server's.
fn fuse(call: &mut Call<'_>) -> Datum {
    let mut rows = call.rows();
    let vector = leg(call, 0);
    let keyword = leg(call, 2);
    let weight = call.double(4).unwrap_or(0.5);
    let Some(method) = method(call) else { return call.null() };
    let mut fused = fusion::fuse(&vector, &keyword, weight, method);
    let boosts = leg(call, 8);
    if !boosts.is_empty() {
        fusion::boost(&mut fused, &boosts.into_iter().map(|(id, boost)| (id, 1.0 + boost)).collect());
    }
    for row in fused {
        rows.push([
            Value::Bytes(row.id),
            Value::Double(row.score),
            row.vector_rank.into(),
            row.keyword_rank.into(),
            row.vector_score.into(),
            row.keyword_score.into(),
            row.vector_normalised.into(),
            row.keyword_normalised.into(),
        ]);
    }
    call.null()
}

/// How to fuse; an error for a name that is none.
fn method(call: &Call<'_>) -> Option<Method> {
    let name = call.text(5).map_or(&b"auto"[..], |name| name.prefix(MAX_NAME_CHARS));
    let same = |scale| Some(Method::Convex { vector: scale, keyword: scale });
    match name {
        b"rrf" => Some(Method::ReciprocalRank),
        b"max" => same(Scale::Maximum),
        b"minmax" => same(Scale::MinMax),
        b"zscore" => same(Scale::ZScore),
        b"sigmoid" => same(Scale::Sigmoid),
        b"auto" => Some(Method::Convex {
            vector: Scale::Table(call.double(6)),
            keyword: call.double(7).map_or(Scale::Maximum, Scale::Bound),
        }),
        _ => {
            ErrorReport::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, "method of fusion is not known", "")
                .set_detail(format!("It is \"{}\".", String::from_utf8_lossy(name)))
                .set_hint("Use auto, max, minmax, zscore, sigmoid or rrf.")
                .report(PgLogLevel::ERROR);
            None
        }
    }
}

/// A leg from two parallel array arguments; a null id or score has no place in a ranked list.
fn leg<'fc>(call: &Call<'fc>, n: usize) -> Vec<(&'fc [u8], f64)> {
    let (Some(ids), Some(scores)) = (call.array(n), call.array(n + 1)) else { return Vec::new() };
    ids.texts()
        .zip(scores)
        .filter_map(|(id, score)| Some((id?.prefix(MAX_ID_BYTES), f64::from_bits(score?.value() as u64))))
        .collect()
}
