//! A version-1 function call as safe Rust: arguments in, one value, one composite or a set of rows out.
//!
//! The SQL in `sql/` declares the functions; `sql_function!` gives each the symbol it names. The declaration is the
//! contract: an accessor trusts that an argument has the type that the SQL says.
#![allow(unsafe_code)]

use std::marker::PhantomData;

use pgrx::{PgMemoryContexts, pg_sys, varlena};

use crate::bridge::server_text::{self, ServerText};

/// Exports a Rust function `fn(&mut Call) -> pg_sys::Datum` under the symbol that `sql/` names.
macro_rules! sql_function {
    ($info:ident, $symbol:ident, $body:path) => {
        #[doc(hidden)]
        #[unsafe(no_mangle)]
        pub extern "C" fn $info() -> &'static pgrx::pg_sys::Pg_finfo_record {
            const V1: pgrx::pg_sys::Pg_finfo_record = pgrx::pg_sys::Pg_finfo_record { api_version: 1 };
            &V1
        }

        #[doc(hidden)]
        #[pgrx::pg_guard]
        #[unsafe(no_mangle)]
        pub unsafe extern "C-unwind" fn $symbol(fcinfo: pgrx::pg_sys::FunctionCallInfo) -> pgrx::pg_sys::Datum {
            // SAFETY: the function manager calls with a call frame that lives until we return.
            let mut call = unsafe { crate::bridge::function_call::Call::new(fcinfo) };
            $body(&mut call)
        }
    };
}
pub(crate) use sql_function;

/// One call of a SQL function.
pub struct Call<'fc> {
    fcinfo: pg_sys::FunctionCallInfo,
    lifetime: PhantomData<&'fc mut ()>,
}

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
    fn into_datum(self) -> Option<pg_sys::Datum> {
        Some(match self {
            Self::Null => return None,
            Self::Datum(datum) => datum,
            Self::Text(utf8) => server_text::from_utf8(utf8),
            Self::Bytes(bytes) => server_text::from_bytes(bytes),
            Self::Int(n) => n.into(),
            Self::BigInt(n) => n.into(),
            Self::Real(x) => x.to_bits().into(),
            Self::Double(x) => x.to_bits().into(),
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

impl<'fc> Call<'fc> {
    /// Wraps the frame of the running call.
    ///
    /// # Safety
    /// `fcinfo` must be the frame that the function manager passed, and outlive the value.
    pub unsafe fn new(fcinfo: pg_sys::FunctionCallInfo) -> Self {
        Self { fcinfo, lifetime: PhantomData }
    }

    /// Argument `n`, from 0; none when it is null.
    pub fn datum(&self, n: usize) -> Option<pg_sys::Datum> {
        // SAFETY: by the contract of `new`; the bound check keeps `n` inside the frame.
        unsafe {
            if n >= (*self.fcinfo).nargs as usize {
                return None;
            }
            let argument = (*self.fcinfo).args.as_slice((*self.fcinfo).nargs as usize)[n];
            (!argument.isnull).then_some(argument.value)
        }
    }

    /// A `text` argument.
    pub fn text(&self, n: usize) -> Option<ServerText> {
        // SAFETY: the SQL declaration says `text`, and arguments outlive the call.
        self.datum(n).map(|datum| unsafe { ServerText::new(datum) })
    }

    /// The bytes of an argument of a type of variable length, without its header.
    pub fn varlena(&self, n: usize) -> Option<&'fc [u8]> {
        let datum = self.datum(n)?;
        // SAFETY: the SQL declaration says a type of variable length; arguments, and a detoasted copy in the call's
        // memory context, outlive the call.
        unsafe {
            let plain = pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr());
            Some(std::slice::from_raw_parts(varlena::vardata_any(plain).cast(), varlena::varsize_any_exhdr(plain)))
        }
    }

    /// An `integer` argument.
    pub fn int(&self, n: usize) -> Option<i32> {
        self.datum(n).map(|datum| datum.value() as i32)
    }

    /// An `integer[]` argument without its nulls; empty when it is null itself.
    pub fn integers(&self, n: usize) -> Vec<i32> {
        self.array(n).into_iter().flatten().flatten().map(|datum| datum.value() as i32).collect()
    }

    /// A `double precision[]` argument without its nulls; empty when it is null itself.
    pub fn doubles(&self, n: usize) -> Vec<f64> {
        self.array(n).into_iter().flatten().flatten().map(|datum| f64::from_bits(datum.value() as u64)).collect()
    }

    /// A `bigint[]` argument without its nulls, negative numbers as 0; empty when it is null itself.
    pub fn big_integers(&self, n: usize) -> Vec<u64> {
        let elements = self.array(n).into_iter().flatten().flatten();
        elements.map(|datum| u64::try_from(datum.value() as i64).unwrap_or(0)).collect()
    }

    /// A `bigint` argument.
    pub fn big_int(&self, n: usize) -> Option<i64> {
        self.datum(n).map(|datum| datum.value() as i64)
    }

    /// A `double precision` argument.
    pub fn double(&self, n: usize) -> Option<f64> {
        self.datum(n).map(|datum| f64::from_bits(datum.value() as u64))
    }

    /// An array argument, element by element in storage order, whatever its dimensions.
    pub fn array(&self, n: usize) -> Option<Elements<'fc>> {
        self.datum(n).map(|datum| {
            // SAFETY: the SQL declaration says an array type; a detoasted copy lives in the call's memory context.
            let iterator = unsafe {
                let array = pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
                pg_sys::array_create_iterator(array, 0, std::ptr::null_mut())
            };
            Elements { iterator, lifetime: PhantomData }
        })
    }

    /// What this call site keeps from call to call, for a function that asks for one type alone and gives no composite.
    pub fn kept<T: Default + 'static>(&mut self) -> &mut T {
        // SAFETY: `flinfo` belongs to this call site, and its `fn_extra` to this function alone, which the caller
        // vouches for; the value lives in `fn_mcxt`, as long as `flinfo`, and is dropped with it.
        unsafe {
            let flinfo = (*self.fcinfo).flinfo;
            if (*flinfo).fn_extra.is_null() {
                let mut memory = PgMemoryContexts::For((*flinfo).fn_mcxt);
                (*flinfo).fn_extra = memory.leak_and_drop_on_delete(T::default()).cast();
            }
            &mut *(*flinfo).fn_extra.cast::<T>()
        }
    }

    /// Gives SQL null.
    pub fn null(&mut self) -> pg_sys::Datum {
        // SAFETY: by the contract of `new`.
        unsafe { (*self.fcinfo).isnull = true };
        pg_sys::Datum::null()
    }

    /// Gives one value.
    pub fn value(&mut self, value: Value<'_>) -> pg_sys::Datum {
        value.into_datum().unwrap_or_else(|| self.null())
    }

    /// Gives one value of the composite type that the function is declared to return.
    pub fn composite<const N: usize>(&mut self, values: [Value<'_>; N]) -> pg_sys::Datum {
        let descriptor = self.result_descriptor();
        let (mut datums, mut nulls) = columns(values);
        // SAFETY: the descriptor is that of the declared type; `natts` is checked against the number of values.
        unsafe {
            assert_eq!((*descriptor).natts as usize, N, "columns of the declared result type");
            let tuple = pg_sys::heap_form_tuple(descriptor, datums.as_mut_ptr(), nulls.as_mut_ptr());
            // Flattens a toasted column: a composite value must not point outside itself.
            pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data)
        }
    }

    /// Whether a trigger has made the call.
    pub fn is_trigger(&self) -> bool {
        // SAFETY: by the contract of `new`; the context is null or a node that begins with its tag, as `CALLED_AS_TRIGGER`
        // in `commands/trigger.h` looks at it.
        unsafe {
            let context = (*self.fcinfo).context;
            !context.is_null() && (*context).type_ == pg_sys::NodeTag::T_TriggerData
        }
    }

    /// Starts a set of rows, which the server keeps and spills to disk as `work_mem` says.
    pub fn rows(&mut self) -> Rows<'fc> {
        // SAFETY: reports an error when the caller cannot take a set; else sets up `resultinfo` as read below.
        unsafe {
            pg_sys::InitMaterializedSRF(self.fcinfo, 0);
            let info = (*self.fcinfo).resultinfo.cast::<pg_sys::ReturnSetInfo>();
            Rows {
                store: (*info).setResult,
                descriptor: (*info).setDesc,
                memory: PgMemoryContexts::new("pg_harca rows"),
                lifetime: PhantomData,
            }
        }
    }

    /// Looked up once per call site and kept with it.
    fn result_descriptor(&self) -> pg_sys::TupleDesc {
        // SAFETY: `flinfo` belongs to this call site, and its `fn_extra` to this function alone; the copy lives in
        // `fn_mcxt`, as long as `flinfo`.
        unsafe {
            let flinfo = (*self.fcinfo).flinfo;
            if (*flinfo).fn_extra.is_null() {
                let mut descriptor: pg_sys::TupleDesc = std::ptr::null_mut();
                pg_sys::get_call_result_type(self.fcinfo, std::ptr::null_mut(), &mut descriptor);
                assert!(!descriptor.is_null(), "declared to return a composite type");
                (*flinfo).fn_extra = PgMemoryContexts::For((*flinfo).fn_mcxt)
                    .switch_to(|_| pg_sys::BlessTupleDesc(pg_sys::CreateTupleDescCopy(descriptor)))
                    .cast();
            }
            (*flinfo).fn_extra.cast()
        }
    }
}

fn columns<const N: usize>(values: [Value<'_>; N]) -> ([pg_sys::Datum; N], [bool; N]) {
    let datums = values.map(Value::into_datum);
    (datums.map(|d| d.unwrap_or_else(pg_sys::Datum::null)), datums.map(|d| d.is_none()))
}

/// The elements of an array argument.
pub struct Elements<'fc> {
    iterator: pg_sys::ArrayIterator,
    lifetime: PhantomData<&'fc ()>,
}

impl Iterator for Elements<'_> {
    /// The element, or none where it is null.
    type Item = Option<pg_sys::Datum>;

    fn next(&mut self) -> Option<Self::Item> {
        let (mut value, mut null) = (pg_sys::Datum::null(), false);
        // SAFETY: the iterator and its array live as long as the call.
        unsafe { pg_sys::array_iterate(self.iterator, &mut value, &mut null) }.then(|| (!null).then_some(value))
    }
}

impl Elements<'_> {
    /// The same elements as `text` values.
    ///
    /// Only for an argument that the SQL declares as `text[]`.
    pub fn texts(self) -> impl Iterator<Item = Option<ServerText>> {
        // SAFETY: the caller vouches for the element type, and elements live inside the array.
        self.map(|element| element.map(|datum| unsafe { ServerText::new(datum) }))
    }
}

/// The rows of a set-returning function.
pub struct Rows<'fc> {
    store: *mut pg_sys::Tuplestorestate,
    descriptor: pg_sys::TupleDesc,
    /// What a batch of rows allocates on its way into the store.
    memory: PgMemoryContexts,
    lifetime: PhantomData<&'fc ()>,
}

impl Rows<'_> {
    /// Adds a row.
    pub fn push<const N: usize>(&mut self, values: [Value<'_>; N]) {
        let (store, descriptor) = (self.store, self.descriptor);
        // SAFETY: store and descriptor were set up for this call; the number of columns is checked; the store copies.
        unsafe {
            assert_eq!((*descriptor).natts as usize, N, "columns of the declared result type");
            self.memory.switch_to(|_| {
                let (mut datums, mut nulls) = columns(values);
                pg_sys::tuplestore_putvalues(store, descriptor, datums.as_mut_ptr(), nulls.as_mut_ptr());
            });
        }
    }

    /// Runs `work` with its allocations in the batch's memory, and frees them and those of the batch's rows after it.
    ///
    /// Between batches a cancelled query ends here.
    pub fn batch<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> R {
        pg_sys::check_for_interrupts!();
        let context = self.memory.value();
        // SAFETY: the context is ours and lives until `self` goes; nothing allocated in it is kept past the batch.
        unsafe {
            let result = PgMemoryContexts::For(context).switch_to(|_| work(self));
            pg_sys::MemoryContextReset(context);
            result
        }
    }
}
