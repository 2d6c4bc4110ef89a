//! A text being cut for PostgreSQL: the core's segments, piece by piece, and what a headline shows of it.
//!
//! Promises: a token lives as long as the parser that gave it; a text of any length costs no more memory before its first token;
//! what is given of it fits into a `tsvector`. The text that was cut last is remembered by its address alone, for the headline
//! function, which PostgreSQL calls right behind it.
//! Uses: [`bridge`](crate::bridge). Used by: [`api`](crate::api).
//!
//! - [`Parser`]: a text being cut. [`headline`]: what is shown of it.
#![allow(unsafe_code)]

use std::borrow::Cow;
use std::cell::Cell;
use std::ffi::{c_char, c_int};

use harca_core::text::segment::{self, CUT, Cursor, FITS, Folded, Kind, Room, Text, Traced, Unit};
use pgrx::pg_sys;

use crate::bridge::server_text;

pub mod headline;

/// Bytes that are folded at once: a text of any length costs no more memory before its first token, and a cancelled
/// statement ends between two pieces.
const PIECE: usize = 1 << 16;

/// A text being cut; PostgreSQL hands it from call to call as `internal`.
pub struct Parser {
    source: Source,
    read: usize,
    /// Folded pieces; former ones stay, as a dictionary of phrases holds on to tokens that it was given before.
    pieces: Vec<Folded>,
    /// Tokens that do not stand in a piece as they are; they stay likewise.
    made: Vec<Box<str>>,
    cursor: Cursor,
    /// What still fits, of a long text.
    room: Option<Room>,
    /// Whether the text has ended, and it was told that units were left out.
    ended: bool,
}

/// A text that PostgreSQL lends.
#[derive(Clone, Copy)]
struct Source {
    text: *const c_char,
    length: usize,
    /// Whether kana and marks of repetition are folded.
    folds_kana: bool,
}

impl Source {
    /// The beginning of a piece.
    fn cursor(self) -> Cursor {
        if self.folds_kana { Cursor::folding_kana() } else { Cursor::default() }
    }
}

thread_local! {
    /// The text that was cut last, which may be gone.
    static LAST: Cell<Option<Source>> = const { Cell::new(None) };
}

/// The text that was cut last, and where each of its tokens stands in it, in their order, as far as that can be told; none
/// before any.
///
/// # Safety
/// That text must still be there: the caller is called for it, as a headline function is.
unsafe fn last_text() -> Option<(String, Vec<(usize, usize)>)> {
    let source = LAST.get()?;
    let mut parser = Parser::of(source);
    let (mut text, mut places) = (String::new(), Vec::new());
    while parser.read < source.length {
        pg_sys::check_for_interrupts!();
        let piece = parser.next_piece();
        // Without the places of a piece there are too few, and the text is shown without marks.
        if let Some(traced) = Traced::of(&piece, source.folds_kana) {
            let mut cursor = source.cursor();
            while let Some(unit) = next_that_fits(&mut cursor, &mut parser.room, traced.folded()) {
                let (start, end) = traced.origin(unit.text.start, unit.text.end);
                places.push((text.len() + start, text.len() + end));
            }
        }
        text.push_str(&piece);
    }
    if parser.is_cut() {
        places.push((text.len(), text.len()));
    }
    Some((text, places))
}

/// The next unit of a piece that fits.
fn next_that_fits(cursor: &mut Cursor, room: &mut Option<Room>, piece: &Folded) -> Option<Unit> {
    loop {
        let unit = cursor.next(piece)?;
        if room.as_mut().is_none_or(|room| room.takes(unit.text.of(piece), unit.kind)) {
            return Some(unit);
        }
    }
}

impl Parser {
    /// Begins to cut `length` bytes of server text; with `folds_kana` as the parser `harca_kana` does.
    ///
    /// # Safety
    /// They must stay there as long as the parser is asked for tokens, and as a headline of them is.
    pub unsafe fn begin(text: *const c_char, length: usize, folds_kana: bool) -> Self {
        let source = Source { text, length, folds_kana };
        LAST.set(Some(source));
        Self::of(source)
    }

    /// Frees what it holds; its tokens go with it.
    pub fn end(&mut self) {
        (self.pieces, self.made, self.room) = (Vec::new(), Vec::new(), None);
    }

    fn of(source: Source) -> Self {
        Self {
            source,
            read: 0,
            pieces: Vec::new(),
            made: Vec::new(),
            cursor: Cursor::default(),
            room: (source.length > FITS).then(Room::default),
            ended: false,
        }
    }

    /// Whether units were left out so far.
    fn is_cut(&self) -> bool {
        self.room.as_ref().is_some_and(|room| room.left_out() > 0)
    }

    /// The next token, which lives as long as the parser.
    pub fn next(&mut self) -> Option<(Kind, &str)> {
        loop {
            if let Some(unit) = self.next_of_piece() {
                let Unit { text: Text { start, end, made }, kind } = unit;
                if let Some(made) = made {
                    self.made.push(made);
                    return self.made.last().map(|text| (kind, &**text));
                }
                return self.pieces.last().map(|piece| (kind, &piece.as_str()[start..end]));
            }
            if self.read >= self.source.length {
                let tells = self.is_cut() && !self.ended;
                self.ended = true;
                return tells.then_some((Kind::Code, CUT));
            }
            pg_sys::check_for_interrupts!();
            let piece = self.next_piece();
            let fold = if self.source.folds_kana { segment::fold_repetitions } else { segment::fold };
            self.pieces.push(fold(&piece));
            self.cursor = self.source.cursor();
        }
    }

    /// The next unit of the last piece.
    fn next_of_piece(&mut self) -> Option<Unit> {
        next_that_fits(&mut self.cursor, &mut self.room, self.pieces.last()?)
    }

    /// Up to [`PIECE`] bytes of the source, cut behind a separator, or between two characters where there is none.
    fn next_piece(&mut self) -> Cow<'static, str> {
        // SAFETY: the interface passes a pointer to `length` bytes of server text, which are valid until the parser's
        // end, and no piece is kept longer; `read` never exceeds `length`.
        let rest = unsafe {
            std::slice::from_raw_parts(self.source.text.cast::<u8>().add(self.read), self.source.length - self.read)
        };
        if rest.len() <= PIECE {
            self.read = self.source.length;
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
