//! Tables whose embeddings are kept in step with their text.
//!
//! # How nothing is lost, and nothing done twice
//!
//! Triggers queue the keys of rows whose text is new or has changed, in the transaction that changes it. The background worker
//! of the database takes some keys, reads with one snapshot what else is queued for them and their text, has the texts
//! embedded outside of any snapshot, and in one transaction writes the embeddings of rows whose text is still the same and
//! takes what it has seen out of the queue. What changes in between has queued its row again. Where it ends in between, by
//! whatever end, the rows are still queued: their texts are embedded a second time, and written once.
//!
//! What changes the model or the column of a target, its passages, or has all begun anew, waits for the end of that transaction;
//! one that comes after it sees the change, writes nothing, and the worker looks again.
//!
//! Rows that were there before are read in the order of their keys, a batch after the other, and the key that was reached is
//! kept with them.
//!
//! Promises: user functions that a table runs (triggers, generated columns) run with the rights of its owner, and nothing else
//! but what the owner may do; an error ends a batch and never the worker.
//! Uses: [`backend`](crate::backend) for the embeddings, [`registry`](crate::registry) for the models of deployments,
//! [`engine`](crate::engine), [`settings`](crate::settings), [`bridge`](crate::bridge), [`process`](crate::process). Used by: [`api`](crate::api).
//!
//! - [`worker`]: the process, what it does when, and what becomes of failures.
//! - `tables`: which tables there are. `queue`: what waits. `rows`: texts and embeddings. `transaction`: each of these in one.

mod queue;
mod rows;
mod tables;
mod transaction;
pub mod worker;
