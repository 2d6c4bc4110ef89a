//! Text between PostgreSQL and the core: from a varlena in the server's encoding to UTF-8, and back.
//!
//! Nothing here reads more of a long value than it is asked to, and nothing raises an error for a byte sequence that
//! has no place in Unicode: a replacement character stands for it, as it carries no meaning to classify.
#![allow(unsafe_code)]

use std::borrow::Cow;
use std::cell::RefCell;
use std::slice;

use pgrx::varlena;
use pgrx::{PgMemoryContexts, pg_sys};

/// A `text` argument, still in the server's encoding and perhaps toasted.
#[derive(Clone, Copy)]
pub struct ServerText(pg_sys::Datum);

impl ServerText {
    /// Takes a datum for what it is.
    ///
    /// # Safety
    /// `datum` must be a non-null `text` (or other varlena of server text) that lives until the end of the current
    /// function call.
    pub unsafe fn new(datum: pg_sys::Datum) -> Self {
        Self(datum)
    }

    /// The value as it came.
    pub fn datum(self) -> pg_sys::Datum {
        self.0
    }

    /// The first `chars` characters' worth of bytes, perhaps a few more, never half a value: at most four bytes for
    /// each. Of a toasted value only that much is fetched.
    pub fn prefix<'a>(self, chars: usize) -> &'a [u8] {
        let most = chars.saturating_mul(4).min(1 << 24);
        let pointer: *mut pg_sys::varlena = self.0.cast_mut_ptr();
        // SAFETY: by the contract of `new` the datum points to a varlena that outlives the function call, which is as
        // long as any caller keeps the slice; a detoasted copy lives in the call's memory context.
        unsafe {
            let plain = varlena::varatt_is_4b_u(pointer)
                || (varlena::varatt_is_1b(pointer) && !varlena::varatt_is_1b_e(pointer));
            let whole = if plain { pointer } else { pg_sys::pg_detoast_datum_slice(pointer, 0, most as i32) };
            let length = varlena::varsize_any_exhdr(whole).min(most);
            slice::from_raw_parts(varlena::vardata_any(whole).cast(), length)
        }
    }

    /// The text as a name, of a model or of a file, in UTF-8: of the 4,096 characters that any such name has at most.
    pub fn name(self) -> String {
        to_utf8(self.prefix(MOST_NAME_CHARS), MOST_NAME_CHARS).into_owned()
    }
}

/// Characters of a name that are read.
const MOST_NAME_CHARS: usize = 1 << 12;

/// A name as a `text` of the server's encoding that lives as long as the backend.
#[derive(Clone, Copy)]
pub struct ServerName(pg_sys::Datum);

impl ServerName {
    /// The name in the server's encoding; the same name is stored once, however often it is asked for.
    pub fn new(name: &str) -> Self {
        thread_local! {
            static NAMES: RefCell<Vec<(String, ServerName)>> = const { RefCell::new(Vec::new()) };
        }
        let known = NAMES.with_borrow(|names| names.iter().find(|(known, _)| known == name).map(|(_, name)| *name));
        known.unwrap_or_else(|| {
            // SAFETY: the context lives as long as the process, and what is allocated in it is never freed.
            let stored = Self(unsafe { PgMemoryContexts::TopMemoryContext.switch_to(|_| from_utf8(name)) });
            NAMES.with_borrow_mut(|names| names.push((name.into(), stored)));
            stored
        })
    }

    /// The value; whoever takes it may neither change nor free it, as with any argument that a function hands on.
    pub fn datum(self) -> pg_sys::Datum {
        self.0
    }
}

/// Whether server text is UTF-8 as it stands.
pub fn server_is_utf8() -> bool {
    // Declared here, as the binding of pgrx saves the state of the error handler, which costs more than the call.
    unsafe extern "C" {
        safe fn GetDatabaseEncoding() -> std::ffi::c_int;
    }
    GetDatabaseEncoding() as u32 == pg_sys::pg_enc::PG_UTF8
}

/// Server text as UTF-8, at most `chars` characters of it.
pub fn to_utf8(bytes: &[u8], chars: usize) -> Cow<'_, str> {
    // SAFETY: reads a variable that is fixed when the backend connects.
    let encoding = unsafe { pg_sys::GetDatabaseEncoding() } as u32;
    let mut text = match encoding {
        pg_sys::pg_enc::PG_UTF8 | pg_sys::pg_enc::PG_SQL_ASCII => lossy(bytes),
        _ if bytes.is_ascii() => lossy(bytes),
        _ => Cow::Owned(convert(bytes, encoding as i32)),
    };
    if text.len() > chars
        && let Some((end, _)) = text.char_indices().nth(chars)
    {
        text = match text {
            Cow::Borrowed(s) => Cow::Borrowed(&s[..end]),
            Cow::Owned(mut s) => {
                s.truncate(end);
                Cow::Owned(s)
            }
        };
    }
    text
}

/// UTF-8 as a new `text` in the server's encoding; characters it lacks become `?`.
pub fn from_utf8(text: &str) -> pg_sys::Datum {
    // SAFETY: reads a variable that is fixed when the backend connects.
    let encoding = unsafe { pg_sys::GetDatabaseEncoding() } as u32;
    let bytes = match encoding {
        pg_sys::pg_enc::PG_UTF8 | pg_sys::pg_enc::PG_SQL_ASCII => Cow::Borrowed(text.as_bytes()),
        _ if text.is_ascii() => Cow::Borrowed(text.as_bytes()),
        _ => Cow::Owned(transcode(text.as_bytes(), pg_sys::pg_enc::PG_UTF8 as i32, encoding as i32, b"?")),
    };
    from_bytes(&bytes)
}

/// Server-encoded bytes as a new `text`.
pub fn from_bytes(bytes: &[u8]) -> pg_sys::Datum {
    // SAFETY: the bytes are copied, and a Rust slice is never longer than a text may be allocated: palloc checks.
    unsafe { pg_sys::cstring_to_text_with_len(bytes.as_ptr().cast(), bytes.len() as i32) }.into()
}

/// A prefix may end inside a character: what is left of it goes. Other invalid bytes, which only SQL_ASCII admits,
/// become replacement characters.
fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(error) if error.error_len().is_none() => {
            String::from_utf8_lossy(&bytes[..error.valid_up_to()]) // borrowed: these bytes are valid
        }
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

fn convert(bytes: &[u8], encoding: i32) -> String {
    let utf8 = transcode(bytes, encoding, pg_sys::pg_enc::PG_UTF8 as i32, "\u{fffd}".as_bytes());
    String::from_utf8(utf8).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// Converts with the server's own tables and puts `replacement` where they have no entry.
fn transcode(bytes: &[u8], from: i32, to: i32, replacement: &[u8]) -> Vec<u8> {
    // The most that any conversion of the server grows by (MAX_CONVERSION_GROWTH in mb/pg_wchar.h), and a final zero.
    let mut buffer = vec![0u8; bytes.len().saturating_mul(4).saturating_add(1)];
    let mut out = Vec::with_capacity(buffer.len());
    // SAFETY: a catalog look-up; function calls run inside a transaction.
    let procedure = unsafe { pg_sys::FindDefaultConversionProc(from, to) };
    if procedure == pg_sys::InvalidOid {
        return String::from_utf8_lossy(bytes).into_owned().into_bytes();
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        // SAFETY: `buffer` has room for the growth of `rest`; with `noError` the call returns how many bytes of the
        // source it converted, and ends the output with a zero.
        let done = unsafe {
            pg_sys::pg_do_encoding_conversion_buf(
                procedure,
                from,
                to,
                rest.as_ptr().cast_mut(),
                rest.len() as i32,
                buffer.as_mut_ptr(),
                buffer.len() as i32,
                true,
            )
        };
        let done = usize::try_from(done).unwrap_or(0).min(rest.len());
        out.extend(buffer.iter().take_while(|b| **b != 0));
        rest = &rest[done..];
        if !rest.is_empty() {
            out.extend_from_slice(replacement);
            // SAFETY: reads the first bytes of a non-empty slice; the result may exceed it for a clipped character.
            let width = unsafe { pg_sys::pg_encoding_mblen(from, rest.as_ptr().cast()) };
            rest = &rest[usize::try_from(width).unwrap_or(1).clamp(1, rest.len())..];
        }
    }
    out
}
