//! The rows of the extension's own tables, read as the server reads its catalogs: without a statement, and without a right of
//! the caller's, so that it costs microseconds and works in parallel workers and on replicas.
#![allow(unsafe_code)]

use std::ffi::CStr;

use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::varlena;

use super::server_text::to_utf8;

/// What is in the schema of the extension under a name: a table, or one of their indexes.
pub fn find(name: &CStr) -> Option<Oid> {
    // SAFETY: catalog look-ups inside a transaction, of null-terminated names; both give 0 for what is not there.
    let found = unsafe {
        let schema = pg_sys::get_namespace_oid(c"harca".as_ptr(), true);
        if schema == pg_sys::InvalidOid { schema } else { pg_sys::get_relname_relid(name.as_ptr(), schema) }
    };
    (found != pg_sys::InvalidOid).then_some(found)
}

/// A row that a scan is at. Columns count from 0, and whoever asks vouches for their types.
pub struct Row<'a> {
    values: &'a [Datum],
    nulls: &'a [bool],
}

impl Row<'_> {
    /// A value; none for null.
    pub fn datum(&self, column: usize) -> Option<Datum> {
        let null = self.nulls.get(column).copied().unwrap_or(true);
        (!null).then(|| self.values[column])
    }

    /// A `text` or `json` value as UTF-8.
    pub fn text(&self, column: usize) -> Option<String> {
        let bytes = self.bytes(column)?;
        Some(to_utf8(&bytes, usize::MAX).into_owned())
    }

    /// A `name` as UTF-8.
    pub fn name(&self, column: usize) -> Option<String> {
        // SAFETY: the caller vouches for the type, whose values end with a zero byte.
        let name = unsafe { CStr::from_ptr(self.datum(column)?.cast_mut_ptr()) };
        Some(to_utf8(name.to_bytes(), usize::MAX).into_owned())
    }

    /// A `name[]` without its nulls, as UTF-8; empty for null.
    pub fn names(&self, column: usize) -> Vec<String> {
        let Some(datum) = self.datum(column) else { return Vec::new() };
        let (mut elements, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
        // SAFETY: the caller vouches for the type, whose elements have a fixed size, as pg_type says, and end with a zero
        // byte; so many of them, and of what tells which are null, are there.
        unsafe {
            let array = pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
            pg_sys::deconstruct_array(
                array,
                pg_sys::NAMEOID,
                pg_sys::NAMEDATALEN as i32,
                false,
                pg_sys::TYPALIGN_CHAR as std::ffi::c_char,
                &mut elements,
                &mut nulls,
                &mut count,
            );
            let present = (0..usize::try_from(count).unwrap_or(0)).filter(|n| !*nulls.add(*n));
            let name = |n| CStr::from_ptr((*elements.add(n)).cast_mut_ptr());
            present.map(|n| to_utf8(name(n).to_bytes(), usize::MAX).into_owned()).collect()
        }
    }

    /// An `oid`, or a type that is one.
    pub fn oid(&self, column: usize) -> Option<Oid> {
        self.datum(column).map(|datum| Oid::from(datum.value() as u32))
    }

    /// A `bigint`.
    pub fn big_int(&self, column: usize) -> Option<i64> {
        self.datum(column).map(|datum| datum.value() as i64)
    }

    /// Whether a `boolean` is true.
    pub fn is_true(&self, column: usize) -> bool {
        self.datum(column).is_some_and(|datum| datum.value() & 0xff != 0)
    }

    /// A `real`.
    pub fn real(&self, column: usize) -> Option<f32> {
        self.datum(column).map(|datum| f32::from_bits(datum.value() as u32))
    }

    /// A `double precision`.
    pub fn double(&self, column: usize) -> Option<f64> {
        self.datum(column).map(|datum| f64::from_bits(datum.value() as u64))
    }

    /// The numbers of a `real[]` without nulls, and how long its innermost dimension is; none for an array of another kind.
    pub fn reals(&self, column: usize) -> Option<(Vec<f32>, usize)> {
        // As utils/array.h lays it out: what precedes is the length of the value.
        let bytes = self.bytes(column)?;
        let number = |n: usize| bytes.as_chunks::<4>().0.get(n).map(|bytes| i32::from_ne_bytes(*bytes));
        let dimensions = usize::try_from(number(0)?).ok().filter(|dimensions| *dimensions > 0)?;
        let (without_nulls, kind) = (number(1)? == 0, number(2)?);
        let innermost = usize::try_from(number(2 + dimensions)?).ok()?;
        // The length of four bytes counts where it is aligned.
        let start = (4 + 12 + 8 * dimensions).next_multiple_of(8) - 4;
        let reals = bytes.get(start..)?.as_chunks().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect();
        (without_nulls && kind as u32 == pg_sys::FLOAT4OID.to_u32()).then_some((reals, innermost))
    }

    /// How many bytes a value of a type of variable length has, without reading it.
    pub fn size(&self, column: usize) -> Option<u64> {
        let datum = self.datum(column)?;
        // SAFETY: the caller vouches for the type; what is asked for stands at the beginning of the value.
        let whole = unsafe { pg_sys::toast_raw_datum_size(datum) };
        Some((whole as u64).saturating_sub(pg_sys::VARHDRSZ as u64))
    }

    /// Some of the bytes of a value of a type of variable length, from a place on: of one that is out of line no more than
    /// those are read.
    pub fn slice(&self, column: usize, from: u64, bytes: usize) -> Option<Vec<u8>> {
        let datum = self.datum(column)?;
        let (from, count) = (i32::try_from(from).ok()?, i32::try_from(bytes).ok()?);
        // SAFETY: the caller vouches for the type. The slice is a value of its own, which is freed again.
        unsafe {
            let slice = pg_sys::pg_detoast_datum_slice(datum.cast_mut_ptr(), from, count);
            let size = varlena::varsize_any_exhdr(slice);
            let found = std::slice::from_raw_parts(varlena::vardata_any(slice).cast::<u8>(), size).to_vec();
            pg_sys::pfree(slice.cast());
            Some(found)
        }
    }

    /// The bytes of a value of a type of variable length.
    pub fn bytes(&self, column: usize) -> Option<Vec<u8>> {
        let datum = self.datum(column)?;
        // SAFETY: the caller vouches for the type. A value that is compressed or out of line is fetched under the snapshot
        // of the scan and freed again, as it may have the size of a model.
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

/// Shows the rows of a table, until `look` says that it has seen enough: the latest that are committed, and what the
/// transaction itself has changed.
pub fn scan(table: Oid, look: impl FnMut(&Row<'_>) -> bool) {
    read(table, pg_sys::InvalidOid, &mut [], look);
}

/// Shows the rows of a table whose first column, a `text`, has a value, which must be a `text` as well; which of them, as
/// [`scan`] does. The index begins with that column.
pub fn scan_for(table: &CStr, index: &CStr, value: Datum, mut look: impl FnMut(&Row<'_>)) {
    let Some(table) = find(table) else { return };
    let index = find(index).unwrap_or(pg_sys::InvalidOid);
    let mut key = pg_sys::ScanKeyData::default();
    // SAFETY: the key is ours, and equality of `text` what its function tells.
    unsafe {
        pg_sys::ScanKeyEntryInitialize(
            &mut key,
            0,
            1,
            pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber,
            pg_sys::TEXTOID,
            pg_sys::DEFAULT_COLLATION_OID,
            pg_sys::F_TEXTEQ.into(),
            value,
        );
    }
    read(table, index, &mut [key], |row| {
        look(row);
        false
    });
}

/// Whether rows that are written to a table fire a trigger of that name, wherever they come from.
pub fn has_lasting_trigger(table: &CStr, trigger: &CStr) -> bool {
    let Some(table) = find(table) else { return false };
    // SAFETY: the table stays open while its triggers, as many as it says, are read.
    unsafe {
        let relation = pg_sys::table_open(table, pg_sys::AccessShareLock as i32);
        let triggers = (*relation).trigdesc.as_ref().map_or(&[][..], |known| {
            std::slice::from_raw_parts(known.triggers, usize::try_from(known.numtriggers).unwrap_or(0))
        });
        let found = triggers.iter().any(|known| {
            CStr::from_ptr(known.tgname) == trigger && known.tgenabled as u8 == pg_sys::TRIGGER_FIRES_ALWAYS
        });
        pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
        found
    }
}

/// Tells every session, when this transaction commits, that a table has changed: its relcache entry is invalidated, as
/// `ALTER TABLE` would.
pub fn announce_change(table: &CStr) {
    if let Some(table) = find(table) {
        // SAFETY: a table of this database, found a moment ago, inside a transaction.
        unsafe { pg_sys::CacheInvalidateRelcacheByRelid(table) };
    }
}

/// Takes in what other sessions have announced, and what else they have changed in the catalogs.
pub fn accept_changes() {
    // SAFETY: inside a transaction, where any lock of a table does the same.
    unsafe { pg_sys::AcceptInvalidationMessages() };
}

/// Reads by an index, where there is one.
fn read(table: Oid, index: Oid, keys: &mut [pg_sys::ScanKeyData], mut look: impl FnMut(&Row<'_>) -> bool) {
    // SAFETY: as the server scans a catalog: the table stays locked while it is open, the snapshot is the latest, which the
    // scan registers, and rows are valid until the next is asked for. After an error the transaction gives all of it back.
    unsafe {
        let relation = pg_sys::table_open(table, pg_sys::AccessShareLock as i32);
        let descriptor = (*relation).rd_att;
        let columns = usize::try_from((*descriptor).natts).unwrap_or(0);
        let (mut values, mut nulls) = (vec![Datum::null(); columns], vec![true; columns]);
        let rows = pg_sys::systable_beginscan(
            relation,
            index,
            index != pg_sys::InvalidOid,
            std::ptr::null_mut(),
            keys.len() as i32,
            keys.as_mut_ptr(),
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
