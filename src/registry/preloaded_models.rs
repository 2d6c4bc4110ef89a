//! Models that the engine has in memory before anybody asks for them: those that the deployment of a database names.

use harca_core::error::Result;
use pgrx::PgLogLevel;

use super::{Deployment, Runner, open};
use crate::bridge::error_report;
use crate::engine::client;

/// Has the engine load them. What cannot be loaded is told in the log, and again to whoever asks for it.
pub fn load() {
    let Deployment { active, previous, challenger, .. } = Deployment::current();
    for source in [Some(active), previous, challenger.map(|challenger| challenger.source)].into_iter().flatten() {
        let loaded = open(&source).and_then(|model| -> Result<()> {
            let loaded = match &model.runner {
                Runner::Engine(model) => client::wait(|| client::load(model.as_ref(), None)),
                Runner::Here(_) => Ok(()),
            };
            model.release();
            loaded
        });
        if let Err(error) = loaded {
            error_report::report(&error).report(PgLogLevel::LOG);
        }
    }
}
