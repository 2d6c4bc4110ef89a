//! What `ts_headline` shows, for the parsers `harca` and `harca_kana`: the core's fragments under PostgreSQL's headline interface
//! (`tsearch/ts_public.h`, and `prsd_headline` in `src/backend/tsearch/wparser_def.c` for the example).
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char};

use harca_core::text::headline::{Length, Piece, Word, fragments};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self, HeadlineParsedText, HeadlineWordEntry};
use pgrx::{PgList, PgLogLevel, PgSqlErrorCode};

use super::last_text;
use crate::bridge::server_text;

/// Bytes of an entry: its length has 16 bits.
const MOST_BYTES: usize = 65_000;

/// What PostgreSQL's options say.
struct Options {
    length: Length,
    start: CString,
    stop: CString,
    delimiter: CString,
}

/// Puts what is to be shown of a text in the place of its words.
///
/// # Safety
/// `text` must be one that a parser of ours has just parsed for PostgreSQL, and the memory at hand that of the call; `list` is
/// null or a list of options.
pub unsafe fn show(text: *mut HeadlineParsedText, list: *mut pg_sys::List) {
    // SAFETY: by the contract.
    unsafe {
        let options = Options::of(list);
        let (source, places) = last_text().unwrap_or_default();
        let words = words(&*text, &places);
        let shown = fragments(source.len(), &words, options.length);
        put(&mut *text, &source, &shown);
        (*text).startsel = pg_sys::pstrdup(options.start.as_ptr());
        (*text).stopsel = pg_sys::pstrdup(options.stop.as_ptr());
        (*text).fragdelim = pg_sys::pstrdup(options.delimiter.as_ptr());
        let length = |string: &CString| i16::try_from(string.as_bytes().len()).unwrap_or(i16::MAX);
        (*text).startsellen = length(&options.start);
        (*text).stopsellen = length(&options.stop);
        (*text).fragdelimlen = length(&options.delimiter);
    }
}

/// The words of the text, with those of the query, which PostgreSQL has found out.
///
/// # Safety
/// `text` must be one that PostgreSQL has parsed.
unsafe fn words(text: &HeadlineParsedText, places: &[(usize, usize)]) -> Vec<Word> {
    let count = usize::try_from(text.curwords).unwrap_or(0);
    // SAFETY: by the contract, so many entries are there. One that is repeated stands behind that of its token.
    let entries = if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(text.words, count) } };
    let wanted: Vec<usize> =
        entries.iter().filter(|entry| entry.repeated() == 0).map(|entry| entry.item as usize).collect();
    let mut known = HashMap::new();
    let mut number = |item: usize| {
        let next = known.len();
        *known.entry(item).or_insert(next)
    };
    // Tokens that do not go with places would mark others.
    let told = wanted.len() == places.len();
    let mut word = |n: usize, (start, end): (usize, usize)| Word {
        start,
        end,
        wanted: wanted.get(n).filter(|item| **item != 0 && told).map(|item| number(*item)),
    };
    places.iter().enumerate().map(|(n, place)| word(n, *place)).collect()
}

/// Puts what is shown in the place of the words that were parsed.
///
/// # Safety
/// `text` must be one that PostgreSQL has parsed; the memory at hand is that of the call.
unsafe fn put(text: &mut HeadlineParsedText, source: &str, shown: &[Vec<Piece>]) {
    let mut entries: Vec<HeadlineWordEntry> = Vec::new();
    for (n, fragment) in shown.iter().enumerate() {
        if n > 0 {
            // Between two fragments stands what is not shown.
            // SAFETY: a fresh allocation.
            entries.push(unsafe { entry("", false) });
        }
        for piece in fragment {
            let mut rest = &source[piece.start..piece.end];
            while !rest.is_empty() {
                let end = rest.floor_char_boundary(MOST_BYTES);
                // SAFETY: as above.
                let mut shown = unsafe { entry(&rest[..end], true) };
                shown.set_selected(piece.marked.into());
                entries.push(shown);
                rest = &rest[end..];
            }
        }
    }
    let size = size_of::<HeadlineWordEntry>() * entries.len().max(1);
    // SAFETY: a fresh allocation of the size of all entries.
    unsafe {
        let words = pg_sys::palloc0(size).cast::<HeadlineWordEntry>();
        std::ptr::copy_nonoverlapping(entries.as_ptr(), words, entries.len());
        text.words = words;
    }
    text.curwords = entries.len() as i32;
    text.lenwords = text.curwords.max(1);
}

/// An entry with its characters, which PostgreSQL frees.
///
/// # Safety
/// The memory at hand must be that of the call.
unsafe fn entry(characters: &str, shown: bool) -> HeadlineWordEntry {
    let mut entry = HeadlineWordEntry::default();
    // SAFETY: fresh allocations of at least so many bytes.
    unsafe {
        let (bytes, length): (*const c_char, usize) = if server_text::server_is_utf8() || characters.is_ascii() {
            (characters.as_ptr().cast(), characters.len())
        } else {
            let converted: *mut pg_sys::varlena = server_text::from_utf8(characters).cast_mut_ptr();
            (pgrx::varlena::vardata_any(converted).cast(), pgrx::varlena::varsize_any_exhdr(converted))
        };
        let word = pg_sys::palloc(length.max(1)).cast::<c_char>();
        std::ptr::copy_nonoverlapping(bytes, word, length);
        entry.word = word;
        entry.set_len(length as u32);
    }
    entry.set_in(shown.into());
    entry
}

impl Options {
    /// Raises PostgreSQL's errors for what it would not take either.
    ///
    /// # Safety
    /// `list` must be null or a list of options.
    unsafe fn of(list: *mut pg_sys::List) -> Self {
        let mut options = Self {
            length: Length { all: false, most: 35, fewest: 15, fragments: 0 },
            start: c"<b>".into(),
            stop: c"</b>".into(),
            delimiter: c" ... ".into(),
        };
        let (mut most, mut fewest, mut short, mut fragments) = (35, 15, 3, 0);
        // SAFETY: by the contract; names and values are strings.
        let given = unsafe { PgList::<pg_sys::DefElem>::from_pg(list) };
        for option in given.iter_ptr() {
            // SAFETY: as above.
            let (name, value) = unsafe { (CStr::from_ptr((*option).defname), pg_sys::defGetString(option)) };
            // SAFETY: as above.
            let text = unsafe { CStr::from_ptr(value) };
            // SAFETY: a string; what is no number is an error of PostgreSQL's.
            let number = || unsafe { pg_sys::pg_strtoint32(value) };
            match name.to_bytes().to_ascii_lowercase().as_slice() {
                b"maxwords" => most = number(),
                b"minwords" => fewest = number(),
                b"shortword" => short = number(),
                b"maxfragments" => fragments = number(),
                b"startsel" => options.start = text.into(),
                b"stopsel" => options.stop = text.into(),
                b"fragmentdelimiter" => options.delimiter = text.into(),
                b"highlightall" => {
                    let yes: [&[u8]; 6] = [b"1", b"on", b"true", b"t", b"y", b"yes"];
                    options.length.all = yes.contains(&text.to_bytes().to_ascii_lowercase().as_slice());
                }
                _ => refuse(format!("unrecognized headline parameter: \"{}\"", name.to_string_lossy())),
            }
        }
        if !options.length.all {
            if fewest >= most {
                refuse("MinWords must be less than MaxWords".into());
            }
            if fewest <= 0 {
                refuse("MinWords must be positive".into());
            }
            if short < 0 {
                refuse("ShortWord must be >= 0".into());
            }
            if fragments < 0 {
                refuse("MaxFragments must be >= 0".into());
            }
        }
        let natural = |number: i32| usize::try_from(number).unwrap_or(0);
        (options.length.most, options.length.fewest) = (natural(most), natural(fewest));
        options.length.fragments = natural(fragments);
        options
    }
}

fn refuse(message: String) {
    ErrorReport::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message, "")
        .set_hint("The options are those of ts_headline in the documentation of PostgreSQL.")
        .report(PgLogLevel::ERROR);
}
