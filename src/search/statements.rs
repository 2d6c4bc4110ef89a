//! Statements of a search: planned once for a session, run with the rights and the snapshot of the caller, and their rows
//! handed on one by one, without a copy of the result.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::mem::ManuallyDrop;
use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::{PgLogLevel, PgMemoryContexts, PgSqlErrorCode, pg_guard, varlena};

use super::catalog;
use super::local_settings::LocalSettings;
use crate::bridge::server_text;

/// Plans that a session keeps, some ten kilobytes each. A search takes about six; filters and options have their own.
const KEPT: NonZeroUsize = NonZeroUsize::new(48).unwrap();

/// A kept plan. PostgreSQL plans it anew when a table, a policy or the role has changed (`utils/cache/plancache.c`).
struct Plan {
    plan: pg_sys::SPIPlanPtr,
    /// Which of PostgreSQL's plans for it was made under the settings of [`Connection::each_by_checked_plan`].
    steered: Cell<Option<c_int>>,
}

impl Plan {
    /// What a look over the plan of its only statement says, and which plan that is; none where there is none.
    ///
    /// # Safety
    /// Inside a connection. The locks that the look takes last, so that its table and indexes are the same when it runs.
    unsafe fn looked_over(&self, look_over: impl FnOnce(*mut pg_sys::PlannedStmt) -> bool) -> Option<(bool, c_int)> {
        // SAFETY: a kept plan; what is looked at lasts until it is released.
        unsafe {
            let cached = pg_sys::SPI_plan_get_cached_plan(self.plan);
            if cached.is_null() {
                return None;
            }
            let statement = pgrx::PgList::<pg_sys::PlannedStmt>::from_pg((*cached).stmt_list).get_ptr(0);
            let found = (statement.is_some_and(look_over), (*cached).generation);
            pg_sys::ReleaseCachedPlan(cached, pg_sys::CurrentResourceOwner);
            Some(found)
        }
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: a plan of `SPI_keepplan` that nobody runs: whoever does holds a share of it.
        unsafe { pg_sys::SPI_freeplan(self.plan) };
    }
}

thread_local! {
    // Never dropped: when the process ends, the memory of the plans may be gone before.
    static PLANS: ManuallyDrop<RefCell<LruCache<Box<str>, Rc<Plan>>>> = ManuallyDrop::new(RefCell::new(LruCache::new(KEPT)));
}

/// How a statement is planned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Planning {
    /// Once, unless `plan_cache_mode` says otherwise.
    Kept,
    /// Each time, for the parameters.
    ForParameters,
    /// Once, whatever the parameters are, and not for parallel workers.
    Checked,
    /// It is only explained.
    Explained,
}

/// A parameter of a statement: its type and its value, none for null.
#[derive(Clone, Copy)]
pub struct Parameter(pub Oid, pub Option<Datum>);

impl Parameter {
    /// `text`, from UTF-8.
    pub fn text(value: &str) -> Self {
        Self(pg_sys::TEXTOID, Some(server_text::from_utf8(value)))
    }

    /// An `integer[]`.
    pub fn integers(values: &[i32]) -> Self {
        let mut elements: Vec<Datum> = values.iter().map(|value| (*value).into()).collect();
        // SAFETY: as many elements as there are, of a 4-byte type passed by value; the array is a fresh allocation.
        let array = unsafe {
            pg_sys::construct_array(
                elements.as_mut_ptr(),
                elements.len() as c_int,
                pg_sys::INT4OID,
                size_of::<i32>() as c_int,
                true,
                pg_sys::TYPALIGN_INT as std::ffi::c_char,
            )
        };
        Self(pg_sys::INT4ARRAYOID, Some(array.into()))
    }

    /// An array of elements of a type of variable length whose alignment is that of an integer.
    pub fn array(kind: Oid, element: Oid, elements: impl Iterator<Item = Datum>) -> Self {
        let mut elements: Vec<Datum> = elements.collect();
        // SAFETY: as many elements as there are, of the type that the caller names; the array is a fresh allocation.
        let array = unsafe {
            pg_sys::construct_array(
                elements.as_mut_ptr(),
                elements.len() as c_int,
                element,
                -1,
                false,
                pg_sys::TYPALIGN_INT as std::ffi::c_char,
            )
        };
        Self(kind, Some(array.into()))
    }
}

/// A connection to the server programming interface. What is allocated while it lasts goes with it.
pub struct Connection(());

impl Connection {
    /// Opens one; they nest.
    pub fn open() -> Self {
        // SAFETY: inside a function call; `drop` or the end of the transaction closes it.
        unsafe { pg_sys::SPI_connect() };
        Self(())
    }

    /// Runs a query, and shows its rows to `look`, which may neither keep what they hold nor run anything by itself.
    ///
    /// It sees what the statement sees that called the search. Raises the errors of the query.
    pub fn each(&self, sql: &str, parameters: &[Parameter], look: impl FnMut(&Row<'_>)) {
        self.run(sql, parameters, Planning::Kept, look);
    }

    /// The same, planned anew each time for the very parameters: where the plan hangs on them.
    pub fn each_for_parameters(&self, sql: &str, parameters: &[Parameter], look: impl FnMut(&Row<'_>)) {
        self.run(sql, parameters, Planning::ForParameters, look);
    }

    /// The same, kept or planned anew each time for the very parameters, with rows that come as long as `look` wants more.
    pub fn each_until(
        &self,
        sql: &str,
        parameters: &[Parameter],
        for_parameters: bool,
        look: impl FnMut(&Row<'_>) -> bool,
    ) {
        let planning = if for_parameters { Planning::ForParameters } else { Planning::Kept };
        self.run_until(&kept(sql, parameters, planning), sql, parameters, planning, look);
    }

    /// The same with one plan for all parameters, which `look_over` sees before every run, and may change as long as it
    /// gives the same rows. Where it gives false, the statement is planned once more under the settings of `steer`, and if that
    /// does not help, the query does not run, and neither does this give true. Rows come as long as `look` wants more.
    pub fn each_by_checked_plan(
        &self,
        sql: &str,
        parameters: &[Parameter],
        steer: impl FnOnce() -> LocalSettings,
        look_over: impl Fn(*mut pg_sys::PlannedStmt) -> bool,
        look: impl FnMut(&Row<'_>) -> bool,
    ) -> bool {
        let mut plan = kept(sql, parameters, Planning::Checked);
        // SAFETY: inside a connection.
        let mut seen = unsafe { plan.looked_over(&look_over) };
        if let Some((false, generation)) = seen
            && plan.steered.get() != Some(generation)
        {
            let _settings = steer();
            forget(sql);
            plan = kept(sql, parameters, Planning::Checked);
            // SAFETY: inside a connection.
            seen = unsafe { plan.looked_over(&look_over) };
            plan.steered.set(seen.map(|(_, generation)| generation));
        }
        let fits = seen.is_some_and(|(fits, _)| fits);
        if fits {
            self.run_until(&plan, sql, parameters, Planning::Checked, look);
        }
        fits
    }

    /// PostgreSQL's plan for a query with these parameters, line by line.
    pub fn explain(&self, sql: &str, parameters: &[Parameter]) -> Vec<String> {
        let mut lines = Vec::new();
        self.run(&format!("EXPLAIN (COSTS OFF) {sql}"), parameters, Planning::Explained, |row| {
            lines.extend(row.text(0))
        });
        lines
    }

    fn run(&self, sql: &str, parameters: &[Parameter], planning: Planning, mut look: impl FnMut(&Row<'_>)) {
        self.run_until(&kept(sql, parameters, planning), sql, parameters, planning, |row| {
            look(row);
            true
        });
    }

    /// Runs a query, by its plan, as long as it has rows and `look` wants more.
    fn run_until(
        &self,
        plan: &Plan,
        sql: &str,
        parameters: &[Parameter],
        planning: Planning,
        mut look: impl FnMut(&Row<'_>) -> bool,
    ) {
        let mut receiver = Receiver::new(&mut look);
        // SAFETY: the plan was prepared for parameters of these types; the list lives in the memory of the connection, and
        // the receiver until the call is over.
        let code = unsafe {
            let list = pg_sys::makeParamList(parameters.len() as c_int);
            let places = (*list).params.as_mut_ptr();
            for (n, Parameter(kind, value)) in parameters.iter().enumerate() {
                *places.add(n) = pg_sys::ParamExternData {
                    value: value.unwrap_or_else(Datum::null),
                    isnull: value.is_none(),
                    pflags: pg_sys::PARAM_FLAG_CONST as u16,
                    ptype: *kind,
                };
            }
            let options = pg_sys::SPIExecuteOptions {
                params: list,
                // A utility statement is never read-only.
                read_only: planning != Planning::Explained,
                dest: (&raw mut receiver).cast(),
                ..Default::default()
            };
            pg_sys::SPI_execute_plan_extended(plan.plan, &options)
        };
        if code < 0 {
            refuse(sql, code);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // An error closes all connections itself.
        if !std::thread::panicking() {
            // SAFETY: closes the connection that `open` has opened.
            unsafe { pg_sys::SPI_finish() };
        }
    }
}

/// The plan of a statement, made if it is not kept.
fn kept(sql: &str, parameters: &[Parameter], planning: Planning) -> Rc<Plan> {
    let known = PLANS.with(|plans| plans.borrow_mut().get(sql).cloned());
    known.unwrap_or_else(|| {
        let source = catalog::server_string(sql).unwrap_or_default();
        let options = match planning {
            Planning::Kept => pg_sys::CURSOR_OPT_PARALLEL_OK | pg_sys::CURSOR_OPT_GENERIC_PLAN,
            Planning::ForParameters => pg_sys::CURSOR_OPT_PARALLEL_OK | pg_sys::CURSOR_OPT_CUSTOM_PLAN,
            Planning::Checked => pg_sys::CURSOR_OPT_GENERIC_PLAN,
            Planning::Explained => pg_sys::CURSOR_OPT_PARALLEL_OK,
        };
        let mut kinds: Vec<Oid> = parameters.iter().map(|Parameter(kind, _)| *kind).collect();
        // SAFETY: inside a connection; the source and the types are copied.
        let plan = unsafe {
            let plan =
                pg_sys::SPI_prepare_cursor(source.as_ptr(), kinds.len() as c_int, kinds.as_mut_ptr(), options as c_int);
            if plan.is_null() {
                refuse(sql, pg_sys::SPI_result);
            }
            pg_sys::SPI_keepplan(plan);
            plan
        };
        let plan = Rc::new(Plan { plan, steered: Cell::new(None) });
        // What it replaces is freed when the cache is not borrowed any more.
        let replaced = PLANS.with(|plans| plans.borrow_mut().push(sql.into(), Rc::clone(&plan)));
        drop(replaced);
        plan
    })
}

/// Keeps the plan of a statement no longer.
fn forget(sql: &str) {
    // It is freed when the cache is not borrowed any more.
    let known = PLANS.with(|plans| plans.borrow_mut().pop(sql));
    drop(known);
}

fn refuse(sql: &str, code: c_int) {
    ErrorReport::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, "statement of a search cannot be run", "")
        .set_detail(format!("The server programming interface gave the code {code} for: {sql}."))
        .set_hint("Report it, with the search and the definition of its table.")
        .report(PgLogLevel::ERROR);
}

/// Takes rows from the executor. The first field is what PostgreSQL knows of it.
#[repr(C)]
struct Receiver<'a> {
    base: pg_sys::DestReceiver,
    look: &'a mut dyn FnMut(&Row<'_>) -> bool,
    /// What reading a row allocates.
    memory: PgMemoryContexts,
}

impl<'a> Receiver<'a> {
    fn new(look: &'a mut dyn FnMut(&Row<'_>) -> bool) -> Self {
        Self {
            base: pg_sys::DestReceiver {
                receiveSlot: Some(receive),
                rStartup: Some(start),
                rShutdown: Some(stop),
                rDestroy: Some(stop),
                mydest: pg_sys::CommandDest::DestNone,
            },
            look,
            memory: PgMemoryContexts::new("pg_harca row"),
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn start(_receiver: *mut pg_sys::DestReceiver, _operation: c_int, _kind: pg_sys::TupleDesc) {}

#[pg_guard]
unsafe extern "C-unwind" fn stop(_receiver: *mut pg_sys::DestReceiver) {}

#[pg_guard]
unsafe extern "C-unwind" fn receive(slot: *mut pg_sys::TupleTableSlot, receiver: *mut pg_sys::DestReceiver) -> bool {
    // SAFETY: the executor passes a slot with a row, and the receiver that it was given, which is a `Receiver`.
    unsafe {
        let receiver = &mut *receiver.cast::<Receiver<'_>>();
        let columns = (*(*slot).tts_tupleDescriptor).natts;
        if i32::from((*slot).tts_nvalid) < columns {
            pg_sys::slot_getsomeattrs_int(slot, columns);
        }
        let columns = columns as usize;
        let row = Row {
            values: std::slice::from_raw_parts((*slot).tts_values, columns),
            nulls: std::slice::from_raw_parts((*slot).tts_isnull, columns),
        };
        let memory = receiver.memory.value();
        let more = PgMemoryContexts::For(memory).switch_to(|_| (receiver.look)(&row));
        pg_sys::MemoryContextReset(memory);
        more
    }
}

/// A row of a result. Columns count from 0, and whoever asks vouches for their types.
pub struct Row<'a> {
    values: &'a [Datum],
    nulls: &'a [bool],
}

impl Row<'_> {
    /// A value; none for null.
    pub fn datum(&self, n: usize) -> Option<Datum> {
        (!self.nulls[n]).then(|| self.values[n])
    }

    /// The bytes of a value of a type of variable length, as long as the row lasts.
    pub fn varlena(&self, n: usize) -> Option<&[u8]> {
        // SAFETY: the caller vouches for the type; a copy of a toasted value lives as long as the row.
        self.datum(n).map(|datum| unsafe { detoasted(datum) })
    }

    /// A `text` value as UTF-8.
    pub fn text(&self, n: usize) -> Option<String> {
        self.varlena(n).map(|bytes| server_text::to_utf8(bytes, usize::MAX).into_owned())
    }

    /// A copy of a value of variable length that outlives the row.
    pub fn copy(&self, n: usize) -> Option<Copied> {
        // SAFETY: asked for embeddings alone.
        self.datum(n).map(|datum| unsafe { Copied::of(datum) })
    }

    /// An `integer`.
    pub fn int(&self, n: usize) -> Option<i32> {
        self.datum(n).map(|datum| datum.value() as i32)
    }

    /// A `bigint`.
    pub fn big_int(&self, n: usize) -> Option<i64> {
        self.datum(n).map(|datum| datum.value() as i64)
    }

    /// A `double precision`.
    pub fn double(&self, n: usize) -> Option<f64> {
        self.datum(n).map(|datum| f64::from_bits(datum.value() as u64))
    }

    /// Whether a `boolean` is true.
    pub fn is_true(&self, n: usize) -> bool {
        self.datum(n).is_some_and(|datum| datum.value() & 0xff != 0)
    }
}

/// The bytes of a value of variable length.
///
/// # Safety
/// `datum` must be of such a type. The bytes live as long as it or, where it is toasted, as the memory context at hand.
pub unsafe fn detoasted<'a>(datum: Datum) -> &'a [u8] {
    // SAFETY: by the contract.
    unsafe {
        let plain = pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr());
        std::slice::from_raw_parts(varlena::vardata_any(plain).cast(), varlena::varsize_any_exhdr(plain))
    }
}

/// A value of variable length out of a row, as it is stored.
pub struct Copied(Box<[u64]>);

impl Copied {
    /// Copies a value.
    ///
    /// # Safety
    /// `datum` must be of a type of variable length.
    pub unsafe fn of(datum: Datum) -> Self {
        // SAFETY: by the contract the value has the size that its header says; a copy of a toast pointer is valid as long
        // as the snapshot that found it.
        unsafe {
            let bytes = varlena::varsize_any(datum.cast_mut_ptr());
            let mut copy = vec![0u64; bytes.div_ceil(size_of::<u64>())].into_boxed_slice();
            std::ptr::copy_nonoverlapping(datum.cast_mut_ptr::<u8>(), copy.as_mut_ptr().cast(), bytes);
            Self(copy)
        }
    }

    /// The value, as long as this is there.
    pub fn datum(&self) -> Datum {
        Datum::from(self.0.as_ptr())
    }
}
