//! Connections: who may open one, and what comes in on it.
//!
//! Promises: a connection that breaks the protocol, or that nobody reads from, ends and takes nothing else with it; what it
//! has asked for and has not begun is dropped.
//!
//! - [`listener`]: the socket. [`connection`]: one of those who have opened it.

pub mod connection;
pub mod listener;
