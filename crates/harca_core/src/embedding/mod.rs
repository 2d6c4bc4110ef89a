//! Tables whose embeddings are kept in step with their text: the SQL of it, and what becomes of what fails.
//!
//! Promises: knows no server; the SQL names everything with its schema, and holds nothing of a row but by parameters.
//!
//! - [`statements`]: what is asked of a table and written to it.
//! - [`retry`]: when something that has failed is tried again.

pub mod retry;
pub mod statements;
