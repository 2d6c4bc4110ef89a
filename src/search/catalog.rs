//! What the system catalogs say of a table and its columns, by the caches that every backend keeps of them.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char};

use harca_core::search::sql_text::quote_ident;
use pgrx::pg_sys::{self, Oid};

use crate::bridge::server_text;

/// A column of a table.
#[derive(Clone, Copy)]
pub struct Column {
    /// Its type.
    pub kind: Oid,
    /// The modifier of its type, -1 for none; of a vector, its dimensions.
    pub modifier: i32,
}

/// What a type is.
pub struct Type {
    /// Its name, without a schema.
    pub name: String,
    /// Schema and name, quoted.
    pub qualified_name: String,
    /// The schema, quoted.
    pub schema: String,
    /// Whether it is PostgreSQL's own.
    pub built_in: bool,
    /// Whether it came with the extension `vector`.
    pub of_vector: bool,
}

/// The kind of a relation, as `pg_class.relkind` has it; none when it is not there.
pub fn relation_kind(relation: Oid) -> Option<char> {
    // SAFETY: a catalog look-up inside a transaction, as are all below.
    let kind = unsafe { pg_sys::get_rel_relkind(relation) } as u8;
    (kind != 0).then_some(char::from(kind))
}

/// A relation as SQL: schema and name, quoted where they need it.
pub fn relation_name(relation: Oid) -> Option<String> {
    // SAFETY: as above; the names are copies, and null when the relation has just gone.
    unsafe {
        let schema = pg_sys::get_namespace_name(pg_sys::get_rel_namespace(relation));
        let name = pg_sys::get_rel_name(relation);
        if schema.is_null() || name.is_null() {
            return None;
        }
        Some(utf8(pg_sys::quote_qualified_identifier(schema, name)))
    }
}

/// A column, unless it is not there or one of the system's.
pub fn column(relation: Oid, name: &str) -> Option<Column> {
    let name = server_string(name)?;
    // SAFETY: as above; the places are ours.
    unsafe {
        let number = pg_sys::get_attnum(relation, name.as_ptr());
        if number <= 0 {
            return None;
        }
        let (mut kind, mut modifier, mut collation) = (pg_sys::InvalidOid, -1, pg_sys::InvalidOid);
        pg_sys::get_atttypetypmodcoll(relation, number, &mut kind, &mut modifier, &mut collation);
        Some(Column { kind, modifier })
    }
}

/// What a type is; none when it is not there.
pub fn type_of(kind: Oid) -> Option<Type> {
    // SAFETY: as above; the tuple is read before it is released.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::TYPEOID as i32, kind.into());
        if tuple.is_null() {
            return None;
        }
        let form = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_type>();
        let name = utf8((*form).typname.data.as_ptr());
        let namespace = (*form).typnamespace;
        pg_sys::ReleaseSysCache(tuple);
        let schema = pg_sys::get_namespace_name(namespace);
        if schema.is_null() {
            return None;
        }
        let schema = quote_ident(&utf8(schema));
        let extension = pg_sys::getExtensionOfObject(pg_sys::TypeRelationId, kind);
        Some(Type {
            qualified_name: format!("{schema}.{}", quote_ident(&name)),
            name,
            schema,
            built_in: namespace == Oid::from(pg_sys::PG_CATALOG_NAMESPACE),
            of_vector: extension != pg_sys::InvalidOid
                && extension == pg_sys::get_extension_oid(c"vector".as_ptr(), true),
        })
    }
}

/// The type of a name in the schema of another type; none when it is not there.
pub fn sibling(kind: Oid, name: &CStr) -> Option<Oid> {
    // SAFETY: as above; the tuple is read before it is released.
    let found = unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::TYPEOID as i32, kind.into());
        if tuple.is_null() {
            return None;
        }
        let schema = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_type>()).typnamespace;
        pg_sys::ReleaseSysCache(tuple);
        pg_sys::GetSysCacheOid(
            pg_sys::SysCacheIdentifier::TYPENAMENSP as i32,
            pg_sys::Anum_pg_type_oid as pg_sys::AttrNumber,
            pg_sys::Datum::from(name.as_ptr()),
            schema.into(),
            pg_sys::Datum::null(),
            pg_sys::Datum::null(),
        )
    };
    (found != pg_sys::InvalidOid).then_some(found)
}

/// The type that a domain is made of, or the type itself.
pub fn base_type(kind: Oid) -> Oid {
    // SAFETY: as above.
    unsafe { pg_sys::getBaseType(kind) }
}

/// Whether a type is an array.
pub fn is_array(kind: Oid) -> bool {
    let (mut category, mut preferred): (c_char, bool) = (0, false);
    // SAFETY: as above; the places are ours.
    unsafe { pg_sys::get_type_category_preferred(kind, &mut category, &mut preferred) };
    category as u8 == pg_sys::TYPCATEGORY_ARRAY
}

/// Whether the values of a type have an order by default.
pub fn has_order(kind: Oid) -> bool {
    // SAFETY: as above; the entry lives as long as the process.
    unsafe { (*pg_sys::lookup_type_cache(kind, pg_sys::TYPECACHE_LT_OPR as i32)).lt_opr != pg_sys::InvalidOid }
}

/// Whether row-level security hides rows of a table from the current user.
///
/// Raises an error where the user has switched row_security off and would see less than all.
pub fn hides_rows(relation: Oid) -> bool {
    // SAFETY: as above.
    let state = unsafe { pg_sys::check_enable_rls(relation, pg_sys::InvalidOid, true) };
    state == pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32
}

/// A text as the server's functions take it; none with a zero byte inside, which no name has.
pub fn server_string(text: &str) -> Option<CString> {
    if text.is_ascii() {
        return CString::new(text).ok();
    }
    // SAFETY: a text that was made a moment ago; the copy is ours.
    let bytes = unsafe { CStr::from_ptr(pg_sys::text_to_cstring(server_text::from_utf8(text).cast_mut_ptr())) };
    (!text.contains('\0')).then(|| bytes.to_owned())
}

/// A string of the server's as UTF-8.
///
/// # Safety
/// `text` must end with a zero byte.
unsafe fn utf8(text: *const c_char) -> String {
    // SAFETY: by the contract.
    let bytes = unsafe { CStr::from_ptr(text) };
    server_text::to_utf8(bytes.to_bytes(), usize::MAX).into_owned()
}
