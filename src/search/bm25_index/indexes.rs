//! The indexes of a table on its text column, as PostgreSQL's caches of the system catalogs have them.
#![allow(unsafe_code)]

use std::ffi::CStr;

use pgrx::pg_sys::{self, Datum, Oid};

use super::super::catalog;
use crate::bridge::server_text;

/// An index of an access method that is not PostgreSQL's own, whose first column is the text column.
pub struct ColumnIndex {
    /// The index.
    pub index: Oid,
    /// Its access method.
    pub access_method: Oid,
    /// The operator family of its first column.
    pub operator_family: Oid,
    /// Whether PostgreSQL would use it in this transaction.
    pub usable: bool,
    /// Whether that may be different in the next transaction.
    pub is_young: bool,
    /// Whether it has all rows, by the text column alone.
    pub plain: bool,
}

/// What a table has.
pub struct Indexes {
    /// In the order of their identifiers.
    pub found: Vec<ColumnIndex>,
    /// Whether other tables inherit from it, or did until a while ago.
    pub has_heirs: bool,
}

/// The indexes of a table or materialized view on a column, which is of type `text`.
pub fn on_column(relation: Oid, column: pg_sys::AttrNumber) -> Indexes {
    // SAFETY: the lock is one that a search of the table takes anyway; the list is a copy, and both are freed.
    unsafe {
        let table = pg_sys::table_open(relation, pg_sys::AccessShareLock as i32);
        let list = pg_sys::RelationGetIndexList(table);
        let found: Vec<ColumnIndex> =
            pgrx::PgList::<Oid>::from_pg(list).iter_oid().filter_map(|index| column_index(index, column)).collect();
        let has_heirs = (*(*table).rd_rel).relhassubclass;
        pg_sys::table_close(table, pg_sys::NoLock as i32);
        Indexes { found, has_heirs }
    }
}

/// The rows of a table, as PostgreSQL's planner estimates them.
pub fn estimated_rows(relation: Oid) -> f64 {
    let (mut pages, mut rows, mut visible) = (0, 0.0, 0.0);
    // SAFETY: the table is open as long as it takes; the places are ours, and widths of columns are not asked for.
    unsafe {
        let table = pg_sys::table_open(relation, pg_sys::AccessShareLock as i32);
        pg_sys::estimate_rel_size(table, std::ptr::null_mut(), &mut pages, &mut rows, &mut visible);
        pg_sys::table_close(table, pg_sys::NoLock as i32);
    }
    rows
}

/// Whether all changes of a table are in the write-ahead log (`RelationNeedsWAL` in `utils/rel.h`); one that this transaction
/// has made counts as if they were not.
pub fn is_logged(relation: Oid) -> bool {
    // SAFETY: the table is open as long as it takes.
    unsafe {
        let table = pg_sys::table_open(relation, pg_sys::AccessShareLock as i32);
        #[cfg(feature = "pg15")]
        let made_anew = (*table).rd_firstRelfilenodeSubid;
        #[cfg(not(feature = "pg15"))]
        let made_anew = (*table).rd_firstRelfilelocatorSubid;
        let lasting = (*(*table).rd_rel).relpersistence as u8 == pg_sys::RELPERSISTENCE_PERMANENT;
        let logged = lasting && ((*table).rd_createSubid, made_anew) == (0, 0);
        pg_sys::table_close(table, pg_sys::NoLock as i32);
        logged
    }
}

fn column_index(index: Oid, column: pg_sys::AttrNumber) -> Option<ColumnIndex> {
    let access_method = access_method(index).filter(|method| method.to_u32() >= pg_sys::FirstNormalObjectId)?;
    let cache = pg_sys::SysCacheIdentifier::INDEXRELID as i32;
    // SAFETY: a catalog look-up inside a transaction; the tuple is read before it is released, and has as many keys as it says.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(cache, index.into());
        if tuple.is_null() {
            return None;
        }
        let form = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_index>();
        let first = (*form).indkey.values.as_slice(usize::from((*form).indnatts > 0)).first().copied();
        let mut absent = [false; 2];
        for (number, absent) in
            [pg_sys::Anum_pg_index_indpred, pg_sys::Anum_pg_index_indexprs].into_iter().zip(&mut absent)
        {
            pg_sys::SysCacheGetAttr(cache, tuple, number as pg_sys::AttrNumber, absent);
        }
        let mut no_class = true;
        let classes =
            pg_sys::SysCacheGetAttr(cache, tuple, pg_sys::Anum_pg_index_indclass as pg_sys::AttrNumber, &mut no_class);
        let class = (!no_class).then(|| (*classes.cast_mut_ptr::<pg_sys::oidvector>()).values.as_slice(1)[0]);
        let found = ColumnIndex {
            index,
            access_method,
            operator_family: class.map_or(pg_sys::InvalidOid, |class| pg_sys::get_opclass_family(class)),
            usable: (*form).indisvalid
                && (*form).indisready
                && (*form).indislive
                && (!(*form).indcheckxmin || catalog::precedes_all(tuple)),
            is_young: (*form).indcheckxmin,
            plain: absent == [true; 2] && (*form).indnatts == 1,
        };
        pg_sys::ReleaseSysCache(tuple);
        (first == Some(column)).then_some(found)
    }
}

fn access_method(index: Oid) -> Option<Oid> {
    // SAFETY: as above.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::RELOID as i32, index.into());
        if tuple.is_null() {
            return None;
        }
        let method = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>()).relam;
        pg_sys::ReleaseSysCache(tuple);
        Some(method)
    }
}

/// The storage parameters of an index, as they were given.
pub fn storage_parameters(index: Oid) -> Vec<(String, String)> {
    let cache = pg_sys::SysCacheIdentifier::RELOID as i32;
    // SAFETY: as above; names and values are strings that are copied.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(cache, index.into());
        if tuple.is_null() {
            return Vec::new();
        }
        let mut none = true;
        let options =
            pg_sys::SysCacheGetAttr(cache, tuple, pg_sys::Anum_pg_class_reloptions as pg_sys::AttrNumber, &mut none);
        let given = if none { Vec::new() } else { read_parameters(options) };
        pg_sys::ReleaseSysCache(tuple);
        given
    }
}

/// # Safety
/// `options` must be a value of `pg_class.reloptions`.
unsafe fn read_parameters(options: Datum) -> Vec<(String, String)> {
    let text = |string: *const std::ffi::c_char| {
        // SAFETY: a string of the list below.
        server_text::to_utf8(unsafe { CStr::from_ptr(string) }.to_bytes(), usize::MAX).into_owned()
    };
    // SAFETY: by the contract.
    unsafe {
        let list = pgrx::PgList::<pg_sys::DefElem>::from_pg(pg_sys::untransformRelOptions(options));
        list.iter_ptr().map(|given| (text((*given).defname), text(pg_sys::defGetString(given)))).collect()
    }
}

/// The number of a column of type `text`; none where there is no such.
pub fn text_column(relation: Oid, name: &str) -> Option<pg_sys::AttrNumber> {
    if catalog::column(relation, name)?.kind != pg_sys::TEXTOID {
        return None;
    }
    let name = catalog::server_string(name)?;
    // SAFETY: as above.
    Some(unsafe { pg_sys::get_attnum(relation, name.as_ptr()) })
}

/// Whether the current user may read a column.
pub fn may_read(relation: Oid, column: pg_sys::AttrNumber) -> bool {
    let select = pg_sys::AclMode::from(pg_sys::ACL_SELECT);
    // SAFETY: as above.
    unsafe {
        let user = pg_sys::GetUserId();
        pg_sys::pg_class_aclcheck(relation, user, select) == pg_sys::AclResult::ACLCHECK_OK
            || pg_sys::pg_attribute_aclcheck(relation, column, user, select) == pg_sys::AclResult::ACLCHECK_OK
    }
}

/// Whether the current user may use what is in a schema.
pub fn may_use(schema: Oid) -> bool {
    let usage = pg_sys::AclMode::from(pg_sys::ACL_USAGE);
    // SAFETY: as above.
    let result = unsafe {
        let user = pg_sys::GetUserId();
        #[cfg(feature = "pg15")]
        let result = pg_sys::pg_namespace_aclcheck(schema, user, usage);
        #[cfg(not(feature = "pg15"))]
        let result = pg_sys::object_aclcheck(pg_sys::NamespaceRelationId, schema, user, usage);
        result
    };
    result == pg_sys::AclResult::ACLCHECK_OK
}

/// The text search configuration of a name that may have a schema; none where there is no such.
pub fn configuration(name: &str) -> Option<Oid> {
    let name = catalog::server_string(name)?;
    // SAFETY: as above; what is no list of names is an error of PostgreSQL's, which an index with that name has had before.
    let found = unsafe {
        #[cfg(feature = "pg15")]
        let names = pg_sys::stringToQualifiedNameList(name.as_ptr());
        #[cfg(not(feature = "pg15"))]
        let names = pg_sys::stringToQualifiedNameList(name.as_ptr(), std::ptr::null_mut());
        pg_sys::get_ts_config_oid(names, true)
    };
    (found != pg_sys::InvalidOid).then_some(found)
}
