//! What a model is: the files it comes in, what runs its graph, which queries it is given, and how good it is.
//!
//! Promises: a file from anybody is checked before a runtime sees it, and whatever is wrong with it comes out as an
//! [`Error`](crate::error::Error); a graph runs in the calling thread and starts no other.
//! Uses: [`error`](crate::error). Used by: [`classify`](crate::classify), which knows what goes into a graph and what its
//! logits mean, [`cache`](crate::cache) and [`watch`](crate::watch), for the bound on labels. Only [`session`] names ort.
//!
//! - [`manifest`]: what a model says of itself: inputs, labels, calibration, digest, golden queries.
//! - [`transformer`]: the same for a model with a tokenizer, which the engine runs.
//! - [`import`]: a model in a folder as model hubs lay it out.
//! - [`files`]: a manifest with its graph, from a folder, a registry, the program, or somebody who wants to register it.
//! - [`graph_check`]: what a foreign graph may hold.
//! - [`network`]: graphs of `harca_train`, run by this crate. [`session`]: all others, run by ONNX Runtime.
//! - [`deployment`]: which of the models of a database a query goes to.
//! - [`evaluation`]: accuracy, calibration and times of a model on labelled queries.

pub mod deployment;
pub mod evaluation;
pub mod files;
pub mod graph_check;
pub mod import;
pub mod manifest;
pub mod network;
pub mod session;
pub mod transformer;
