//! What the models of a database have answered, counted by all processes together in memory that they share.
//!
//! A process counts for itself in a [`Tally`], plain numbers, and adds that to an [`Arm`] when its transaction ends: an
//! answer from the cache takes 0.1 µs, and a line of memory that all processors write for each would cost as much again.
//!
//! # Blocks
//!
//! [`Arm`]s and [`Health`]s are blocks of atomics in arrays of a fixed size, and zeros are a free one. A block belongs to
//! whom its [`Tag`] names. It is claimed by one process at a time, and when none is free, the one that was used longest ago
//! is taken: models come and go, the arrays do not grow. A process that finds another one claiming does not wait: it keeps
//! its counts and asks again when it adds the next. Claiming is a few hundred stores with nothing between that could fail,
//! and a process that is killed in the midst of it has the server make its shared memory anew. Who has found a block keeps
//! it and asks [`Tag::is`] before each use. A process that has asked and then adds to a block which is being taken spoils a
//! few counts of another model; that is all that can happen, and the price for having no lock on every count.

mod answers;
mod arm;
mod block;
mod health;
#[cfg(test)]
mod tests;

pub use answers::{Answers, BINS, CLASSES};
pub use arm::{Arm, ArmCounts, Tally};
pub use block::{Block, Claim, Owner, Role, Tag};
pub use health::{Health, Reason};
