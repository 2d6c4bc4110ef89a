//! The functions that SQL sees, a file for a subject; the file of `sql/` that declares them has its name, or names it.
//!
//! Promises: a function reads its arguments, asks a room below or the core, and gives the result; it holds no state.
//! Uses: every room but [`init`](crate::init). Used by: PostgreSQL alone. The files never use each other.

mod advice;
mod bm25;
mod classify;
mod embedding;
mod engine;
mod fusion;
mod models;
mod query_log;
mod retired;
mod search;
mod searched_table;
mod session;
mod statistics;
mod text_search;
mod traffic;
mod tuning;
