//! Which texts run together, and when.
//!
//! Promises: nothing here knows a thread, a clock or a model. Time comes in as microseconds, texts as lengths, and what has
//! to be done goes out as a [`Batch`](scheduler::Batch).
//!
//! - [`lane`]: the texts that wait for one model, and which of them go together.
//! - [`pace`]: how many tokens a run may have, by what former runs took.
//! - [`scheduler`]: all lanes, two priorities, and whose turn it is.

pub mod lane;
pub mod pace;
pub mod scheduler;
