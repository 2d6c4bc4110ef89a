//! Ranking, fusion and tuning of a hybrid search, over ids and numbers alone.
//!
//! Promises: every function is total: no input of numbers makes it fail, NaN and infinities among them; equal scores are
//! ordered by id.
//! Uses: no other room. Used by: no other room.
//!
//! - [`candidates`]: which words the keyword leg looks up, and which only in pairs.
//! - [`bm25`]: the score of a document for the words of a query.
//! - [`weighting`]: the weight of the vector leg for one query.
//! - [`fusion`]: two ranked lists into one.
//! - [`tuning`]: what weights and parameters suit a table, by judged queries.

pub mod bm25;
pub mod candidates;
pub mod fusion;
pub mod tuning;
pub mod weighting;
