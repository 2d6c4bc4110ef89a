//! The engine as a process: what ties it to the server, what it may have, and what it leaves behind.
//!
//! - [`tie`]: it ends with the server. [`memory`], [`processors`]: what it takes and what others want.
//! - [`at_work`]: what it was about to do when it ended.

pub mod at_work;
pub mod memory;
pub mod processors;
pub mod tie;
