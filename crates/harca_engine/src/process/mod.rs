//! The engine as a process: what ties it to the server, what it may have, and what it leaves behind.
//!
//! - [`tie`]: it ends with the server. [`memory`], [`processors`]: what it takes and what others want.
//! - [`at_work`]: what it was about to do when it ended.

pub mod at_work;
pub mod memory;
pub mod processors;
pub mod tie;

/// The exit status of an engine that had more memory than it may have.
pub const OUT_OF_MEMORY: i32 = 70;

/// The exit status of an engine that could not begin.
pub const CANNOT_BEGIN: i32 = 71;
