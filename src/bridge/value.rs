//! Rust values as datums, on their way into a result.
#![allow(unsafe_code)]

use pgrx::pg_sys;

use super::server_text;

/// Most dimensions of a `vector` (`VECTOR_MAX_DIM` of pgvector).
pub const MAX_DIMENSIONS: usize = 16_000;

/// A value on its way into a row.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// SQL null.
    Null,
    /// A datum of the column's type.
    Datum(pg_sys::Datum),
    /// `text`, from UTF-8.
    Text(&'a str),
    /// `text`, from bytes in the server's encoding.
    Bytes(&'a [u8]),
    /// `integer`.
    Int(i32),
    /// `bigint`.
    BigInt(i64),
    /// `real`.
    Real(f32),
    /// `double precision`.
    Double(f64),
    /// A `vector` of pgvector's, of [`MAX_DIMENSIONS`] at most.
    Vector(&'a [f32]),
    /// `real[]`.
    Reals(&'a [f32]),
    /// `double precision[]`.
    Doubles(&'a [f64]),
    /// `bigint[]`.
    BigInts(&'a [u64]),
    /// `text[]`, from UTF-8.
    Texts(&'a [String]),
    /// `boolean`.
    Bool(bool),
}

impl<T: Into<Self>> From<Option<T>> for Value<'_> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<f64> for Value<'_> {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

impl From<u32> for Value<'_> {
    fn from(value: u32) -> Self {
        Self::Int(i32::try_from(value).unwrap_or(i32::MAX))
    }
}

impl From<u64> for Value<'_> {
    fn from(value: u64) -> Self {
        Self::BigInt(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl Value<'_> {
    /// The datum; none for SQL null.
    pub(super) fn into_datum(self) -> Option<pg_sys::Datum> {
        Some(match self {
            Self::Null => return None,
            Self::Datum(datum) => datum,
            Self::Text(utf8) => server_text::from_utf8(utf8),
            Self::Bytes(bytes) => server_text::from_bytes(bytes),
            Self::Int(n) => n.into(),
            Self::BigInt(n) => n.into(),
            Self::Real(x) => x.to_bits().into(),
            Self::Double(x) => x.to_bits().into(),
            Self::Vector(xs) => vector(xs),
            Self::Reals(xs) => real_array(xs),
            Self::Doubles(xs) => double_array(xs),
            Self::BigInts(ns) => {
                let numbers = ns.iter().map(|n| i64::try_from(*n).unwrap_or(i64::MAX).into()).collect();
                array(numbers, pg_sys::INT8OID, size_of::<i64>() as i32, true, pg_sys::TYPALIGN_DOUBLE)
            }
            Self::Texts(texts) => {
                let datums = texts.iter().map(|text| server_text::from_utf8(text)).collect();
                array(datums, pg_sys::TEXTOID, -1, false, pg_sys::TYPALIGN_INT)
            }
            Self::Bool(yes) => yes.into(),
        })
    }
}

/// A `vector` as pgvector's `vector.h` lays it out: behind the header its dimensions, two bytes of nothing, and the numbers.
pub fn vector(numbers: &[f32]) -> pg_sys::Datum {
    let numbers = &numbers[..numbers.len().min(MAX_DIMENSIONS)];
    let bytes = size_of::<i32>() + 2 * size_of::<i16>() + size_of_val(numbers);
    // SAFETY: a fresh allocation of that many bytes, which are all written, each at a place for it.
    unsafe {
        let vector: *mut u8 = pg_sys::palloc(bytes).cast();
        pgrx::varlena::set_varsize_4b(vector.cast(), bytes as i32);
        let dimensions: *mut i16 = vector.add(size_of::<i32>()).cast();
        dimensions.write(numbers.len() as i16);
        dimensions.add(1).write(0);
        std::ptr::copy_nonoverlapping(numbers.as_ptr(), dimensions.add(2).cast(), numbers.len());
        vector.into()
    }
}

fn real_array(values: &[f32]) -> pg_sys::Datum {
    let mut datums = [pg_sys::Datum::null(); harca_core::model::manifest::MAX_LABELS];
    let count = values.len().min(datums.len());
    for (datum, value) in datums.iter_mut().zip(values) {
        *datum = value.to_bits().into();
    }
    // SAFETY: `count` elements of a 4-byte type passed by value; the array is a fresh allocation.
    unsafe {
        pg_sys::construct_array(
            datums.as_mut_ptr(),
            count as i32,
            pg_sys::FLOAT4OID,
            size_of::<f32>() as i32,
            true,
            pg_sys::TYPALIGN_INT as std::ffi::c_char,
        )
    }
    .into()
}

fn double_array(values: &[f64]) -> pg_sys::Datum {
    let datums = values.iter().map(|value| value.to_bits().into()).collect();
    array(datums, pg_sys::FLOAT8OID, size_of::<f64>() as i32, true, pg_sys::TYPALIGN_DOUBLE)
}

/// An array of elements of a type with this size (-1: variable), passing and alignment, as `pg_type` has them.
fn array(
    mut elements: Vec<pg_sys::Datum>,
    element: pg_sys::Oid,
    size: i32,
    by_value: bool,
    align: u8,
) -> pg_sys::Datum {
    // SAFETY: as many elements as there are, of the type that the caller names; the array is a fresh allocation.
    unsafe {
        pg_sys::construct_array(
            elements.as_mut_ptr(),
            elements.len() as i32,
            element,
            size,
            by_value,
            align as std::ffi::c_char,
        )
    }
    .into()
}

/// A row as `heap_form_tuple` takes it: datums, and which of them are null.
pub(super) fn columns<const N: usize>(values: [Value<'_>; N]) -> ([pg_sys::Datum; N], [bool; N]) {
    let datums = values.map(Value::into_datum);
    (datums.map(|d| d.unwrap_or_else(pg_sys::Datum::null)), datums.map(|d| d.is_none()))
}
