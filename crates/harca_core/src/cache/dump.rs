//! The file that carries the shared cache over a restart (L3).
//!
//! All numbers are little endian.
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 8 | the letters `pg_harca` |
//! | 8 | 4 | the format, [`FORMAT`] |
//! | 12 | 20 | the version of this crate that gave the answers, zeros behind it |
//! | 32 | 8 | the secret that the keys were made with |
//! | 40 | 64 each | entries: the eight words of `shared::Entry` |
//! | then | 8 | the number of entries |
//! | then | 16 | XXH3-128 of everything before |
//!
//! A version answers only with what it has worked out itself: answers also depend on code, such as the rules. The
//! checksum finds damage, not malice: whoever may write the file may write any answer into it. With the secret in it, the
//! file must be readable by the server alone.

use std::io::{self, Write};

use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

use crate::cache::shared::{Entry, WORDS};

/// The format that is written, and the only one that is read. Raise it when the header, the words of an entry, the hash
/// of the keys or a [`Language::number`](crate::text::language::Language::number) changes.
pub const FORMAT: u32 = 1;

const MAGIC: [u8; 8] = *b"pg_harca";
const VERSION: [u8; 20] = padded(env!("CARGO_PKG_VERSION"));
const ENTRY_BYTES: usize = 8 * WORDS;
const COUNT_BYTES: usize = 8;
const CHECKSUM_BYTES: usize = 16;

/// Why a file is no dump that can be used. The texts are single lines without a final stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DumpError {
    /// It begins like no dump, or is too short to tell.
    #[error("it is not a cache dump of pg_harca")]
    Foreign,
    /// It has another format.
    #[error("it has format {0}, and this version reads format {FORMAT} only")]
    Format(u32),
    /// Another version wrote it; its name is printable whatever the file holds.
    #[error("it was written by version \"{0}\", and this is version \"{version}\"", version = env!("CARGO_PKG_VERSION"))]
    Version(String),
    /// Its length is not that of a whole dump.
    #[error("it is incomplete, or something was added to it")]
    Length,
    /// It is not what was written.
    #[error("it was altered: its checksum is wrong")]
    Checksum,
    /// The entry with this number, from 0, is none, though the checksum is right.
    #[error("its entry {0} is invalid")]
    Entry(usize),
}

/// A dump that has been checked from end to end; it borrows the bytes of the file and allocates nothing.
#[derive(Debug, Clone, Copy)]
pub struct Dump<'a> {
    secret: u64,
    entries: &'a [[u8; ENTRY_BYTES]],
}

impl<'a> Dump<'a> {
    /// The secret that the keys of the entries were made with; see [`seed`](crate::text::key::seed).
    #[must_use]
    pub fn secret(&self) -> u64 {
        self.secret
    }

    /// The number of entries.
    #[must_use]
    pub fn entry_count(&self) -> usize {
        self.entries.len()
    }

    /// The entries in the order in which they were written.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + use<'a> {
        // `read` has decoded every one of them, so none is left out here.
        self.entries.iter().filter_map(decode)
    }
}

/// Writes a dump of `entries`, and gives their number. Those with an answer that cannot be kept are left out.
///
/// The entries are taken one by one and written through a buffer of a few kilobytes. Neither the file's name nor its
/// safe arrival on disk is this function's business.
///
/// # Errors
/// Those of `out`; what was written by then is no dump.
pub fn write(out: &mut impl Write, secret: u64, entries: impl IntoIterator<Item = Entry>) -> io::Result<u64> {
    let mut out = Summed { out: io::BufWriter::new(out), sum: Xxh3Default::new() };
    out.write(&MAGIC)?;
    out.write(&FORMAT.to_le_bytes())?;
    out.write(&VERSION)?;
    out.write(&secret.to_le_bytes())?;
    let mut count = 0u64;
    for words in entries.into_iter().filter_map(Entry::to_words) {
        for word in words {
            out.write(&word.to_le_bytes())?;
        }
        count += 1;
    }
    out.write(&count.to_le_bytes())?;
    out.out.write_all(&out.sum.digest128().to_le_bytes())?;
    out.out.flush()?;
    Ok(count)
}

/// A writer, and the checksum of what went through it.
struct Summed<W: Write> {
    out: io::BufWriter<W>,
    sum: Xxh3Default,
}

impl<W: Write> Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.out.write_all(bytes)
    }
}

/// Reads the bytes of a whole file.
///
/// # Errors
/// A [`DumpError`] for anything that [`write()`] of this version has not written, byte for byte.
pub fn read(file: &[u8]) -> Result<Dump<'_>, DumpError> {
    let mut rest = file;
    if *take::<8>(&mut rest).ok_or(DumpError::Foreign)? != MAGIC {
        return Err(DumpError::Foreign);
    }
    let format = u32::from_le_bytes(*take(&mut rest).ok_or(DumpError::Length)?);
    if format != FORMAT {
        return Err(DumpError::Format(format));
    }
    let version = take::<20>(&mut rest).ok_or(DumpError::Length)?;
    if *version != VERSION {
        let name = version.split(|byte| *byte == 0).next().unwrap_or_default();
        return Err(DumpError::Version(name.escape_ascii().to_string()));
    }
    let secret = u64::from_le_bytes(*take(&mut rest).ok_or(DumpError::Length)?);
    let (rest, checksum) = rest.split_last_chunk::<CHECKSUM_BYTES>().ok_or(DumpError::Length)?;
    let (rest, count) = rest.split_last_chunk::<COUNT_BYTES>().ok_or(DumpError::Length)?;
    let (entries, odd_bytes) = rest.as_chunks::<ENTRY_BYTES>();
    if !odd_bytes.is_empty() || u64::from_le_bytes(*count) != entries.len() as u64 {
        return Err(DumpError::Length);
    }
    let summed = &file[..file.len() - CHECKSUM_BYTES];
    if u128::from_le_bytes(*checksum) != xxh3_128(summed) {
        return Err(DumpError::Checksum);
    }
    if let Some(wrong) = entries.iter().position(|bytes| decode(bytes).is_none()) {
        return Err(DumpError::Entry(wrong));
    }
    Ok(Dump { secret, entries })
}

/// Cuts the first `N` bytes off `rest`.
fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (first, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(first)
}

/// The entry of these bytes, if they are what [`write()`] makes of one.
fn decode(bytes: &[u8; ENTRY_BYTES]) -> Option<Entry> {
    let mut words = [0; WORDS];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    // The high half of word 0 belongs to the sequence number, which no entry has.
    (words[0] >> 32 == 0).then(|| Entry::from_words(&words))?
}

const fn padded(text: &str) -> [u8; 20] {
    let mut bytes = [0; 20];
    let (text, mut i) = (text.as_bytes(), 0);
    while i < text.len() {
        bytes[i] = text[i];
        i += 1;
    }
    bytes
}
