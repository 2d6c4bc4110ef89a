//! The process beside the server that runs large models for pg_harca.
//!
//! A background worker of the extension starts the program `pg_harca_engine`, tells it its
//! [settings](harca_core::protocol::settings), and starts it again when it ends. Backends connect to its socket and ask it for
//! [runs of models](harca_core::protocol). It knows nothing of PostgreSQL and attaches none of its memory, so that nothing that
//! happens to it happens to the server.
//!
//! | room | what it holds |
//! |---|---|
//! | [`process`] | the process: what ties it to the server, its memory, what it was at when it ended |
//! | [`serve`] | connections: who may open one, and what comes in on it |
//! | [`reply`] | requests on their way to their replies |
//! | [`engine`] | what its threads share, and what they do |
//! | [`schedule`] | which texts run together, and when |
//! | [`model`] | models: files, tokenizers, graphs |

pub mod engine;
pub mod model;
pub mod process;
pub mod reply;
pub mod schedule;
pub mod serve;
