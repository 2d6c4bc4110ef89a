//! The text search parser `harca`: the core's segments under PostgreSQL's parser interface (`tsearch/ts_public.h`,
//! and `src/backend/tsearch/wparser_def.c` for the example). And the phrases of a query.
#![allow(unsafe_code)]

use std::borrow::Cow;
use std::ffi::{CStr, c_char, c_int};

use harca_core::text::phrase;
use harca_core::text::segment::{self, Cursor, FITS, Folded, Kind, Room, Text, Unit};
use pgrx::pg_sys::{self, Datum};
use pgrx::{PgMemoryContexts, varlena};

use crate::bridge::function_call::{Call, sql_function};
use crate::bridge::server_text;
use crate::bridge::value::Value;

sql_function!(pg_finfo_harca_parser_start, harca_parser_start, start);
sql_function!(pg_finfo_harca_parser_next, harca_parser_next, next);
sql_function!(pg_finfo_harca_parser_end, harca_parser_end, end);
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

/// Bytes that are folded at once: a text of any length costs no more memory before its first token, and a cancelled
/// statement ends between two pieces.
const PIECE: usize = 1 << 16;

/// A text being cut; PostgreSQL hands it from call to call as `internal`.
struct Parser {
    source: *const c_char,
    length: usize,
    read: usize,
    /// Folded pieces; former ones stay, as a dictionary of phrases holds on to tokens that it was given before.
    pieces: Vec<Folded>,
    /// Tokens that do not stand in a piece as they are; they stay likewise.
    made: Vec<Box<str>>,
    cursor: Cursor,
    /// What still fits, of a long text.
    room: Option<Room>,
}

impl Parser {
    /// The next token, which lives as long as the parser.
    fn next(&mut self) -> Option<(Kind, &str)> {
        loop {
            if let Some(unit) = self.next_of_piece() {
                return match unit.text {
                    Text::Slice(start, end) => self.pieces.last().map(|piece| (unit.kind, &piece.as_str()[start..end])),
                    Text::Made(text) => {
                        self.made.push(text);
                        self.made.last().map(|text| (unit.kind, &**text))
                    }
                };
            }
            if self.read >= self.length {
                return None;
            }
            pg_sys::check_for_interrupts!();
            let piece = segment::fold(&self.next_piece());
            self.pieces.push(piece);
            self.cursor = Cursor::default();
        }
    }

    /// The next unit of the last piece that fits.
    fn next_of_piece(&mut self) -> Option<Unit> {
        let piece = self.pieces.last()?;
        loop {
            let unit = self.cursor.next(piece)?;
            if self.room.as_mut().is_none_or(|room| room.takes(unit.text.of(piece), unit.kind)) {
                return Some(unit);
            }
        }
    }

    /// Up to [`PIECE`] bytes of the source, cut behind a separator, or between two characters where there is none.
    fn next_piece(&mut self) -> Cow<'static, str> {
        // SAFETY: the interface passes a pointer to `length` bytes of server text, which are valid until the parser's
        // end, and no piece is kept longer; `read` never exceeds `length`.
        let rest =
            unsafe { std::slice::from_raw_parts(self.source.cast::<u8>().add(self.read), self.length - self.read) };
        if rest.len() <= PIECE {
            self.read = self.length;
            return server_text::to_utf8(rest, usize::MAX);
        }
        // SAFETY: walks whole characters inside the slice.
        let clipped = unsafe { pg_sys::pg_mbcliplen(rest.as_ptr().cast(), rest.len() as c_int, PIECE as c_int) };
        let clipped = &rest[..usize::try_from(clipped).unwrap_or(1).clamp(1, rest.len())];
        let end = match str::from_utf8(clipped) {
            Ok(utf8) if server_text::server_is_utf8() => {
                utf8.char_indices().rfind(|(_, c)| segment::is_separator(*c)).map(|(i, c)| i + c.len_utf8())
            }
            // In every other encoding a byte of an ASCII character is never part of another one.
            _ => clipped.iter().rposition(u8::is_ascii_whitespace).map(|i| i + 1),
        }
        .unwrap_or(clipped.len());
        self.read += end;
        server_text::to_utf8(&clipped[..end], usize::MAX)
    }
}

/// `(text start internal, length integer) → internal`.
fn start(call: &mut Call<'_>) -> Datum {
    let (Some(source), Some(length)) = (call.datum(0), call.datum(1)) else { return call.null() };
    let length = length.value() & 0x7fff_ffff;
    let parser = Parser {
        source: source.cast_mut_ptr(),
        length,
        read: 0,
        pieces: Vec::new(),
        made: Vec::new(),
        cursor: Cursor::default(),
        room: (length > FITS).then(Room::default),
    };
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
        unsafe {
            let parser = parser.cast_mut_ptr::<Parser>();
            ((*parser).pieces, (*parser).made, (*parser).room) = (Vec::new(), Vec::new(), None);
        }
    }
    Datum::null()
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
