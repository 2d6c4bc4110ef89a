//! The part of pg_harca that knows no PostgreSQL: it tells what kind of search a query is and fuses ranked lists.
//!
//! The path of a query: [`rules::is_searchable`] sorts out what holds nothing to search for, [`cache`] answers what
//! was asked before, [`encode`] turns text into feature ids, [`session`] runs the model that [`manifest`] describes,
//! and [`classify`] turns its logits into a [`classification`] with calibrated scores. [`rules`] answers alone when no model can.
//! [`fusion`] and [`segment`] serve the search that follows.

pub mod cache;
pub mod classification;
pub mod classify;
pub mod encode;
pub mod error;
pub mod fusion;
pub mod language;
pub mod manifest;
pub mod rules;
pub mod segment;
pub mod session;
