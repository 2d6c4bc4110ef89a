//! The tables `harca.deployment` and `harca.model` as a backend reads them, and how it learns that they have changed; see
//! the [module above](super).
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use pgrx::pg_sys::{self, Datum, Oid};

use crate::bridge::own_table::{self, Row, find, scan};

/// The row of `harca.deployment`.
pub struct Deployment {
    pub active: String,
    pub previous: Option<String>,
    pub comparison: Option<String>,
    pub challenger: Option<String>,
    pub share: Option<f64>,
    pub changed_at: i64,
}

/// Columns of `harca.deployment`, from 0, in the order of `sql/models/registry.sql`.
mod deployment_column {
    pub const ACTIVE: usize = 1;
    pub const PREVIOUS: usize = 2;
    pub const COMPARISON: usize = 3;
    pub const CHALLENGER: usize = 4;
    pub const SHARE: usize = 5;
    pub const CHANGED_AT: usize = 6;
}

/// Columns of `harca.model`, likewise.
mod model_column {
    pub const MODEL: usize = 0;
    pub const IDENTITY: usize = 1;
    pub const MANIFEST: usize = 2;
    pub const GRAPH: usize = 3;
    pub const NAME: usize = 4;
    pub const REGISTERED_AT: usize = 10;
    pub const TOKENIZER: usize = 12;
}

/// The table whose invalidation says that models have changed; 0 until it was looked for, and where there is none.
static DEPLOYMENT: AtomicU32 = AtomicU32::new(0);
static CHANGED: AtomicBool = AtomicBool::new(true);
static LISTENING: AtomicBool = AtomicBool::new(false);

/// Whether the tables may have changed since they were read.
pub fn is_changed() -> bool {
    CHANGED.load(Relaxed)
}

/// Runs `read`; what changes while it does, and all of it when it ends by an error, counts as changed.
pub fn while_unchanged<R>(read: impl FnOnce() -> R) -> R {
    struct Reading {
        done: bool,
    }
    impl Drop for Reading {
        fn drop(&mut self) {
            if !self.done {
                CHANGED.store(true, Relaxed);
            }
        }
    }
    let mut reading = Reading { done: false };
    CHANGED.store(false, Relaxed);
    let result = read();
    reading.done = true;
    result
}

/// Tells every backend, when this transaction commits, that the tables have changed.
pub fn announce_change() {
    own_table::announce_change(c"deployment");
}

/// The row that says which models answer; none before the first activation.
pub fn deployment() -> Option<Deployment> {
    use deployment_column::*;
    let table = find(c"deployment");
    DEPLOYMENT.store(table.map_or(0, |table| table.to_u32()), Relaxed);
    if !LISTENING.swap(true, Relaxed) {
        // SAFETY: registered once for the life of the process; the function only stores a flag.
        unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), Datum::null()) };
    }
    let mut found = None;
    scan(table?, |row| {
        found = Some(Deployment {
            active: row.text(ACTIVE).unwrap_or_default(),
            previous: row.text(PREVIOUS),
            comparison: row.text(COMPARISON),
            challenger: row.text(CHALLENGER),
            share: row.double(SHARE),
            changed_at: row.big_int(CHANGED_AT).unwrap_or(0),
        });
        true
    });
    found
}

/// What tells the registered model from others of its name, if there is one.
pub fn identity(model: &str) -> Option<String> {
    find_model(model, |row| row.text(model_column::IDENTITY))
}

/// Manifest and graph of a registered model.
pub fn model(model: &str) -> Option<(String, Vec<u8>)> {
    find_model(model, |row| Some((row.text(model_column::MANIFEST)?, row.bytes(model_column::GRAPH)?)))
}

/// The registered model of this name and version, or the one of this name alone that was registered last.
pub fn latest(name: &str) -> Option<String> {
    let mut found = None;
    scan(find(c"model")?, |row| {
        let model = row.text(model_column::MODEL);
        let rank = match model.as_deref() {
            Some(model) if model == name => i64::MAX,
            _ if row.text(model_column::NAME).as_deref() == Some(name) => {
                row.big_int(model_column::REGISTERED_AT).unwrap_or(i64::MIN)
            }
            _ => return false,
        };
        found = found.take().max(model.map(|model| (rank, model)));
        false
    });
    found.map(|(_, model)| model)
}

/// The manifest of a registered model.
pub fn manifest(model: &str) -> Option<String> {
    find_model(model, |row| row.text(model_column::MANIFEST))
}

/// Bytes of the graph and of the tokenizer of a registered model, 0 where there is no tokenizer.
pub fn sizes(model: &str) -> Option<(u64, u64)> {
    find_model(model, |row| Some((row.size(model_column::GRAPH)?, row.size(model_column::TOKENIZER).unwrap_or(0))))
}

/// Some of the bytes of the graph, or of the tokenizer, of a registered model.
pub fn part(model: &str, tokenizer: bool, from: u64, bytes: usize) -> Option<Vec<u8>> {
    let column = if tokenizer { model_column::TOKENIZER } else { model_column::GRAPH };
    find_model(model, |row| row.slice(column, from, bytes))
}

/// There are few models, and their graphs are out of line: a scan reads a page or two.
fn find_model<R>(model: &str, read: impl Fn(&Row<'_>) -> Option<R>) -> Option<R> {
    let mut found = None;
    scan(find(c"model")?, |row| {
        let is_it = row.text(model_column::MODEL).is_some_and(|name| name == model);
        if is_it {
            found = read(row);
        }
        is_it
    });
    found
}

unsafe extern "C-unwind" fn relation_changed(_argument: Datum, relation: Oid) {
    // It runs wherever messages are taken in, in the midst of a classification too: it remembers, and nothing else.
    if relation == pg_sys::InvalidOid || relation.to_u32() == DEPLOYMENT.load(Relaxed) {
        CHANGED.store(true, Relaxed);
    }
}
