//! The part of pg_harca that knows no PostgreSQL: it tells what kind of search a query is and fuses ranked lists.
//!
//! | room | what it holds |
//! |---|---|
//! | [`text`] | what a text is: its language, its words for search, its phrases, and the key that stands for it |
//! | [`model`] | what a model is: manifest, graph, what runs it, which model a query goes to, how good it is |
//! | [`classify`] | from text to a type with calibrated scores |
//! | [`cache`] | answers that are kept: by a session, by all together, over a restart |
//! | [`embedding`] | tables whose embeddings are kept in step with their text |
//! | [`search`] | ranking, fusion and tuning of a hybrid search |
//! | [`protocol`] | what a backend and the engine, the process beside the server, say to each other |
//! | [`watch`] | what is counted and judged while all this runs |
//! | [`error`] | the one error of the crate |
//!
//! The path of a query: [`classify::rules::is_searchable`] sorts out what holds nothing to search for; [`cache::local`] and
//! [`cache::shared`] answer what was asked before, the latter after a restart as well, thanks to [`cache::dump`];
//! [`classify::encode`] turns text into feature ids; [`model::network`] or, for graphs of other kinds, [`model::session`]
//! runs the model that [`model::manifest`] describes; and [`classify::classifier`] turns its logits into a
//! [`classify::classification`]. [`classify::rules`] answers alone when no model can.

pub mod cache;
pub mod classify;
pub mod embedding;
pub mod error;
pub mod model;
pub mod protocol;
pub mod search;
pub mod text;
pub mod watch;
