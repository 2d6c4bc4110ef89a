//! A version-1 function call as safe Rust: arguments in, one value, one composite or a set of rows out.
//!
//! The SQL in `sql/` declares the functions; `sql_function!` gives each the symbol it names. The declaration is the
//! contract: an accessor trusts that an argument has the type that the SQL says.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::marker::PhantomData;

use harca_core::error::Error;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgMemoryContexts, PgSqlErrorCode, pg_sys, varlena};

use super::error_report;
use super::result_rows::Rows;
use super::server_text::ServerText;
use super::value::{Value, columns};

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
        #[unsafe(no_mangle)]
        pub unsafe extern "C-unwind" fn $symbol(fcinfo: pgrx::pg_sys::FunctionCallInfo) -> pgrx::pg_sys::Datum {
            #[pgrx::pg_guard]
            unsafe extern "C-unwind" fn guarded(fcinfo: pgrx::pg_sys::FunctionCallInfo) -> pgrx::pg_sys::Datum {
                // SAFETY: the function manager calls with a call frame that lives until we return.
                let mut call = unsafe { crate::bridge::function_call::Call::new(fcinfo) };
                crate::bridge::error_report::keeping(|| $body(&mut call))
            }
            // SAFETY: as above; nothing is left to drop when an error is raised.
            unsafe {
                let result = guarded(fcinfo);
                crate::bridge::error_report::raise_kept();
                result
            }
        }
    };
}
pub(crate) use sql_function;

/// One call of a SQL function.
pub struct Call<'fc> {
    fcinfo: pg_sys::FunctionCallInfo,
    lifetime: PhantomData<&'fc mut ()>,
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

    /// A `cstring` argument, in the server's encoding.
    pub fn cstring(&self, n: usize) -> Option<&'fc CStr> {
        // SAFETY: the SQL declaration says `cstring`, and arguments outlive the call.
        self.datum(n).map(|datum| unsafe { CStr::from_ptr(datum.cast_mut_ptr()) })
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

    /// Raises an error of the core's.
    pub fn refuse(&mut self, error: &Error) -> pg_sys::Datum {
        error_report::report(error).report(PgLogLevel::ERROR);
        self.null()
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

    /// Raises an error, which names the function and says what to do, unless a trigger has made the call.
    pub fn require_trigger(&self, function: &str, hint: &str) {
        // SAFETY: by the contract of `new`; the context is null or a node that begins with its tag, as `CALLED_AS_TRIGGER`
        // in `commands/trigger.h` looks at it.
        let is_trigger = unsafe {
            let context = (*self.fcinfo).context;
            !context.is_null() && (*context).type_ == pg_sys::NodeTag::T_TriggerData
        };
        if !is_trigger {
            let code = PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED;
            ErrorReport::new(code, "not called by a trigger", "")
                .set_detail(format!("{function} is a trigger function."))
                .set_hint(hint)
                .report(PgLogLevel::ERROR);
        }
    }

    /// Starts a set of rows, which the server keeps and spills to disk as `work_mem` says.
    pub fn rows(&mut self) -> Rows<'fc> {
        // SAFETY: by the contract of `new`.
        unsafe { Rows::begin(self.fcinfo) }
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
