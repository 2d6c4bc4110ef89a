//! A record as a line of JSON: how it is written, and how lines, torn ones among them, are read.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use serde::{Deserialize, Serialize};

/// The most bytes that a record has in its file, the line break included.
pub const MAX_RECORD: usize = 8 * 1024;

/// How a line begins: `at` is the first field of [`Record`].
const BEGIN: &[u8] = br#"{"at":"#;

/// A query and what it was taken for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// When, in microseconds since the Unix epoch; in a year from 0 to 9999.
    pub at: i64,
    /// The query, or its beginning if the record would not fit [`MAX_RECORD`] otherwise.
    pub query: String,
    /// The name of its type.
    pub label: String,
    /// The calibrated probability of the type, from 0 to 1.
    pub confidence: f32,
    /// The code of its language.
    pub language: String,
    /// The model that answered.
    pub model: String,
}

impl Record {
    /// The line of this record with as much of the query as fits, cut between two characters.
    pub(super) fn line(&self) -> io::Result<Vec<u8>> {
        if !self.confidence.is_finite() {
            return Err(invalid("the confidence is not a finite number"));
        }
        let mut fitting = Self {
            at: self.at,
            query: String::new(),
            label: self.label.clone(),
            confidence: self.confidence,
            language: self.language.clone(),
            model: self.model.clone(),
        };
        let frame = serde_json::to_vec(&fitting)?.len() + 1;
        let room =
            MAX_RECORD.checked_sub(frame).ok_or_else(|| invalid("the record is too long even without its query"))?;
        fitting.query.push_str(cut(&self.query, room));
        let mut line = serde_json::to_vec(&fitting)?;
        line.push(b'\n');
        Ok(line)
    }
}

/// The longest beginning of `text` that has at most `room` bytes within a JSON string.
fn cut(text: &str, room: usize) -> &str {
    let mut used = 0;
    for (start, letter) in text.char_indices() {
        used += match letter {
            '"' | '\\' | '\u{8}' | '\u{c}' | '\n' | '\r' | '\t' => 2,
            '\0'..' ' => 6,
            _ => letter.len_utf8(),
        };
        if used > room {
            return &text[..start];
        }
    }
    text
}

/// The records of a day, from [`QueryLog::read`](super::QueryLog::read). After an error there are no more.
#[derive(Debug)]
pub struct Records {
    file: Option<BufReader<File>>,
    line: Vec<u8>,
    skipped: u64,
}

impl Records {
    pub(super) fn new(file: File) -> Self {
        Self { file: Some(BufReader::new(file)), line: Vec::new(), skipped: 0 }
    }

    /// How many lines so far were not a record and nothing else. The last line can be one that is just being written.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Reads the next line, or the end of a line that is too long for a record; false at the end of the file.
    fn next_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        let Some(file) = &mut self.file else {
            return Ok(false);
        };
        loop {
            let count = file.take(MAX_RECORD as u64).read_until(b'\n', &mut self.line)?;
            if count == 0 || self.line.ends_with(b"\n") {
                return Ok(!self.line.is_empty());
            }
            // No more than a whole record can be at the end of the line.
            self.line.drain(..self.line.len().saturating_sub(MAX_RECORD));
        }
    }

    fn parse_line(&mut self) -> Option<Record> {
        if let Ok(record) = serde_json::from_slice(&self.line) {
            return Some(record);
        }
        self.skipped += 1;
        let start = self.line.windows(BEGIN.len()).rposition(|bytes| bytes == BEGIN)?;
        serde_json::from_slice(&self.line[start..]).ok()
    }
}

impl Iterator for Records {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.next_line() {
                Ok(true) => {
                    if let Some(record) = self.parse_line() {
                        return Some(Ok(record));
                    }
                }
                Ok(false) => return None,
                Err(error) => {
                    self.file = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// The error for a record that no line can hold.
pub(super) fn invalid(reason: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, reason)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cut_is_as_long_as_fits(text in "(\\PC|[\\x00-\\x7f]){0,60}", room in 0..100usize) {
            let bytes_of = |text: &str| serde_json::to_string(text).unwrap().len() - 2;
            let short = cut(&text, room);
            prop_assert!(text.starts_with(short) && bytes_of(short) <= room);
            if let Some(next) = text[short.len()..].chars().next() {
                let longer = format!("{short}{next}");
                prop_assert!(bytes_of(&longer) > room);
            }
        }
    }
}
