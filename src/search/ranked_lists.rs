//! The legs of a search, and the method that fuses them, as arguments of SQL functions.

use harca_core::search::fusion::Method;
use harca_core::search::options::Fusion;
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
    let fusion = str::from_utf8(name).ok().and_then(Fusion::named);
    if fusion.is_none() {
        ErrorReport::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, "method of fusion is not known", "")
            .set_detail(format!("It is \"{}\".", String::from_utf8_lossy(name)))
            .set_hint("Use auto, max, minmax, zscore, sigmoid or rrf.")
            .report(PgLogLevel::ERROR);
    }
    fusion.map(|fusion| fusion.method(call.double(n + 1), call.double(n + 2), None))
}

/// A leg from two parallel array arguments, from the n-th; a null id or score has no place in a ranked list.
pub fn leg<'fc>(call: &Call<'fc>, n: usize) -> Vec<(&'fc [u8], f64)> {
    let (Some(ids), Some(scores)) = (call.array(n), call.array(n + 1)) else { return Vec::new() };
    ids.texts()
        .zip(scores)
        .filter_map(|(id, score)| Some((id?.prefix(MAX_ID_BYTES), f64::from_bits(score?.value() as u64))))
        .collect()
}
