//! A hybrid search as far as it needs no table: what is asked for, ranking, fusion, paging and tuning.
//!
//! Promises: every function is total: no input of numbers makes it fail, NaN and infinities among them, and no JSON makes
//! it panic; equal scores are ordered by id; a value that somebody gives never becomes a part of SQL.
//! Uses: no other room. Used by: no other room.
//!
//! - [`options`], [`filter`], [`boosts`]: what a caller asks for, as JSON; [`refusal`] is why it cannot be had.
//! - [`sql_text`]: names and texts as parts of SQL.
//! - [`max_score`]: which documents the keyword leg has to look at.
//! - [`bm25`]: the score of a document for the words of a query.
//! - [`frequency_marks`]: what an index of words has to have in order to know how often they come, and [`length_classes`] how
//!   long documents are.
//! - [`index_weights`]: what an index that scores by BM25 knows of the words of a query.
//! - [`weighting`]: the weight of the vector leg for one query. [`calibration`]: that of a table, by what its searches show,
//!   beside the [`background`] of similarities.
//! - [`fusion`]: two ranked lists into one.
//! - [`paging`]: the rows of the fused list that are on a page. [`page_bound`]: when they are known.
//! - [`tuning`]: what weights and parameters suit a table, by judged queries.

pub mod background;
pub mod bm25;
pub mod boosts;
pub mod calibration;
mod decimal;
pub mod filter;
pub mod frequency_marks;
pub mod fusion;
pub mod index_weights;
mod json;
pub mod length_classes;
pub mod max_score;
pub mod options;
pub mod page_bound;
pub mod paging;
pub mod refusal;
pub mod sql_text;
pub mod tuning;
pub mod weighting;
