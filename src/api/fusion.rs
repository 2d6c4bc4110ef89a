//! `harca.fuse`: the core's fusion for `hybrid_search`, which runs the legs in SQL.
#![allow(unsafe_code)] // exported symbols

use harca_core::fusion::{self, Method};
use pgrx::pg_sys::Datum;

use crate::call::{Call, Value, sql_function};

sql_function!(pg_finfo_harca_fuse, harca_fuse, fuse);

/// Longest row id, in bytes; what a longer one has beyond is ignored.
const MAX_ID_BYTES: usize = 4096;

/// `harca.fuse(vector_ids text[], vector_scores double precision[], keyword_ids text[], keyword_scores double
/// precision[], vector_weight double precision, reciprocal_rank boolean) → setof (…)`.
///
/// Ids are compared as bytes: they need not be valid in any encoding but the server's.
fn fuse(call: &mut Call<'_>) -> Datum {
    let mut rows = call.rows();
    let vector = leg(call, 0);
    let keyword = leg(call, 2);
    let weight = call.double(4).unwrap_or(0.5);
    let method = if call.datum(5).is_some_and(|d| d.value() != 0) { Method::ReciprocalRank } else { Method::Convex };
    for row in fusion::fuse(&vector, &keyword, weight, method) {
        rows.push([
            Value::Bytes(row.id),
            Value::Double(row.score),
            row.vector_rank.into(),
            row.keyword_rank.into(),
            row.vector_score.into(),
            row.keyword_score.into(),
        ]);
    }
    call.null()
}

/// A leg from two parallel array arguments; a null id or score has no place in a ranked list.
fn leg<'fc>(call: &Call<'fc>, n: usize) -> Vec<(&'fc [u8], f64)> {
    let (Some(ids), Some(scores)) = (call.array(n), call.array(n + 1)) else { return Vec::new() };
    ids.texts()
        .zip(scores)
        .filter_map(|(id, score)| Some((id?.prefix(MAX_ID_BYTES), f64::from_bits(score?.value() as u64))))
        .collect()
}
