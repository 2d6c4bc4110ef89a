//! The tables `harca.deployment` and `harca.model` as a backend reads them, and how it learns that they have changed; see
//! the [module above](super).
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::varlena;

use crate::bridge::server_text::to_utf8;

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
}

/// The table whose invalidation says that models have changed; 0 until it was looked for, and where there is none.
static DEPLOYMENT: AtomicU32 = AtomicU32::new(0);
static CHANGED: AtomicBool = AtomicBool::new(true);
static LISTENING: AtomicBool = AtomicBool::new(false);

/// Takes in what other backends have changed.
pub fn accept_changes() {
    // SAFETY: inside a transaction, where any lock of a table does the same.
    unsafe { pg_sys::AcceptInvalidationMessages() };
}

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
    if let Some(table) = find(c"deployment") {
        // SAFETY: a table of this database, found a moment ago, inside a transaction.
        unsafe { pg_sys::CacheInvalidateRelcacheByRelid(table) };
    }
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
            share: row.value(SHARE).map(|datum| f64::from_bits(datum.value() as u64)),
            changed_at: row.value(CHANGED_AT).map_or(0, |datum| datum.value() as i64),
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

/// There are few models, and their graphs are out of line: a scan reads a page or two.
fn find_model<R>(model: &str, read: impl Fn(&Row) -> Option<R>) -> Option<R> {
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

/// The table of this name in the schema of the extension.
fn find(table: &CStr) -> Option<Oid> {
    // SAFETY: catalog look-ups inside a transaction, of null-terminated names; both give 0 for what is not there.
    let found = unsafe {
        let schema = pg_sys::get_namespace_oid(c"harca".as_ptr(), true);
        if schema == pg_sys::InvalidOid { schema } else { pg_sys::get_relname_relid(table.as_ptr(), schema) }
    };
    (found != pg_sys::InvalidOid).then_some(found)
}

/// A row that a scan is at.
struct Row<'a> {
    values: &'a [Datum],
    nulls: &'a [bool],
}

impl Row<'_> {
    fn value(&self, column: usize) -> Option<Datum> {
        let null = self.nulls.get(column).copied().unwrap_or(true);
        (!null).then(|| self.values[column])
    }

    /// A `text` or `json` value as UTF-8.
    fn text(&self, column: usize) -> Option<String> {
        let bytes = self.bytes(column)?;
        Some(to_utf8(&bytes, usize::MAX).into_owned())
    }

    /// The bytes of a value of a type of variable length.
    fn bytes(&self, column: usize) -> Option<Vec<u8>> {
        let datum = self.value(column)?;
        // SAFETY: the columns that are asked for have such a type in `sql/models/registry.sql`. A value that is compressed
        // or out of line is fetched under the snapshot of the scan and freed again, as it may have the size of a model.
        unsafe {
            let stored = datum.cast_mut_ptr::<pg_sys::varlena>();
            let plain = pg_sys::pg_detoast_datum_packed(stored);
            let size = varlena::varsize_any_exhdr(plain);
            let bytes = std::slice::from_raw_parts(varlena::vardata_any(plain).cast::<u8>(), size).to_vec();
            if plain != stored {
                pg_sys::pfree(plain.cast());
            }
            Some(bytes)
        }
    }
}

/// Shows the rows of a table, until `look` says that it has seen enough.
fn scan(table: Oid, mut look: impl FnMut(&Row) -> bool) {
    // SAFETY: as the server scans a catalog without an index: the table stays locked while it is open, the snapshot is the
    // latest one and registered by the scan, and rows are valid until the next is asked for. After an error the
    // transaction gives all of it back.
    unsafe {
        let relation = pg_sys::table_open(table, pg_sys::AccessShareLock as i32);
        let descriptor = (*relation).rd_att;
        let columns = usize::try_from((*descriptor).natts).unwrap_or(0);
        let (mut values, mut nulls) = (vec![Datum::null(); columns], vec![true; columns]);
        let rows = pg_sys::systable_beginscan(
            relation,
            pg_sys::InvalidOid,
            false,
            std::ptr::null_mut(),
            0,
            std::ptr::null_mut(),
        );
        loop {
            let tuple = pg_sys::systable_getnext(rows);
            if tuple.is_null() {
                break;
            }
            pg_sys::heap_deform_tuple(tuple, descriptor, values.as_mut_ptr(), nulls.as_mut_ptr());
            if look(&Row { values: &values, nulls: &nulls }) {
                break;
            }
        }
        pg_sys::systable_endscan(rows);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
    }
}
