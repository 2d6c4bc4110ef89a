//! What the system catalogs say of a table and its columns, by the caches that every backend keeps of them.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use harca_core::search::sql_text::quote_ident;
use pgrx::pg_sys::{self, Oid};

use crate::bridge::server_text;

static LISTENING: AtomicBool = AtomicBool::new(false);
static TYPES_CHANGED: AtomicBool = AtomicBool::new(false);

/// A column of a table.
#[derive(Clone, Copy)]
pub struct Column {
    /// Its type.
    pub kind: Oid,
    /// The modifier of its type, -1 for none; of a vector, its dimensions.
    pub modifier: i32,
    /// Whether it is declared `NOT NULL`.
    pub not_null: bool,
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

/// Takes the lock on a relation that reading it takes, until the end of the transaction; it need not be there.
pub fn lock(relation: Oid) {
    // SAFETY: inside a transaction; an identifier of a relation or of nothing.
    unsafe { pg_sys::LockRelationOid(relation, pg_sys::AccessShareLock as i32) };
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
    // SAFETY: as above; the tuple is read before it is released.
    unsafe {
        let number = pg_sys::get_attnum(relation, name.as_ptr());
        if number <= 0 {
            return None;
        }
        let (relation, number) = (relation.into(), number.into());
        let tuple = pg_sys::SearchSysCache2(pg_sys::SysCacheIdentifier::ATTNUM as i32, relation, number);
        if tuple.is_null() {
            return None;
        }
        let form = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_attribute>();
        let column = Column { kind: (*form).atttypid, modifier: (*form).atttypmod, not_null: (*form).attnotnull };
        pg_sys::ReleaseSysCache(tuple);
        Some(column)
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
        let built_in = namespace == Oid::from(pg_sys::PG_CATALOG_NAMESPACE);
        let of_vector = !built_in && is_of_vector(kind);
        Some(Type { qualified_name: format!("{schema}.{}", quote_ident(&name)), name, schema, built_in, of_vector })
    }
}

/// Whether a type came with the extension `vector`. PostgreSQL reads that from a table, not from a cache: those that did are
/// kept until a type changes.
fn is_of_vector(kind: Oid) -> bool {
    thread_local! {
        static OF_VECTOR: RefCell<Vec<Oid>> = const { RefCell::new(Vec::new()) };
    }
    if !LISTENING.swap(true, Relaxed) {
        // SAFETY: registered once for the life of the process; the function only stores a flag.
        unsafe {
            let types = pg_sys::SysCacheIdentifier::TYPEOID as i32;
            pg_sys::CacheRegisterSyscacheCallback(types, Some(types_changed), pg_sys::Datum::null());
        }
    }
    if TYPES_CHANGED.swap(false, Relaxed) {
        OF_VECTOR.take();
    }
    if OF_VECTOR.with_borrow(|known| known.contains(&kind)) {
        return true;
    }
    // SAFETY: as above.
    let found = unsafe {
        let extension = pg_sys::getExtensionOfObject(pg_sys::TypeRelationId, kind);
        extension != pg_sys::InvalidOid && extension == pg_sys::get_extension_oid(c"vector".as_ptr(), true)
    };
    if found {
        OF_VECTOR.with_borrow_mut(|known| known.push(kind));
    }
    found
}

unsafe extern "C-unwind" fn types_changed(_argument: pg_sys::Datum, _cache: std::ffi::c_int, _hash: u32) {
    TYPES_CHANGED.store(true, Relaxed);
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

/// A column with the type and the modifier that its domain is made of, where it has one.
pub fn base_column(column: Column) -> Column {
    let mut modifier = column.modifier;
    // SAFETY: as above; the place is ours.
    let kind = unsafe { pg_sys::getBaseTypeAndTypmod(column.kind, &mut modifier) };
    Column { kind, modifier, ..column }
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

/// Whether a table has a GIN index over `harca.with_frequencies` of a column, and nothing else, that queries may use.
pub fn has_frequency_index(relation: Oid, column: &str) -> bool {
    let Some(name) = server_string(column) else { return false };
    // SAFETY: as above. The relations are open, and locked, until they have been looked at, and the lists of the table's
    // indexes and of an index's expressions are copies.
    unsafe {
        let number = pg_sys::get_attnum(relation, name.as_ptr());
        let harca = pg_sys::get_namespace_oid(c"harca".as_ptr(), true);
        let table = pg_sys::try_table_open(relation, pg_sys::AccessShareLock as i32);
        if table.is_null() {
            return false;
        }
        let indexes = pgrx::PgList::<pg_sys::Oid>::from_pg(pg_sys::RelationGetIndexList(table));
        let found = indexes.iter_oid().any(|index| {
            let index = pg_sys::index_open(index, pg_sys::AccessShareLock as i32);
            let fits = is_frequency_index(index, number, harca);
            pg_sys::index_close(index, pg_sys::AccessShareLock as i32);
            fits
        });
        pg_sys::table_close(table, pg_sys::AccessShareLock as i32);
        found
    }
}

/// Whether a catalog row was there before all that this transaction can see, as get_relation_info of
/// optimizer/util/plancat.c asks of an index that lacks what earlier snapshots may see.
///
/// # Safety
/// `tuple` must be one of a cache of the catalogs, or of a relation that is open.
pub unsafe fn precedes_all(tuple: pg_sys::HeapTuple) -> bool {
    // SAFETY: by the contract.
    unsafe {
        let header = (*tuple).t_data;
        let frozen = u32::from((*header).t_infomask) & pg_sys::HEAP_XMIN_FROZEN == pg_sys::HEAP_XMIN_FROZEN;
        frozen || pg_sys::TransactionIdPrecedes((*header).t_choice.t_heap.t_xmin, pg_sys::TransactionXmin)
    }
}

/// # Safety
/// `index` must be an open index.
unsafe fn is_frequency_index(index: pg_sys::Relation, column: pg_sys::AttrNumber, harca: Oid) -> bool {
    // SAFETY: by the contract; what the relation cache has of an index lives as long as it is open.
    unsafe {
        let form = &*(*index).rd_index;
        let usable = !form.indcheckxmin || precedes_all((*index).rd_indextuple);
        if (*(*index).rd_rel).relam != pg_sys::GIN_AM_OID
            || !(form.indisvalid && form.indnatts == 1 && usable)
            || !pg_sys::RelationGetIndexPredicate(index).is_null()
        {
            return false;
        }
        let expressions = pgrx::PgList::<pg_sys::Node>::from_pg(pg_sys::RelationGetIndexExpressions(index));
        let Some(call) = expressions.get_ptr(0).filter(|node| pgrx::is_a(*node, pg_sys::NodeTag::T_FuncExpr)) else {
            return false;
        };
        let call = &*call.cast::<pg_sys::FuncExpr>();
        let argument = pgrx::PgList::<pg_sys::Node>::from_pg(call.args).get_ptr(0);
        let of_column = argument.is_some_and(|argument| {
            pgrx::is_a(argument, pg_sys::NodeTag::T_Var) && (*argument.cast::<pg_sys::Var>()).varattno == column
        });
        let function = pg_sys::get_func_name(call.funcid);
        of_column
            && pg_sys::get_func_namespace(call.funcid) == harca
            && !function.is_null()
            && CStr::from_ptr(function) == c"with_frequencies"
    }
}

/// Who owns a table; none where it is not there.
pub fn owner(relation: Oid) -> Option<Oid> {
    // SAFETY: as above; the tuple is read before it is released.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::RELOID as i32, relation.into());
        if tuple.is_null() {
            return None;
        }
        let owner = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>()).relowner;
        pg_sys::ReleaseSysCache(tuple);
        Some(owner)
    }
}

/// Whether the current user owns a table, or has the rights of who does.
pub fn owns(relation: Oid) -> bool {
    // SAFETY: as above.
    unsafe {
        let user = pg_sys::GetUserId();
        #[cfg(feature = "pg15")]
        let owns = pg_sys::pg_class_ownercheck(relation, user);
        #[cfg(not(feature = "pg15"))]
        let owns = pg_sys::object_ownercheck(pg_sys::RelationRelationId, relation, user);
        owns
    }
}

/// Whether row-level security hides rows of a table from the current user.
///
/// Raises an error where the user has switched row_security off and would see less than all.
pub fn hides_rows(relation: Oid) -> bool {
    // SAFETY: as above.
    let state = unsafe { pg_sys::check_enable_rls(relation, pg_sys::InvalidOid, true) };
    state == pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32
}

/// Whether a name has a schema: a dot outside of quotes.
pub fn has_schema(name: &str) -> bool {
    name.split('"').step_by(2).any(|unquoted| unquoted.contains('.'))
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
