//! `harca.fuse` and `harca.rarity`: the core's fusion and its measure of rarity, for queries of one's own.
#![allow(unsafe_code)] // exported symbols

use harca_core::search::fusion::{self, Legs};
use harca_core::search::weighting;
use pgrx::pg_sys::Datum;

use crate::bridge::function_call::{Call, sql_function};
use crate::bridge::value::Value;
use crate::search::ranked_lists::{leg, method};

sql_function!(pg_finfo_harca_fuse, harca_fuse, fuse);
sql_function!(pg_finfo_harca_rarity, harca_rarity, rarity);

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
    let Some(method) = method(call, 5) else { return call.null() };
    let mut fused = fusion::fuse(Legs::new(&vector, &keyword), weight, method);
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

/// `harca.rarity(documents bigint[]) → double precision`.
fn rarity(call: &mut Call<'_>) -> Datum {
    let documents = call.array(0).into_iter().flatten().flatten();
    let documents = documents.map(|count| u64::try_from(count.value() as i64).unwrap_or(0));
    call.value(Value::Double(weighting::rarity(documents)))
}
