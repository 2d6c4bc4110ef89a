//! The functions that SQL sees; `sql/` declares them.

mod classify;
mod fusion;
mod model_stats;
mod models;
mod query_log;
mod ranking;
mod stats;
mod status;
mod text_search;
mod tuning;
