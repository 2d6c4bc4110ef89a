//! A BM25 index of another extension in the place of the GIN index: the keyword leg takes its rows, their scores and what is
//! known of words from there.
//!
//! Nothing of such an index is stored with a target. It is found in the list that PostgreSQL keeps of the table's indexes, and
//! kept until one of them changes, so that one which is created or dropped counts at once. [`engine::Engine`] is the seam: an extension with
//! such an index is a file beside [`pg_textsearch`], which knows the extension's names and its scale and nothing of searches,
//! and a line in [`choice`].
//!
//! - [`indexes`]: the indexes of a table on its text column, as the system catalogs have them.
//! - [`engine`]: what an index has to give. [`pg_textsearch`]: what those of that extension give.
//! - [`choice`]: which index a search takes, and why none.
//! - [`words`]: the words of a query as the index reads them, and how many documents have each, which a session keeps for as
//!   long as the index scores accordingly.
//! - [`kept_call`]: a function of the extension, with what it keeps for the session.
//! - [`leg`]: the rows, best first. [`plan`]: whether they come out of the index.

pub mod choice;
mod engine;
mod indexes;
mod kept_call;
pub mod leg;
mod pg_textsearch;
mod plan;
mod words;
