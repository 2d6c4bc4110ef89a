//! Answers that are kept, under the [`Key`](crate::text::key::Key) of their text.
//!
//! Promises: a kept answer is one that was put in, whole, under that very key, and not past its time; when in doubt a look-up
//! misses. No text is kept.
//! Uses: [`text`](crate::text), [`classify`](crate::classify), whose answers they are, [`model`](crate::model), for the bound
//! on labels. Used by: no other room.
//!
//! - [`local`]: the cache of one session (L1).
//! - [`shared`]: the one of all sessions (L2); it opens with its locking contract.
//! - [`reuse`]: how often a cache of another size would have hit, from a sample of its keys.
//! - [`vectors`]: vectors of queries, for all sessions.
//! - [`dump`]: [`shared`] as a file (L3), over a restart.

pub mod dump;
pub mod local;
pub mod reuse;
pub mod shared;
pub mod vectors;
