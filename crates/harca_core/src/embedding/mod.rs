//! Tables whose embeddings are kept in step with their text: the passages of it, the SQL, and what becomes of what fails.
//!
//! Promises: knows no server; the SQL names everything with its schema, and holds nothing of a row but by parameters.
//!
//! - [`passages`]: long texts, cut where sentences end.
//! - [`statements`]: what is asked of a table and written to it.
//! - [`retry`]: when something that has failed is tried again.

pub mod passages;
pub mod retry;
pub mod statements;
