//! The part of pg_harca that knows no PostgreSQL: it tells what kind of search a query is and fuses ranked lists.
//!
//! The path of a query: [`rules::is_searchable`] sorts out what holds nothing to search for, [`cache`] and
//! [`shared_cache`] answer what was asked before (the latter after a restart as well, thanks to [`cache_dump`]),
//! [`encode`] turns text into feature ids, [`network`] or, for graphs of other kinds, [`session`] runs the model that
//! [`manifest`] describes, and [`classify`] turns its logits into a [`classification`] with calibrated scores. [`rules`]
//! answers alone when no model can. [`feature_cache`] keeps encoded texts for a second model, [`batch`] brings many texts
//! into few runs, and [`model_stats`] counts what each model has done, and the time of its runs in a [`histogram`].
//! [`phrase`], [`segment`], [`candidates`], [`bm25`], [`weighting`] and [`fusion`] serve the search that follows, and
//! [`tuning`] finds what suits a table.

pub mod batch;
pub mod bm25;
pub mod breaker;
pub mod cache;
pub mod cache_dump;
pub mod candidates;
pub mod classification;
pub mod classify;
pub mod deployment;
pub mod drift;
pub mod encode;
pub mod error;
pub mod evaluation;
pub mod feature_cache;
pub mod fusion;
pub mod graph_check;
pub mod histogram;
pub mod language;
pub mod manifest;
pub mod model_stats;
pub mod network;
pub mod phrase;
pub mod query_log;
pub mod rules;
pub mod segment;
pub mod session;
pub mod shared_cache;
pub mod significance;
pub mod traffic;
pub mod tuning;
pub mod weighting;
