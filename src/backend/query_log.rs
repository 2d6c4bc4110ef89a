//! The log of sampled queries as a backend writes and reads it: files in a folder of the data folder, one folder for each
//! database, see [`harca_core::watch::query_log`].
//!
//! It is off by default. A query that cannot be logged is answered all the same: it is counted, and nothing is said.

use std::cell::Cell;
use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use harca_core::watch::query_log::{QueryLog, Record};

use super::answer::Answer;
use crate::bridge::server_text;
use crate::{process, settings, shared_memory};

/// Relative to the data folder, which is the working folder of every server process.
const FOLDER: &str = "pg_harca_queries";

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Seconds from the Unix epoch to that of PostgreSQL, 2000-01-01.
const EPOCH: i64 = 946_684_800;

thread_local! {
    static RANDOM: Cell<u64> = const { Cell::new(0) };
    /// The day on which this backend has last removed what is too old.
    static TIDIED: Cell<i64> = const { Cell::new(0) };
}

/// The log of this database.
pub fn open() -> QueryLog {
    let folder = PathBuf::from(FOLDER).join(process::database().to_string());
    QueryLog::new(folder, settings::query_log_bytes())
}

/// Logs a query that was just answered, if it is one of those that are; never fails.
pub(super) fn sample(query: &[u8], chars: usize, answer: &Answer) {
    if is_sampled() {
        append(&server_text::to_utf8(query, chars), answer);
    }
}

fn is_sampled() -> bool {
    let share = settings::query_log_sample();
    share > 0.0 && (share >= 1.0 || random() < share)
}

fn append(query: &str, answer: &Answer) {
    let at = unix_micros(process::current_time());
    let record = Record {
        at,
        query: query.into(),
        label: answer.label().into(),
        confidence: answer.classification().confidence,
        language: answer.classification().language.code().into(),
        model: answer.names().text.clone(),
    };
    let log = open();
    let logged = match log.append(&record) {
        // The first query that is logged on this server.
        Err(error) if error.kind() == ErrorKind::NotFound => make_folder().and_then(|()| log.append(&record)),
        logged => logged,
    };
    if !logged.unwrap_or(false)
        && let Some(shared) = shared_memory::attach()
    {
        shared.count_unlogged();
    }
    if TIDIED.replace(at / DAY) != at / DAY {
        // What cannot be removed now is tried again by the next session, and tomorrow.
        let _ = log.expire(at, settings::query_log_retention());
    }
}

fn make_folder() -> io::Result<()> {
    DirBuilder::new().mode(0o700).recursive(true).create(FOLDER)
}

/// A time of the server's as microseconds since the Unix epoch.
pub fn unix_micros(timestamp: i64) -> i64 {
    timestamp.saturating_add(EPOCH * 1_000_000)
}

/// The inverse of [`unix_micros`].
pub fn timestamp(unix_micros: i64) -> i64 {
    unix_micros.saturating_sub(EPOCH * 1_000_000)
}

/// A number from 0 to 1, by xorshift64* (S. Vigna, 2014): which queries are logged is no secret.
fn random() -> f64 {
    let mut state = RANDOM.get();
    if state == 0 {
        state = process::random_secret() | 1;
    }
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    RANDOM.set(state);
    (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
}
