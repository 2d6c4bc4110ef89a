//! What runs when PostgreSQL loads the library.
//!
//! Loading defines settings and nothing else, except in the postmaster: with `shared_preload_libraries` it reserves shared
//! memory, registers the worker and builds the session that all backends inherit.
#![allow(unsafe_code)] // an exported symbol

use pgrx::pg_guard;

use crate::engine::supervisor;
use crate::registry::preloaded_session;
use crate::shared_memory::{dump_worker, reserve};
use crate::{process, settings};

pgrx::pg_module_magic!(name, version);

#[pg_guard]
extern "C-unwind" fn _PG_init() {
    settings::define();
    if process::preloading() {
        reserve::reserve();
        dump_worker::register();
        supervisor::register();
        preloaded_session::build();
    }
}
