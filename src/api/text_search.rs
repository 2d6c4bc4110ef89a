//! The text search parser `harca`: the core's segments under PostgreSQL's parser interface (`tsearch/ts_public.h`,
//! and `src/backend/tsearch/wparser_def.c` for the example).
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int};

use harca_core::segment::{self, Kind, Unit};
use pgrx::pg_sys::{self, Datum};
use pgrx::{PgMemoryContexts, varlena};

use crate::call::{Call, sql_function};
use crate::text;

sql_function!(pg_finfo_harca_parser_start, harca_parser_start, start);
sql_function!(pg_finfo_harca_parser_next, harca_parser_next, next);
sql_function!(pg_finfo_harca_parser_end, harca_parser_end, end);
sql_function!(pg_finfo_harca_parser_types, harca_parser_types, types);

/// Token types: number, alias (which `ADD MAPPING` names) and description. Numbers are part of stored configurations.
const TYPES: [(c_int, &CStr, &CStr); 5] = [
    (1, c"word", c"Word of letters and digits"),
    (2, c"number", c"Digits"),
    (3, c"cjk", c"Pair of characters of a script without spaces"),
    (4, c"kana", c"Pair of hiragana"),
    (5, c"code", c"Identifier or code with its signs"),
];

fn type_number(kind: Kind) -> c_int {
    match kind {
        Kind::Word => 1,
        Kind::Number => 2,
        Kind::Bigram => 3,
        Kind::Kana => 4,
        Kind::Code => 5,
    }
}

/// A text being cut; PostgreSQL hands it from call to call as `internal`.
struct Parser {
    folded: String,
    units: Vec<Unit>,
    next: usize,
}

/// `(text start internal, length integer) → internal`.
fn start(call: &mut Call<'_>) -> Datum {
    let (Some(pointer), Some(length)) = (call.datum(0), call.datum(1)) else { return call.null() };
    // SAFETY: the interface passes a pointer to that many bytes of server text, valid until the parser's end.
    let bytes = unsafe { std::slice::from_raw_parts(pointer.cast_mut_ptr::<u8>(), length.value() & 0x7fff_ffff) };
    let folded = segment::fold(&text::to_utf8(bytes, usize::MAX));
    let units = segment::units(&folded).collect();
    let parser = Parser { folded, units, next: 0 };
    // The memory context drops it also when an error ends the parse.
    PgMemoryContexts::CurrentMemoryContext.leak_and_drop_on_delete(parser).into()
}

/// `(parser internal, token internal, length internal) → internal`: the type of the next token, 0 at the end.
fn next(call: &mut Call<'_>) -> Datum {
    let (Some(parser), Some(token), Some(length)) = (call.datum(0), call.datum(1), call.datum(2)) else {
        return Datum::from(0);
    };
    // SAFETY: the first argument is what `start` gave; the others are places for a pointer and a length. The token
    // stays valid until `end`: it points into the parser, or into the memory context of the parse.
    unsafe {
        let parser = &mut *parser.cast_mut_ptr::<Parser>();
        let Some(unit) = parser.units.get(parser.next) else { return Datum::from(0) };
        parser.next += 1;
        let word = &parser.folded[unit.start..unit.end];
        let (start, bytes) = if pg_sys::GetDatabaseEncoding() as u32 == pg_sys::pg_enc::PG_UTF8 || word.is_ascii() {
            (word.as_ptr(), word.len())
        } else {
            let converted: *mut pg_sys::varlena = text::from_utf8(word).cast_mut_ptr();
            (varlena::vardata_any(converted).cast(), varlena::varsize_any_exhdr(converted))
        };
        *token.cast_mut_ptr::<*const c_char>() = start.cast();
        *length.cast_mut_ptr::<c_int>() = bytes as c_int;
        Datum::from(type_number(unit.kind))
    }
}

/// `(parser internal) → void`: the memory goes now, the husk with its memory context.
fn end(call: &mut Call<'_>) -> Datum {
    if let Some(parser) = call.datum(0) {
        // SAFETY: it is what `start` gave, and the last use of it.
        let parser = unsafe { &mut *parser.cast_mut_ptr::<Parser>() };
        *parser = Parser { folded: String::new(), units: Vec::new(), next: 0 };
    }
    Datum::null()
}

/// `(internal) → internal`: an array of `LexDescr`, ended by one with the number 0.
fn types(_call: &mut Call<'_>) -> Datum {
    // SAFETY: the array and its strings are fresh allocations in the caller's memory context, as the interface wants.
    unsafe {
        let size = size_of::<pg_sys::LexDescr>();
        let list = pg_sys::palloc0(size * (TYPES.len() + 1)).cast::<pg_sys::LexDescr>();
        for (i, (number, alias, description)) in TYPES.iter().enumerate() {
            *list.add(i) = pg_sys::LexDescr {
                lexid: *number,
                alias: pg_sys::pstrdup(alias.as_ptr()),
                descr: pg_sys::pstrdup(description.as_ptr()),
            };
        }
        list.into()
    }
}
