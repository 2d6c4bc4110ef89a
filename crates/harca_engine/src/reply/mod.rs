//! Requests on their way to their replies.
//!
//! Promises: each request gets one reply at most, and whoever sends it waits for nobody.
//!
//! - [`ticket`]: a request that was taken in. [`outgoing`]: the side of a connection that replies go out on.

pub mod outgoing;
pub mod ticket;
