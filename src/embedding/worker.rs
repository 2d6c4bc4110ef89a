//! The background worker of a database: it has the models loaded that deployments name, and keeps embeddings in step.
//!
//! The supervisor of the engine starts one for each database whose models an engine has run. It ends when there is no table to
//! keep in step, and is started again when there is one.
#![allow(unsafe_code)] // exported symbol, signals, the latch

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use harca_core::embedding::retry;
use harca_core::error::Error;
use harca_core::protocol::message::TextKind;
use harca_core::protocol::priority::Priority;
use pgrx::bgworkers::{BackgroundWorker, SignalWakeFlags};
use pgrx::pg_sys::panic::ErrorReport;
#[cfg(not(feature = "pg18"))]
use pgrx::pg_sys::pqsignal;
#[cfg(feature = "pg18")]
use pgrx::pg_sys::pqsignal_be as pqsignal;
use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::{PgLogLevel, PgSqlErrorCode, pg_guard};

use super::queue::{self, Keys};
use super::rows::{self, Row};
use super::tables::{self, Table};
use super::transaction::attempt;
use crate::backend::{self, Vectors};
use crate::bridge::error_report;
use crate::engine::{records, supervisor};
use crate::registry::preloaded_models;
use crate::{process, settings};

/// Rows of a batch: enough for the engine to sort them by length, and no more than are embedded in a few seconds.
const BATCH: i64 = 128;

/// The same where texts are embedded in passages, and passages of a batch, unless its first row has more.
const BATCH_IN_PASSAGES: i64 = 32;
const PASSAGES: usize = 256;

/// Pause of a table of which rows were locked, and when there was nothing to do.
const REST: Duration = Duration::from_millis(500);

/// The same where there can be nothing to do: on a replica, or without an engine.
const LONG_REST: Duration = Duration::from_secs(2);

// Declared here, as the binding of pgrx is no handler of a signal.
unsafe extern "C-unwind" {
    fn die(signal: std::ffi::c_int);
}

/// The worker; its argument is the number of a database.
#[doc(hidden)]
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_harca_database_worker(argument: Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP);
    // SAFETY: at the beginning of a worker; `die` is what the server's own processes end by at their next look at interrupts.
    unsafe { pqsignal(pg_sys::SIGTERM as i32, Some(die)) };
    let database = argument.value() as u32;
    // A database that has been dropped ends the worker here, and is not asked for again after some starts.
    let calls = records::worker_begins(database);
    BackgroundWorker::connect_worker_to_spi_by_oid(Some(Oid::from(database)), None);
    records::worker_connected(database, calls);
    let mut worker = Worker::default();
    worker.load_models();
    while let Some(pause) = worker.step() {
        if BackgroundWorker::sighup_received() {
            // SAFETY: the main loop of a worker may read the configuration anew.
            unsafe { pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP) };
        }
        if !pause.is_zero() {
            supervisor::nap(pause);
        }
        pg_sys::check_for_interrupts!();
    }
}

/// Since when an engine runs, by the supervisor's account; none while there is none.
fn engine_since() -> Option<i64> {
    records::state().filter(|engine| engine.state == "running").map(|engine| engine.since)
}

/// Has the models of search targets loaded.
fn load_embedders() {
    for model in tables::models() {
        if let Err(error) = backend::load_embedder(&model) {
            error_report::report(&error).report(PgLogLevel::LOG);
        }
    }
}

/// Has the worker of this database started, unless it runs, when the transaction commits.
pub fn call() {
    thread_local! {
        static LISTENING: Cell<bool> = const { Cell::new(false) };
    }
    CALLED.set(true);
    if !LISTENING.replace(true) {
        // SAFETY: registered once for the life of the process; the function raises no error.
        unsafe { pg_sys::RegisterXactCallback(Some(transaction_ended), std::ptr::null_mut()) };
    }
}

thread_local! {
    static CALLED: Cell<bool> = const { Cell::new(false) };
}

unsafe extern "C-unwind" fn transaction_ended(event: pg_sys::XactEvent::Type, _argument: *mut std::ffi::c_void) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_COMMIT};
    match event {
        XACT_EVENT_COMMIT if CALLED.take() => records::call_worker(process::database(), 1),
        XACT_EVENT_ABORT => CALLED.set(false),
        _ => {}
    }
}

#[derive(Default)]
struct Worker {
    /// Tables that had something to do when they were looked at last.
    busy: HashSet<String>,
    /// Requests in a row to which the engine had no answer, and until when nothing is asked of it.
    unanswered: u32,
    not_before: Option<Instant>,
    /// When rows that were there before may be read again, by table, and by what rate.
    backfill_from: HashMap<String, (f32, Instant)>,
    /// Until when a table is left alone of which a transaction of somebody else has rows locked.
    locked_until: HashMap<String, Instant>,
    /// Since when the engine runs that has the models.
    engine_since: Option<i64>,
}

/// What was read of a table for one batch.
struct Batch {
    keys: Keys,
    entries: Vec<Vec<i64>>,
    rows: Vec<Row>,
}

impl Worker {
    /// Does one batch of each table; gives the pause until the next, none when there is nothing to keep in step.
    fn step(&mut self) -> Option<Duration> {
        // SAFETY: reads shared memory of the server's.
        if !settings::engine() || unsafe { pg_sys::RecoveryInProgress() } {
            return Some(LONG_REST);
        }
        if let Some(pause) = self.not_before.and_then(|until| until.checked_duration_since(Instant::now())) {
            return Some(pause.min(LONG_REST));
        }
        let since = engine_since();
        if since.is_some() && since != self.engine_since {
            self.load_models();
        }
        let tables = match attempt(tables::read) {
            Ok(tables) if tables.is_empty() => return None,
            Ok(tables) => tables,
            Err(error) => {
                log("embedded tables cannot be read", &error);
                return Some(LONG_REST);
            }
        };
        let mut worked = false;
        for table in &tables {
            pg_sys::check_for_interrupts!();
            worked |= self.table(table);
        }
        Some(if worked { Duration::ZERO } else { REST })
    }

    /// Has the engine load the models that deployments and search targets name, before anybody asks for them.
    fn load_models(&mut self) {
        for load in [preloaded_models::load, load_embedders] {
            if let Err(error) = attempt(load) {
                log("models were not loaded in advance", &error);
            }
        }
        self.engine_since = engine_since();
    }

    /// Does one batch of a table; whether there was any.
    fn table(&mut self, table: &Table) -> bool {
        if self.locked_until.get(&table.target).is_some_and(|until| *until > Instant::now()) {
            return false;
        }
        if !table.is_counted
            && let Err(error) = attempt(|| queue::count(table))
        {
            return self.table_failed(table, &error);
        }
        // Who asks for another rate does not wait for the end of a pause by the former one.
        let pauses = |(rate, until): &(f32, Instant)| Some(*rate) == table.rows_per_second && *until > Instant::now();
        let may_backfill = !table.is_backfilled && !self.backfill_from.get(&table.target).is_some_and(pauses);
        match attempt(|| Batch::read(table, may_backfill)) {
            Ok(Some(batch)) => {
                self.busy.insert(table.target.clone());
                self.run(table, &batch)
            }
            Ok(None) if table.is_backfilled && table.is_awaited => match attempt(|| queue::switch(table)) {
                Ok(switched) => switched,
                Err(error) => self.table_failed(table, &error),
            },
            Ok(None) => {
                let waits = !table.is_backfilled && !may_backfill;
                if !waits && self.busy.remove(&table.target) {
                    // Whoever listens learns of it at the next occasion if this fails.
                    let _ = attempt(|| queue::in_step(table));
                }
                false
            }
            Err(error) => self.table_failed(table, &error),
        }
    }

    /// Embeds a batch and writes it; whether the next may follow at once.
    fn run(&mut self, table: &Table, batch: &Batch) -> bool {
        let began = Instant::now();
        let vectors = match embed(table, &batch.rows) {
            Ok(vectors) => vectors,
            Err(Failure::Engine(error)) => return self.engine_failed(table, &error),
            Err(Failure::Model(error)) => return self.one_by_one(table, batch, &error),
        };
        self.unanswered = 0;
        match attempt(|| batch.write(table, &vectors, began.elapsed())) {
            Ok(wrote_all) => {
                self.pace(table, batch, began);
                self.rest_unless(wrote_all, table);
                true
            }
            Err(error) => self.one_by_one(table, batch, &error),
        }
    }

    /// Leaves a table alone for a moment of which some rows could not be written.
    fn rest_unless(&mut self, wrote_all: bool, table: &Table) {
        if !wrote_all {
            self.locked_until.insert(table.target.clone(), Instant::now() + REST);
        }
    }

    /// Keeps to the rate at which rows that were there before may be embedded.
    fn pace(&mut self, table: &Table, batch: &Batch, began: Instant) {
        if batch.keys.backfill
            && let Some(rate) = table.rows_per_second
        {
            let pause = Duration::try_from_secs_f32(batch.keys.keys.len() as f32 / rate).unwrap_or(LONG_REST);
            self.backfill_from.insert(table.target.clone(), (rate, began + pause));
        }
    }

    /// Does each row of a batch that has failed by itself, so that one row holds none of the others up.
    fn one_by_one(&mut self, table: &Table, batch: &Batch, error: &str) -> bool {
        let all_began = Instant::now();
        for place in 0..batch.keys.keys.len() {
            pg_sys::check_for_interrupts!();
            let one = batch.only(place);
            let began = Instant::now();
            let error = match embed(table, &one.rows) {
                Err(Failure::Engine(error)) => return self.engine_failed(table, &error),
                Err(Failure::Model(error)) => error,
                Ok(vectors) => match attempt(|| one.write(table, &vectors, began.elapsed())) {
                    Ok(wrote_all) => {
                        self.rest_unless(wrote_all, table);
                        continue;
                    }
                    Err(error) => error,
                },
            };
            let noted = attempt(|| {
                queue::failed(table, &one.keys.keys[0], &one.entries[0], &error);
                one.note_backfill(table);
            });
            if noted.is_err() {
                return self.table_failed(table, &error);
            }
        }
        self.pace(table, batch, all_began);
        log(&format!("rows of search target \"{}\" were embedded one by one", table.target), error);
        true
    }

    fn engine_failed(&mut self, table: &Table, error: &str) -> bool {
        self.unanswered = self.unanswered.saturating_add(1);
        self.not_before = Some(Instant::now() + retry::without_engine(self.unanswered));
        self.table_failed(table, error)
    }

    fn table_failed(&mut self, table: &Table, error: &str) -> bool {
        // Where not even that can be written, the next look will tell why.
        let _ = attempt(|| queue::failing(table, error));
        false
    }
}

impl Batch {
    /// What waits of a table, its texts and its entries in the queue, all as one snapshot shows them; none when nothing waits.
    ///
    /// What was queued comes before what was there before.
    fn read(table: &Table, may_backfill: bool) -> Option<Self> {
        let most = if table.chunking.is_some() { BATCH_IN_PASSAGES } else { BATCH };
        let mut keys = queue::waiting(table, most);
        if keys.keys.is_empty() && may_backfill {
            keys = queue::missing(table, most);
            if keys.keys.is_empty() {
                queue::use_passages(table);
                queue::backfilled(table, 0, None);
            }
        }
        if keys.keys.is_empty() {
            return None;
        }
        let entries = queue::entries(table, &keys);
        let rows = rows::read(table, &keys);
        let mut batch = Self { keys, entries, rows };
        if table.chunking.is_some() {
            batch.shorten();
        }
        Some(batch)
    }

    /// Leaves the keys out behind which its passages are too many: they still wait.
    fn shorten(&mut self) {
        let mut counts = vec![0; self.keys.keys.len()];
        for row in &self.rows {
            if let Some(count) = counts.get_mut(row.place) {
                *count = row.parts.len();
            }
        }
        let mut sum = 0;
        let fits = |count: &&usize| {
            sum += **count;
            sum <= PASSAGES
        };
        let keep = counts.iter().take_while(fits).count().max(1);
        self.keys.keys.truncate(keep);
        self.entries.truncate(keep);
        self.rows.retain(|row| row.place < keep);
    }

    /// One of its keys alone.
    fn only(&self, place: usize) -> Self {
        let rows = self.rows.iter().filter(|row| row.place == place);
        Self {
            keys: self.keys.some(std::iter::once(place)),
            entries: self.entries.get(place).cloned().into_iter().collect(),
            rows: rows.map(|row| Row { place: 0, ..row.clone() }).collect(),
        }
    }

    /// Writes its embeddings, unless they are of a model or for a place that the table has no more: then all of it still waits.
    /// Writes its rows but those that another transaction has locked, which wait for another time; whether that was all of them.
    fn write(&self, table: &Table, vectors: &Vectors, took: Duration) -> bool {
        if !table.is_unchanged() {
            return true;
        }
        let locked = rows::lock(table, &self.keys);
        let written = if locked.is_empty() {
            self.write_rows(table, vectors)
        } else {
            let (mine, vectors) = self.without(&locked, vectors);
            mine.write_rows(table, &vectors)
        };
        if self.keys.backfill && !locked.is_empty() {
            queue::later(table, &self.keys.some(locked.iter().copied()));
        }
        self.note_backfill(table);
        queue::embedded(table, written, took);
        locked.is_empty()
    }

    /// Writes its rows, which it has locked, and takes them out of the queue; how many were written.
    fn write_rows(&self, table: &Table, vectors: &Vectors) -> usize {
        let written = rows::write(table, &self.keys, &self.rows, vectors);
        queue::done(self.entries.concat());
        written
    }

    /// The batch without the keys at some places, and the vectors of what is left of its rows.
    fn without(&self, places: &[usize], vectors: &Vectors) -> (Self, Vectors) {
        let left: Vec<usize> = (0..self.keys.keys.len()).filter(|place| !places.contains(place)).collect();
        let entries = left.iter().filter_map(|place| self.entries.get(*place).cloned()).collect();
        let mut rest = Self { keys: self.keys.some(left.iter().copied()), entries, rows: Vec::new() };
        let mut kept = Vectors { width: vectors.width, numbers: Vec::new() };
        for (row, own) in rows::with_vectors(&self.rows, vectors) {
            if let Ok(place) = left.binary_search(&row.place) {
                rest.rows.push(Row { place, ..row.clone() });
                kept.numbers.extend_from_slice(own);
            }
        }
        (rest, kept)
    }

    fn note_backfill(&self, table: &Table) {
        if self.keys.backfill {
            queue::backfilled(table, self.keys.keys.len(), self.keys.keys.last().cloned());
        }
    }
}

/// Says something in the server's log.
fn log(message: &str, detail: &str) {
    ErrorReport::new(PgSqlErrorCode::ERRCODE_WARNING, message.to_owned(), "")
        .set_detail(format!("{detail}."))
        .report(PgLogLevel::LOG);
}

/// Why texts have no vectors.
enum Failure {
    /// The engine cannot be had, or has no room now: no text's fault.
    Engine(String),
    /// The model cannot be run on them.
    Model(String),
}

/// The vectors of rows. In a transaction, as the model may have to be brought to the engine, but with nothing read in it.
fn embed(table: &Table, rows: &[Row]) -> Result<Vectors, Failure> {
    if rows.is_empty() {
        return Ok(Vectors::default());
    }
    let texts: Vec<&str> = rows.iter().flat_map(|row| &row.parts).map(|part| part.text.as_str()).collect();
    match attempt(|| backend::embed_texts(&table.model, TextKind::Document, Priority::Bulk, &texts)) {
        Ok(Ok(vectors)) => Ok(vectors),
        Ok(Err(error @ (Error::Engine(_) | Error::Busy(_) | Error::Protocol(_) | Error::ModelFile { .. }))) => {
            Err(Failure::Engine(error.to_string()))
        }
        Ok(Err(error)) => Err(Failure::Model(error.to_string())),
        Err(error) => Err(Failure::Engine(error)),
    }
}
