//! The type `harca.searched_table`, declared in `sql/search/target.sql`: a `regclass` that is read back whether its table is
//! there or not.
#![allow(unsafe_code)]

use pgrx::fcinfo::direct_function_call_as_datum;
use pgrx::pg_sys::{self, Datum, Oid};

use crate::bridge::function_call::{Call, sql_function};
use crate::bridge::server_text;

sql_function!(pg_finfo_harca_searched_table_in, harca_searched_table_in, read);
sql_function!(pg_finfo_harca_searched_table_out, harca_searched_table_out, write);

/// What stands for a table that is not there.
const NONE: &std::ffi::CStr = c"-";

/// `harca.searched_table_in(cstring) → harca.searched_table`, strict: the table of a name, by the `search_path` where it has no
/// schema; 0 where there is none. An object identifier names none: another table may have it in another database.
fn read(call: &mut Call<'_>) -> Datum {
    let Some(name) = call.cstring(0) else { return call.null() };
    let bytes = name.to_bytes();
    if name == NONE || bytes.iter().all(u8::is_ascii_digit) {
        return pg_sys::InvalidOid.into();
    }
    // SAFETY: a function of the server's that takes a text and gives a regclass, or null.
    let found = unsafe { direct_function_call_as_datum(pg_sys::to_regclass, &[Some(server_text::from_bytes(bytes))]) };
    found.unwrap_or_else(|| pg_sys::InvalidOid.into())
}

/// `harca.searched_table_out(harca.searched_table) → cstring`, strict: as a `regclass` is written, or `-`.
fn write(call: &mut Call<'_>) -> Datum {
    let Some(table) = call.datum(0) else { return call.null() };
    // SAFETY: a catalog look-up, and a function of the server's that gives a string.
    unsafe {
        let there = pg_sys::get_rel_relkind(Oid::from(table.value() as u32)) != 0;
        let written = if there {
            pg_sys::OidOutputFunctionCall(pg_sys::F_REGCLASSOUT.into(), table)
        } else {
            pg_sys::pstrdup(NONE.as_ptr())
        };
        Datum::from(written)
    }
}
