//! The engine: the process beside the server that runs large models, as the server sees it.
//!
//! # Who does what
//!
//! A background worker, the [`supervisor`], starts the program, tells it its settings, passes what it says on to the log, and
//! starts it again when it ends. It is registered with the server where the library is preloaded, and started by the first
//! session that needs it otherwise. The program attaches no memory of the server's: whatever happens to it, nothing happens to
//! the server.
//!
//! A backend connects to its socket in the data folder when it needs a model ([`client`]), and waits on the socket and on its
//! latch at once, so that a cancel is seen in the middle of a run. It holds no lock while it waits.
//!
//! Promises: no function here raises an error but by [`client::check_interrupts`]; an engine that is off, away or of another
//! version comes out as [`Error::Engine`](harca_core::error::Error::Engine) or
//! [`Error::Protocol`](harca_core::error::Error::Protocol).
//! Uses: [`settings`](crate::settings), [`bridge`](crate::bridge), [`process`](crate::process). Used by:
//! [`registry`](crate::registry), [`backend`](crate::backend), [`api`](crate::api), [`init`](crate::init).

pub mod client;
mod connection;
pub mod records;
pub mod supervisor;

/// The socket, relative to the data folder, which is the working folder of every server process: its full name may be longer
/// than the name of a socket can be.
const SOCKET: &str = "pg_harca_engine.sock";
