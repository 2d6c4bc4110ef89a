//! The bridge to PostgreSQL: calls, values, server text and errors as safe Rust.
//!
//! Promises: the rooms above need no `unsafe` to take an argument or give a result; text goes both ways in any server
//! encoding without an error; an error of the core has one SQLSTATE, message and hint.
//! Uses: no other room. Used by: every room above.
//!
//! - [`function_call`]: the call of a SQL function, its arguments and its result.
//! - [`value`]: Rust values as datums. [`result_rows`]: the rows of a set.
//! - [`server_text`]: text in the server's encoding, to UTF-8 and back.
//! - [`own_table`]: the rows of the extension's own tables.
//! - [`error_report`]: errors of the core as PostgreSQL reports them.

pub mod error_report;
pub mod function_call;
pub mod own_table;
pub mod result_rows;
pub mod server_text;
pub mod value;
