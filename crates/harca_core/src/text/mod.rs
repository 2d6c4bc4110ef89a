//! What a text is, before anybody asks what it means.
//!
//! Promises: pure functions of the text, of any length and content; none fails, and none keeps the text.
//! Uses: no other room. Used by: [`classify`](crate::classify), [`cache`](crate::cache), and the glue for text search.
//!
//! - [`language`]: the language that a text seems to be in.
//! - [`segment`]: the words and pairs of characters that the text search parser cuts a text into.
//! - [`headline`]: what a text shows of a query.
//! - [`phrase`]: what a query has between quotation marks.
//! - [`key`]: the hash that stands for a text where the text itself must not be kept.

pub mod headline;
pub mod key;
pub mod language;
pub mod phrase;
pub mod segment;
