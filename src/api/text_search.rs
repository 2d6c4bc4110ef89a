//! The text search parsers `harca` and `harca_kana`: the core's segments under PostgreSQL's parser interface (`tsearch/ts_public.h`,
//! and `src/backend/tsearch/wparser_def.c` for the example). And the phrases of a query.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int};

use harca_core::text::phrase;
use harca_core::text::segment::{Kind, VERSION};
use pgrx::pg_sys::{self, Datum};
use pgrx::{PgMemoryContexts, varlena};

use crate::bridge::function_call::{Call, sql_function};
use crate::bridge::server_text;
use crate::bridge::value::Value;
use crate::parser::{Parser, headline};

sql_function!(pg_finfo_harca_parser_start, harca_parser_start, start);
sql_function!(pg_finfo_harca_parser_start_kana, harca_parser_start_kana, start_kana);
sql_function!(pg_finfo_harca_parser_version, harca_parser_version, version);
sql_function!(pg_finfo_harca_parser_next, harca_parser_next, next);
sql_function!(pg_finfo_harca_parser_end, harca_parser_end, end);
sql_function!(pg_finfo_harca_parser_headline, harca_parser_headline, show);
sql_function!(pg_finfo_harca_parser_types, harca_parser_types, types);
sql_function!(pg_finfo_harca_quoted_phrases, harca_quoted_phrases, quoted_phrases);

/// Token types: number, alias (which `ADD MAPPING` names) and description. Numbers are part of stored configurations.
const TYPES: [(c_int, &CStr, &CStr); 6] = [
    (1, c"word", c"Word of letters and digits"),
    (2, c"number", c"Digits"),
    (3, c"cjk", c"Pair of characters of a script without spaces, or a kanji with the word beside it"),
    (4, c"kana", c"Pair of hiragana"),
    (5, c"code", c"Identifier, code or name with its signs"),
    (6, c"particle", c"Pair of hiragana that is a part of particles and endings"),
];

fn type_number(kind: Kind) -> c_int {
    match kind {
        Kind::Word => 1,
        Kind::Number => 2,
        Kind::Bigram => 3,
        Kind::Kana => 4,
        Kind::Code => 5,
        Kind::Particle => 6,
    }
}

/// `(text start internal, length integer) → internal`.
fn start(call: &mut Call<'_>) -> Datum {
    begin(call, false)
}

/// The same for the parser `harca_kana`.
fn start_kana(call: &mut Call<'_>) -> Datum {
    begin(call, true)
}

/// `harca.parser_version() → integer`.
fn version(call: &mut Call<'_>) -> Datum {
    call.value(Value::Int(VERSION))
}

fn begin(call: &mut Call<'_>, folds_kana: bool) -> Datum {
    let (Some(source), Some(length)) = (call.datum(0), call.datum(1)) else { return call.null() };
    // SAFETY: the interface passes a pointer to so many bytes of server text, which are valid until the parser's end, and those
    // of a headline until that is made.
    let parser = unsafe { Parser::begin(source.cast_mut_ptr(), length.value() & 0x7fff_ffff, folds_kana) };
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
        let Some((kind, word)) = (*parser.cast_mut_ptr::<Parser>()).next() else { return Datum::from(0) };
        let (start, bytes) = if server_text::server_is_utf8() || word.is_ascii() {
            (word.as_ptr(), word.len())
        } else {
            let converted: *mut pg_sys::varlena = server_text::from_utf8(word).cast_mut_ptr();
            (varlena::vardata_any(converted).cast(), varlena::varsize_any_exhdr(converted))
        };
        *token.cast_mut_ptr::<*const c_char>() = start.cast();
        *length.cast_mut_ptr::<c_int>() = bytes as c_int;
        Datum::from(type_number(kind))
    }
}

/// `(parser internal) → void`: the memory goes now, the husk with its memory context.
fn end(call: &mut Call<'_>) -> Datum {
    if let Some(parser) = call.datum(0) {
        // SAFETY: it is what `start` gave, and the last use of it.
        unsafe { (*parser.cast_mut_ptr::<Parser>()).end() };
    }
    Datum::null()
}

/// `(parsed internal, options internal, query tsquery) → internal`: the parsed text with what is to be shown.
fn show(call: &mut Call<'_>) -> Datum {
    let Some(parsed) = call.datum(0) else { return call.null() };
    // SAFETY: the interface passes the text that was parsed a moment ago, by a parser of ours, and a list of options or null.
    unsafe {
        headline::show(parsed.cast_mut_ptr(), call.datum(1).map_or(std::ptr::null_mut(), |list| list.cast_mut_ptr()))
    };
    parsed
}

/// `harca.quoted_phrases(query text) → setof (place integer, phrase text)`, strict.
fn quoted_phrases(call: &mut Call<'_>) -> Datum {
    let mut rows = call.rows();
    if let Some(query) = call.text(0) {
        for (phrase, place) in phrase::quoted(&server_text::to_utf8(query.prefix(usize::MAX), usize::MAX)).zip(1..) {
            rows.push([Value::Int(place), Value::Text(phrase)]);
        }
    }
    call.null()
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
