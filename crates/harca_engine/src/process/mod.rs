//! The engine as a process: what ties it to the server, what it may have, and what it leaves behind.
//!
//! - [`tie`]: it ends with the server. [`processors`]: what others want of the machine.
//! - [`at_work`]: what it was about to do when it ended.

pub mod at_work;
pub mod processors;
pub mod tie;
