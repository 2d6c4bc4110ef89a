//! What one backend keeps between calls: the models that are to answer, the cache of answers, and the counters.
//!
//! A session comes from the postmaster, if it has built one that fits, or is built when the first query needs it. It
//! outlives errors and `DISCARD ALL`. When the active model cannot be had, fails or is too slow, the previous one answers,
//! and without one the rules; a model that has failed is tried again after `pg_harca.retry_interval`, or as soon as a
//! setting changes.
//!
//! Promises: a classification gives an answer, whatever becomes of a model; no warning or error is raised while the state is
//! borrowed.
//! Uses: [`registry`], [`engine`](crate::engine), [`shared_memory`](crate::shared_memory), [`settings`], [`bridge`](crate::bridge), [`process`]. Used by:
//! [`api`](crate::api).
//!
//! - `state`: the models that the backend has, and which of them are asked. `entry`: one of them.
//! - `single`: one query on its way to its answer; `batch`: many. `answer`: what comes out.
//! - `named`: models that are asked by their names; `embedding`: those that make vectors.
//! - `tallies`, `counting`: what is counted of it, until the transaction ends. [`query_log`]: what is logged.
//! - `memory`, `status`: what the backend tells of itself.

mod answer;
mod batch;
mod counting;
mod embedding;
mod entry;
mod memory;
mod named;
pub mod query_log;
mod single;
mod state;
mod status;
mod tallies;

use std::cell::RefCell;
use std::mem::ManuallyDrop;

use harca_core::error::{Error, Result};
use pgrx::pg_sys;

pub use answer::Answer;
pub use counting::Blocks;
pub use embedding::{Embedder, Vectors, describe_embedder, embed, embed_query, embed_texts, load_embedder};
use entry::Entry;
pub use named::classify_by;
use state::{ACTIVE, Backend};
pub use status::{PartStatus, Status};

use crate::bridge::error_report;
use crate::bridge::server_text::{ServerName, ServerText};
use crate::engine::client;
use crate::shared_memory::Memory;
use crate::shared_memory::answer_cache::LocalUse;
use crate::{process, registry, settings};

thread_local! {
    // Never dropped: the runtime must not be torn down by an exit handler while PostgreSQL's own still run.
    static BACKEND: ManuallyDrop<RefCell<Backend>> = {
        counting::at_transaction_end(transaction_ended);
        ManuallyDrop::new(RefCell::new(Backend::new()))
    };
}

/// Classifies one query.
pub fn classify(query: ServerText) -> Answer {
    let chars = settings::max_query_chars();
    let bytes = query.prefix(chars);
    loop {
        if let Some(answer) = with_backend(|backend, now| backend.classify(bytes, chars, now)) {
            return answer;
        }
        client::check_interrupts();
    }
}

/// Classifies queries, those that the cache does not hold in few runs; one answer per query, in order.
///
/// Between two runs, where nothing is borrowed, a cancelled query ends.
pub fn classify_batch(queries: &[ServerText]) -> Vec<Answer> {
    let chars = settings::max_query_chars();
    let prefixes: Vec<_> = queries.iter().map(|q| q.prefix(chars)).collect();
    let mut batch = with_backend(|backend, now| backend.begin(&prefixes, chars, now));
    // The models stay what they are until all is answered: a change is seen by the next call.
    while with_state(|backend, now| backend.run(&mut batch, now)) {
        pg_sys::check_for_interrupts!();
    }
    with_state(|backend, _| backend.answers(batch))
}

/// Builds the session of the active model now, if it is not there.
///
/// # Errors
/// Why it cannot be built; a former failure is not remembered here.
pub fn load() -> Result<ServerName> {
    with_backend(|backend, now| {
        backend.entries.iter_mut().flatten().for_each(Entry::forgive);
        backend.load(ACTIVE, now)?;
        backend.names(ACTIVE).map(|names| names.name()).ok_or_else(|| Error::Inference("no session".into()))
    })
}

/// Builds the session now, if it is not there, as a classification does; the name of whoever answers then.
pub fn prewarm() -> ServerName {
    with_backend(|backend, now| backend.answering(now).name())
}

/// Labels of whoever answers now, in the order of the scores.
///
/// Builds the session if it is not there, as a classification does: only a model itself says what its labels are.
pub fn labels() -> Vec<ServerName> {
    with_backend(|backend, now| backend.answering(now).server_labels().to_vec())
}

/// What this backend knows of its active model.
pub fn status() -> Status {
    with_backend(|backend, _| backend.status())
}

/// The models of the deployment. Those that are asked are loaded, so that what is wrong with them is known.
pub fn parts() -> Vec<PartStatus> {
    with_backend(|backend, now| backend.parts(now))
}

/// Adds what this backend has counted to what all share.
pub fn add_counts() {
    with_backend(|backend, _| backend.add_counts());
}

/// Forgets the answers that this backend keeps for itself, and gives their number.
pub fn reset_cache() -> usize {
    with_backend(|backend, _| backend.cache.clear_local())
}

/// The cache that this backend keeps for itself.
pub fn local_cache() -> LocalUse {
    with_backend(|backend, _| backend.cache.local())
}

/// What this backend keeps in memory of its own.
pub fn memory() -> Memory {
    with_backend(|backend, _| {
        backend.tell_memory();
        backend.memory()
    })
}

/// Runs `work` on the backend's state, after it has followed the settings and the deployment.
fn with_backend<R>(work: impl FnOnce(&mut Backend, i64) -> R) -> R {
    // Reads tables, which may end in an error: not while the state is borrowed.
    let deployment = registry::refresh(process::statement_time());
    with_state(|backend, now| {
        backend.follow_settings(deployment);
        work(backend, now)
    })
}

/// Runs `work` on the backend's state as it is, then gives the warnings it has left: `ereport` must not run while the
/// state is borrowed.
fn with_state<R>(work: impl FnOnce(&mut Backend, i64) -> R) -> R {
    let (result, warnings) = BACKEND.with(|backend| {
        let backend = &mut *backend.borrow_mut();
        let result = work(backend, process::statement_time());
        let none = backend.pending_warnings.is_empty();
        (result, if none { Vec::new() } else { std::mem::take(&mut backend.pending_warnings) })
    });
    for error in warnings {
        error_report::report(&error).report(pgrx::PgLogLevel::WARNING);
    }
    result
}

/// Called by the server; where an error has just ended a classification, what it has counted waits for the next time.
fn transaction_ended() {
    BACKEND.with(|backend| {
        if let Ok(mut backend) = backend.try_borrow_mut()
            && backend.pace.restart()
        {
            backend.add_counts();
            backend.release_idle();
        }
    });
}
