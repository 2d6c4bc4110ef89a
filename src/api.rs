//! The functions that SQL sees; `sql/` declares them.

mod classify;
mod fusion;
mod ranking;
mod stats;
mod status;
mod text_search;
mod tuning;
