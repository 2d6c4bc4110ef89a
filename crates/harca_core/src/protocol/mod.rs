//! What a backend and the engine, the process beside the server that runs large models, say to each other.
//!
//! They speak over a Unix socket, in frames of plain data: [`frame`] cuts the stream into frames and bounds them, [`message`]
//! says what may stand in one, and [`status`] what the
//! engine tells of itself. The first frame of each side is a
//! [`Hello`](message::Hello), whose layout never changes, so that two releases can tell each other apart; everything behind
//! it is only sent between equals. [`settings`] are told the engine by whoever starts it, in another way.
//!
//! ```text
//! backend                                    engine
//! Hello ───────────────────────────────────▶
//!       ◀─────────────────────────────────── Hello
//! Run 1, of a model ───────────────────────▶
//!       ◀─────────────────────────────────── Wanted 1: the engine does not have it
//! Offer, Part, Part … ─────────────────────▶
//! Run 1 again ─────────────────────────────▶
//!       ◀─────────────────────────────────── Done 1, or Failed 1
//! ```
//!
//! A backend that no longer waits sends [`Cancel`](message::Request::Cancel) or closes the connection; what has not begun by
//! then is never run. Several requests of a connection may be on their way at once and are answered in any order.
//!
//! Promises: whatever comes in is bounded before memory is taken for it, and what breaks a bound comes out as an
//! [`Error`](crate::error::Error), after which the connection is good for nothing. No function here does anything but read and
//! write memory and the stream that it is given.
//! Uses: [`error`](crate::error). Used by: [`watch`](crate::watch), the engine and its client.

pub mod digest;
pub mod frame;
pub mod message;
pub mod priority;
pub mod settings;
pub mod status;

/// Revision of the messages. Both sides must have the same one.
pub const PROTOCOL: u32 = 1;
