//! The legs of a search, and the method that fuses them, as arguments of SQL functions.

use harca_core::search::fusion::{Method, Scale};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};

use crate::bridge::function_call::Call;

/// Longest row id, in bytes; what a longer one has beyond is ignored.
const MAX_ID_BYTES: usize = 4096;
/// More than any name of a method has.
const MAX_NAME_CHARS: usize = 16;

/// How to fuse, from the name in argument `n`, the deviation and the bound after it; an error for a name that is none.
pub fn method(call: &Call<'_>, n: usize) -> Option<Method> {
    let name = call.text(n).map_or(&b"auto"[..], |name| name.prefix(MAX_NAME_CHARS));
    let same = |scale| Some(Method::Convex { vector: scale, keyword: scale });
    match name {
        b"rrf" => Some(Method::ReciprocalRank),
        b"max" => same(Scale::Maximum),
        b"minmax" => same(Scale::MinMax),
        b"zscore" => same(Scale::ZScore),
        b"sigmoid" => same(Scale::Sigmoid),
        b"auto" => Some(Method::Convex {
            vector: Scale::Table(call.double(n + 1)),
            keyword: call.double(n + 2).map_or(Scale::Maximum, Scale::Bound),
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

/// A leg from two parallel array arguments, from the n-th; a null id or score has no place in a ranked list.
pub fn leg<'fc>(call: &Call<'fc>, n: usize) -> Vec<(&'fc [u8], f64)> {
    let (Some(ids), Some(scores)) = (call.array(n), call.array(n + 1)) else { return Vec::new() };
    ids.texts()
        .zip(scores)
        .filter_map(|(id, score)| Some((id?.prefix(MAX_ID_BYTES), f64::from_bits(score?.value() as u64))))
        .collect()
}
