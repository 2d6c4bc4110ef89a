//! From a text to its type, with calibrated scores.
//!
//! Promises: the same text, model and bounds give the same answer, one by one or in a batch; all work is bounded by the
//! manifest; [`rules`] never fail.
//! Uses: [`text`](crate::text), [`model`](crate::model), [`error`](crate::error). Used by: [`cache`](crate::cache) and
//! [`watch`](crate::watch), which keep and count what comes out.
//!
//! - [`encode`]: text to the ids that a model takes. Training uses the same code.
//! - [`classifier`]: a model ready to answer: encode, run, softmax.
//! - [`batch`]: many texts in few runs. [`feature_cache`]: encoded texts for a second model.
//! - [`classification`]: the answer, of a fixed size.
//! - [`rules`]: what answers when no model can, and what holds nothing to search for.

pub mod batch;
pub mod classification;
pub mod classifier;
pub mod encode;
pub mod feature_cache;
pub mod rules;
