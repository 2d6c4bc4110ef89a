//! What is counted and judged while models answer.
//!
//! Promises: whatever lies in shared memory is plain atomics for which zeros are a valid beginning, nobody waits for
//! anybody, and no count stands in the way of an answer. Each module says what a reader may see while others write.
//! Uses: [`classify`](crate::classify), whose answers are counted, [`model`](crate::model), for the bound on labels, and
//! [`protocol`](crate::protocol), for the names of models. Used by:
//! no other room.
//!
//! - [`advice`]: what to change on a server, told from facts.
//! - [`histogram`]: times. [`model_stats`]: what each model has done.
//! - [`traffic`]: what models have answered, by the part that they take, and how they are.
//! - [`breaker`]: takes the traffic from a model that has become slow.
//! - [`drift`], [`significance`]: whether two sets of counts differ.
//! - [`restarts`]: when the engine is started again, and whom to blame for its end.
//! - [`query_log`]: sampled queries in files.

pub mod advice;
pub mod breaker;
pub mod drift;
pub mod histogram;
pub mod model_stats;
pub mod query_log;
pub mod restarts;
pub mod significance;
pub mod traffic;
