//! The arguments of a search as the core reads them, and the errors that it has for them.
#![allow(unsafe_code)]

use std::ffi::CStr;

use harca_core::search::refusal::{self, Refusal};
use harca_core::search::{boosts, filter};
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{self, Datum, Oid};

use super::catalog;
use super::statements::detoasted;
use super::target::{Target, refuse};
use crate::bridge::server_text;

/// What a refusal of the core's is reported as.
pub fn or_refuse<T>(result: Result<T, Refusal>) -> T {
    result.unwrap_or_else(|refusal| {
        let code = match refusal.kind {
            refusal::Kind::InvalidParameterValue => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            refusal::Kind::UndefinedColumn => PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
            refusal::Kind::DatatypeMismatch => PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            refusal::Kind::NumericValueOutOfRange => PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
        };
        refuse(code, refusal.message, refusal.detail, refusal.hint)
    })
}

/// A `jsonb` as text.
pub fn json_text(value: Datum) -> String {
    // SAFETY: the output function of the type gives a string.
    let text = unsafe { CStr::from_ptr(pg_sys::OidOutputFunctionCall(pg_sys::F_JSONB_OUT.into(), value)) };
    server_text::to_utf8(text.to_bytes(), usize::MAX).into_owned()
}

/// An error unless an embedding has the dimensions of the target's column.
pub fn check_embedding(target: &Target, embedding: Datum) {
    // SAFETY: a `vector`: behind its header its dimensions (pgvector's `vector.h`).
    let given = unsafe { detoasted(embedding) }.first_chunk().map_or(0, |dimensions| i16::from_ne_bytes(*dimensions));
    let given = usize::try_from(given).unwrap_or(0);
    if let Some(wanted) = target.dimensions
        && given != wanted
    {
        refuse(
            PgSqlErrorCode::ERRCODE_DATA_EXCEPTION,
            format!("embedding has {given} dimensions, search target \"{}\" has {wanted}", target.name),
            None,
            Some("Embed the query with the model that embedded the table.".into()),
        );
    }
}

/// A column as a filter compares it.
pub fn filter_column(relation: Oid, name: &str) -> Option<filter::Column> {
    let column = catalog::column(relation, name)?;
    // A domain is compared as the type it is made of: its constraints are for what is stored.
    let kind = catalog::base_type(column.kind);
    let known = catalog::type_of(kind)?;
    Some(filter::Column {
        built_in: known.built_in && catalog::has_order(kind),
        type_name: known.name,
        is_array: catalog::is_array(kind),
    })
}

/// What kind of boost a column can give.
pub fn boosted_column(relation: Oid, name: &str) -> Option<boosts::Kind> {
    Some(match catalog::column(relation, name)?.kind {
        pg_sys::INT2OID
        | pg_sys::INT4OID
        | pg_sys::INT8OID
        | pg_sys::FLOAT4OID
        | pg_sys::FLOAT8OID
        | pg_sys::NUMERICOID => boosts::Kind::Number,
        pg_sys::DATEOID | pg_sys::TIMESTAMPOID | pg_sys::TIMESTAMPTZOID => boosts::Kind::Time,
        _ => boosts::Kind::Other,
    })
}

/// The seconds of an interval; PostgreSQL's error for a text that is none.
pub fn seconds(interval: &str) -> f64 {
    let text = catalog::server_string(interval).unwrap_or_default();
    // SAFETY: the input function of the type, and what takes a part of it, a double precision.
    let seconds = unsafe {
        let interval = pg_sys::OidInputFunctionCall(
            pg_sys::F_INTERVAL_IN.into(),
            text.as_ptr().cast_mut(),
            pg_sys::InvalidOid,
            -1,
        );
        pg_sys::OidFunctionCall2Coll(
            pg_sys::F_DATE_PART_TEXT_INTERVAL.into(),
            pg_sys::InvalidOid,
            server_text::from_utf8("epoch"),
            interval,
        )
    };
    f64::from_bits(seconds.value() as u64)
}
