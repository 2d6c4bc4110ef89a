//! A search: what was asked, the target that it is asked of, the legs, and the rows in order.
//!
//! Promises: it runs with the rights, the snapshot and the `search_path` of the caller; every statement names what it uses with
//! its schema, operators and casts among them; nothing of a query is kept but plans, its options, the weights of words that the
//! function of another extension keeps of its index, and hashes of the latest that were learned from.
//! Uses: [`backend`](crate::backend) for the classification and the embedding of a query, [`shared_memory`](crate::shared_memory) for what is learned,
//! [`settings`](crate::settings), [`bridge`](crate::bridge), [`process`](crate::process). Used by: [`api`](crate::api).
//!
//! - [`run`]: a search from its arguments to its rows. [`arguments`]: what these are read as. [`explain`]: how it came to them.
//! - [`target`]: the table, and the `distance` of its embeddings. `kept_targets`: those that are read already;
//!   [`kept_options`]: options likewise. [`terms`]: the words.
//! - `embedded_query`: the embedding of a query that came without one.
//! - `keyword_leg`, `vector_leg`: what each leg asks of the table. [`legs`]: what they have in common. `best_rows`: the best of
//!   what comes back.
//! - [`passages`]: those of long texts, in the place of the embeddings of rows. `nearest_passages`: what is asked of them.
//! - [`learning`]: what searches tell of their table, and what they go by.
//! - [`bm25_index`]: a BM25 index of another extension in the place of the GIN index, where the table has one.
//! - `local_settings`: settings for the search alone. `statements`: plans that are kept, and rows one by one. `catalog`: what the system catalogs say,
//!   and `catalog_changes`: how long it holds.
//! - [`judged`]: judged queries, for tuning. [`ranked_lists`]: the legs of `harca.fuse`.

pub mod arguments;
mod best_rows;
mod bm25_index;
mod catalog;
mod catalog_changes;
mod distance;
mod embedded_query;
pub mod explain;
pub mod judged;
pub mod kept_options;
mod kept_targets;
mod keyword_leg;
pub mod learning;
mod legs;
mod local_settings;
mod nearest_passages;
pub mod passages;
pub mod ranked_lists;
pub mod run;
mod statements;
mod target;
mod terms;
mod vector_leg;

pub use catalog_changes::announce_change;
pub use legs::Leg;
pub use statements::Connection;
