//! What the supervisor leaves in the data folder for backends to read, and what they leave for it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use harca_core::protocol::digest::Digest;

use crate::process;

/// How the engine is, one object of JSON.
const STATE: &str = "pg_harca_engine.state";

/// Models that are not to be run, a digest a line.
const QUARANTINE: &str = "pg_harca_engine.quarantine";

/// Databases of which an engine has run models: a line for each [`Database`], its fields in their order.
const DATABASES: &str = "pg_harca_engine.databases";

/// Who changes the file above holds a lock on this one: it is read, and written anew.
const DATABASES_LOCK: &str = "pg_harca_engine.databases.lock";

/// Most of them that are remembered.
const MAX_DATABASES: usize = 32;
/// Starts of a worker, none of which has connected, after which its database is not asked for again.
const MAX_STARTS: u32 = 3;

/// What the engine was about to do when it ended; it writes the file itself.
pub const AT_WORK: &str = "pg_harca_engine.at_work";

/// Largest file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// How the engine is, by the supervisor's account.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// `running`, `starting` or `off`.
    pub state: String,
    /// Why it is not running, or how it ended the last time; empty where there is nothing to say.
    pub detail: String,
    /// Since when, in microseconds as of PostgreSQL.
    pub since: i64,
    /// How often it was started again.
    pub restarts: i64,
}

/// What the supervisor of this server has written last; none where it has never run.
pub fn state() -> Option<State> {
    let json: serde_json::Value = serde_json::from_slice(&read(STATE)?).ok()?;
    // A file that a former run of the server has left says nothing.
    if json["server"].as_i64()? != process::server_start() {
        return None;
    }
    Some(State {
        state: json["state"].as_str()?.into(),
        detail: json["detail"].as_str()?.into(),
        since: json["since"].as_i64()?,
        restarts: json["restarts"].as_i64()?,
    })
}

/// Writes how the engine is; whether that was possible.
pub fn write_state(state: &State) -> bool {
    let json = serde_json::json!({
        "server": process::server_start(), "state": state.state, "detail": state.detail,
        "since": state.since, "restarts": state.restarts,
    });
    write(STATE, json.to_string().as_bytes())
}

/// Models that are not to be run.
pub fn quarantine() -> Vec<Digest> {
    let text = read(QUARANTINE).and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    text.lines().filter_map(Digest::of_hex).collect()
}

/// Writes which models are not to be run; whether that was possible.
pub fn write_quarantine(models: &[Digest]) -> bool {
    let lines: String = models.iter().map(|model| format!("{model}\n")).collect();
    write(QUARANTINE, lines.as_bytes())
}

/// A database of which an engine has run models.
pub struct Database {
    /// Its number in `pg_database`.
    pub number: u32,
    /// How often its worker was called.
    pub calls: u64,
    /// How often that has been started since one has connected.
    pub starts: u32,
}

/// Databases of which an engine has run models.
pub fn databases() -> Vec<Database> {
    let text = read(DATABASES).and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let one = |line: &str| {
        let mut words = line.split(' ');
        let (number, calls) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Database { number, calls, starts: words.next().and_then(|starts| starts.parse().ok()).unwrap_or(0) })
    };
    text.lines().filter_map(one).collect()
}

/// Remembers a database, whose models the next engine has then from its beginning.
pub fn note_database(database: u32) {
    call_worker(database, 0);
}

/// Has the worker of a database started, unless it runs; with 0 calls, the database is remembered with as many as it had.
pub fn call_worker(database: u32, calls: u64) {
    let _lock = lock_databases();
    let mut known = databases();
    match known.iter_mut().find(|known| known.number == database) {
        Some(_) if calls == 0 => return,
        Some(known) => known.calls += calls,
        None => known.push(Database { number: database, calls, starts: 0 }),
    }
    let oldest = known.len().saturating_sub(MAX_DATABASES);
    write_databases(&known[oldest..]);
}

/// The worker of a database begins, and is about to connect; gives how often it was called. A database to which none has
/// connected in [`MAX_STARTS`] starts is forgotten: it has been dropped. Not at once, as a worker may be killed here.
pub fn worker_begins(database: u32) -> u64 {
    let _lock = lock_databases();
    let mut known = databases();
    let mut calls = 0;
    known.retain_mut(|known| {
        if known.number == database {
            known.starts += 1;
            calls = known.calls;
        }
        known.starts < MAX_STARTS
    });
    write_databases(&known);
    calls
}

/// It has connected: a database that was called so often is remembered.
pub fn worker_connected(database: u32, calls: u64) {
    let _lock = lock_databases();
    let mut known = databases();
    match known.iter_mut().find(|known| known.number == database) {
        Some(known) => known.starts = 0,
        None => known.push(Database { number: database, calls, starts: 0 }),
    }
    write_databases(&known);
}

/// The lock, for a moment; where there is none to be had, of two that write at once one is forgotten.
fn lock_databases() -> Option<fs::File> {
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(DATABASES_LOCK).ok()?;
    file.lock().ok().map(|()| file)
}

fn write_databases(databases: &[Database]) {
    let line = |known: &Database| format!("{} {} {}\n", known.number, known.calls, known.starts);
    let lines: String = databases.iter().map(line).collect();
    write(DATABASES, lines.as_bytes());
}

/// The models that the engine was at when it ended.
pub fn at_work() -> Vec<Digest> {
    read(AT_WORK).map(|bytes| harca_core::protocol::settings::at_work(&bytes)).unwrap_or_default()
}

fn read(name: &str) -> Option<Vec<u8>> {
    let metadata = fs::symlink_metadata(name).ok()?;
    (metadata.is_file() && metadata.len() <= MAX_BYTES).then(|| fs::read(name).ok())?
}

/// By way of a rename, so that nobody reads half of it. Not synced: after a crash of the machine nobody asks for it.
fn write(name: &str, content: &[u8]) -> bool {
    let unfinished = format!("{name}.{}", std::process::id());
    let mut options = fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished);
    opened.and_then(|mut file| file.write_all(content)).and_then(|()| fs::rename(&unfinished, name)).is_ok()
}
