//! The texts of rows, and their embeddings.

use harca_core::embedding::passages;
use pgrx::spi::Spi;

use super::queue::Keys;
use super::tables::Table;
use super::transaction::{acting_as, or_raise};
use crate::backend::Vectors;

/// A row on its way to its embedding.
#[derive(Clone)]
pub struct Row {
    /// Its place among the keys.
    pub place: usize,
    /// What of its text is embedded: all of it, or its passages.
    pub parts: Vec<Part>,
    /// What tells this text from another one.
    pub hash: i64,
}

/// A text that has a vector of its own.
#[derive(Clone)]
pub struct Part {
    /// Characters before it in the text of the row.
    start: usize,
    /// Its characters.
    chars: usize,
    /// Itself.
    pub text: String,
}

impl Row {
    fn of(table: &Table, place: usize, text: &str, hash: i64) -> Self {
        let parts = match table.chunking {
            None => vec![Part { start: 0, chars: 0, text: text.to_owned() }],
            Some(chunking) => {
                let passages = passages::cut(text, chunking).into_iter();
                passages.map(|part| Part { start: part.start, chars: part.chars, text: part.text.to_owned() }).collect()
            }
        };
        Self { place, parts, hash }
    }
}

/// The rows of keys that are there and have a text.
pub fn read(table: &Table, keys: &Keys) -> Vec<Row> {
    acting_as(table.owner, || {
        or_raise(Spi::connect(|client| {
            let mut rows = Vec::new();
            for row in client.select(table.columns.read().as_str(), None, &[keys.json().into()])? {
                let place = row.get::<i64>(1)?.and_then(|n| usize::try_from(n - 1).ok());
                if let (Some(place), Some(text), Some(hash)) = (place, row.get::<Vec<u8>>(2)?, row.get::<i64>(3)?) {
                    rows.push(Row::of(table, place, &String::from_utf8_lossy(&text), hash));
                }
            }
            Ok(rows)
        }))
    })
}

/// Locks the rows of keys; the places of those that are there and that another transaction has locked.
///
/// Nobody waits here: who waits for a row and has others locked may have a user's statement wait for these, and then one of the
/// two has to fail.
pub fn lock(table: &Table, keys: &Keys) -> Vec<usize> {
    let places = |sql: String| {
        or_raise(Spi::connect_mut(|client| {
            let mut places = Vec::new();
            for row in client.update(sql.as_str(), None, &[keys.json().into()])? {
                places.extend(row.get::<i64>(1)?.and_then(|n| usize::try_from(n - 1).ok()));
            }
            Ok(places)
        }))
    };
    acting_as(table.owner, || {
        let locked = places(table.columns.lock());
        let mut others = if locked.len() < keys.keys.len() { places(table.columns.find()) } else { Vec::new() };
        others.retain(|place| !locked.contains(place));
        others
    })
}

/// Writes the embeddings of rows whose text is still the same, and takes those out whose text has gone; how many were written.
pub fn write(table: &Table, keys: &Keys, rows: &[Row], vectors: &Vectors) -> usize {
    let of_rows = keys.some(rows.iter().map(|row| row.place));
    let hashes: Vec<i64> = rows.iter().map(|row| row.hash).collect();
    let width = i32::try_from(vectors.width).unwrap_or(i32::MAX);
    let (write, clear) = (table.columns.write(), table.columns.clear());
    acting_as(table.owner, || {
        or_raise(Spi::connect_mut(|client| {
            let mut written = Vec::new();
            if !rows.is_empty() {
                let numbers = of_texts(rows, vectors);
                let parameters = [of_rows.json().into(), hashes.into(), numbers.into(), width.into()];
                for row in client.update(write.as_str(), None, &parameters)? {
                    written.extend(row.get::<i64>(1)?.and_then(|n| usize::try_from(n - 1).ok()));
                }
            }
            if rows.len() < keys.keys.len() {
                client.update(clear.as_str(), None, &[keys.json().into()])?;
            }
            let Some((remove, add)) = table.columns.remove_passages().zip(table.columns.add_passages()) else {
                return Ok(written.len());
            };
            // Of rows that are gone or have no text any more, too.
            let is_there = |place: &usize| rows.iter().any(|row| row.place == *place);
            let without = (0..keys.keys.len()).filter(|place| !is_there(place));
            let places = written.iter().map(|n| rows[*n].place).chain(without);
            client.update(remove.as_str(), None, &[keys.some(places).json().into()])?;
            let mut passages = Passages::default();
            for (n, (row, own)) in with_vectors(rows, vectors).enumerate().filter(|(n, _)| written.contains(n)) {
                passages.take(row, n, own);
            }
            let Passages { places, passages, starts, lengths, hashes, numbers } = passages;
            let parameters = [
                of_rows.json().into(),
                places.into(),
                passages.into(),
                starts.into(),
                lengths.into(),
                hashes.into(),
                numbers.into(),
                width.into(),
            ];
            client.update(add.as_str(), None, &parameters)?;
            Ok(written.len())
        }))
    })
}

/// The vectors of whole texts: each that of its only part, or the mean of its parts.
fn of_texts(rows: &[Row], vectors: &Vectors) -> Vec<f32> {
    with_vectors(rows, vectors).flat_map(|(_, own)| passages::mean(own, vectors.width)).collect()
}

/// Rows with the numbers of their vectors, which come in the order of the rows.
pub fn with_vectors<'a>(rows: &'a [Row], vectors: &'a Vectors) -> impl Iterator<Item = (&'a Row, &'a [f32])> {
    let mut rest = vectors.numbers.as_slice();
    rows.iter().map(move |row| {
        let (own, others) = rest.split_at((row.parts.len() * vectors.width).min(rest.len()));
        rest = others;
        (row, own)
    })
}

/// Passages as the statement that adds them takes them.
#[derive(Default)]
struct Passages {
    places: Vec<i32>,
    passages: Vec<i32>,
    starts: Vec<i32>,
    lengths: Vec<i32>,
    hashes: Vec<i64>,
    numbers: Vec<f32>,
}

impl Passages {
    /// Takes those of a row, the `n`th, with the numbers of their vectors.
    fn take(&mut self, row: &Row, n: usize, own: &[f32]) {
        let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        for (passage, part) in row.parts.iter().enumerate() {
            self.places.push(number(n + 1));
            self.passages.push(number(passage + 1));
            self.starts.push(number(part.start + 1));
            self.lengths.push(number(part.chars));
            self.hashes.push(row.hash);
        }
        self.numbers.extend(own);
    }
}
