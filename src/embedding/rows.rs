//! The texts of rows, and their embeddings.

use pgrx::spi::Spi;

use super::queue::Keys;
use super::tables::Table;
use super::transaction::{acting_as, or_raise};
use crate::backend::Vectors;

/// A row on its way to its embedding.
pub struct Row {
    /// Its place among the keys.
    pub place: usize,
    /// Its text.
    pub text: String,
    /// What tells this text from another one.
    pub hash: i64,
}

/// The rows of keys that are there and have a text.
pub fn read(table: &Table, keys: &Keys) -> Vec<Row> {
    acting_as(table.owner, || {
        or_raise(Spi::connect(|client| {
            let mut rows = Vec::new();
            for row in client.select(table.columns.read().as_str(), None, &[keys.json().into()])? {
                let place = row.get::<i64>(1)?.and_then(|n| usize::try_from(n - 1).ok());
                if let (Some(place), Some(text), Some(hash)) = (place, row.get::<Vec<u8>>(2)?, row.get::<i64>(3)?) {
                    rows.push(Row { place, text: String::from_utf8_lossy(&text).into_owned(), hash });
                }
            }
            Ok(rows)
        }))
    })
}

/// Writes the embeddings of rows whose text is still the same, and takes those out whose text has gone; how many were written.
pub fn write(table: &Table, keys: &Keys, rows: &[Row], vectors: &Vectors) -> usize {
    let of_rows = Keys { keys: rows.iter().filter_map(|row| keys.keys.get(row.place).cloned()).collect(), ..*keys };
    let hashes: Vec<i64> = rows.iter().map(|row| row.hash).collect();
    let width = i32::try_from(vectors.width).unwrap_or(i32::MAX);
    let (write, clear) = (table.columns.write(), table.columns.clear());
    acting_as(table.owner, || {
        or_raise(Spi::connect_mut(|client| {
            let mut written = 0;
            if !rows.is_empty() {
                let numbers = vectors.numbers.clone();
                let parameters = [of_rows.json().into(), hashes.into(), numbers.into(), width.into()];
                written = client.update(write.as_str(), None, &parameters)?.len();
            }
            if rows.len() < keys.keys.len() {
                client.update(clear.as_str(), None, &[keys.json().into()])?;
            }
            Ok(written)
        }))
    })
}
