//! A model of the engine on its way from an offer to its end.

use std::sync::Arc;

use harca_core::protocol::digest::Digest;
use harca_core::protocol::message::Texts;
use harca_core::protocol::status::{ModelStatus, State};

use super::Pending;
use super::counts::Counts;
use crate::model::Model;
use crate::model::files::ModelFiles;
use crate::reply::ticket::Ticket;

/// Microseconds after which a model that could not be used may be offered again: what was wrong with it may have been a lack
/// of memory.
const BROKEN_FOR: u64 = 10_000_000;

/// Requests that may wait for one model to be loaded.
const MAX_WAITING: usize = 4096;

/// A model in memory.
pub struct Loaded {
    pub model: Box<dyn Model>,
    pub files: ModelFiles,
    /// Threads that its runs have.
    pub threads: usize,
}

/// Where a model is on its way.
#[derive(Default)]
pub enum Stage {
    /// It is not there.
    #[default]
    Gone,
    /// Somebody sends it.
    Expected,
    /// It is to be loaded.
    Arrived(ModelFiles),
    /// It is being loaded.
    Loading,
    /// It runs.
    Ready(Arc<Loaded>),
    /// It cannot be used.
    Broken { reason: String, at: u64 },
}

/// What is known of a model.
#[derive(Default)]
pub struct Entry {
    pub name: String,
    pub stage: Stage,
    /// When somebody asked for it last.
    pub used_at: u64,
    pub counts: Counts,
    /// Microseconds that loading it took.
    pub loaded_in: u64,
    waiting: Vec<Pending>,
}

/// What becomes of a request.
pub enum Admission {
    /// It can be read now.
    Run(Arc<Loaded>, Option<Texts>),
    /// It waits for the model.
    Wait,
    /// The model has to be brought.
    Want,
    /// It has no answer, for this reason.
    Refuse(String),
}

impl Entry {
    /// What becomes of a request that has come at `now`.
    pub fn admit(&mut self, ticket: &Arc<Ticket>, texts: Option<Texts>, now: u64) -> Admission {
        match &self.stage {
            Stage::Ready(loaded) => Admission::Run(Arc::clone(loaded), texts),
            Stage::Gone => Admission::Want,
            Stage::Broken { at, .. } if now.saturating_sub(*at) > BROKEN_FOR => {
                self.stage = Stage::Gone;
                Admission::Want
            }
            Stage::Broken { reason, .. } => Admission::Refuse(reason.clone()),
            Stage::Expected | Stage::Arrived(_) | Stage::Loading => {
                self.waiting.retain(|pending| !pending.ticket.is_given_up());
                if self.waiting.len() >= MAX_WAITING {
                    return Admission::Refuse(format!("{MAX_WAITING} requests wait for the model to be loaded"));
                }
                self.waiting.push(Pending { ticket: Arc::clone(ticket), texts });
                Admission::Wait
            }
        }
    }

    /// Whether it is to be sent.
    pub fn expect(&mut self) -> bool {
        let new = matches!(self.stage, Stage::Gone);
        if new {
            self.stage = Stage::Expected;
        }
        new
    }

    /// It has come in as a whole.
    pub fn arrive(&mut self, files: ModelFiles) {
        self.stage = Stage::Arrived(files);
    }

    /// Takes its files to load it.
    pub fn take_arrived(&mut self) -> Option<ModelFiles> {
        match std::mem::replace(&mut self.stage, Stage::Loading) {
            Stage::Arrived(files) => Some(files),
            other => {
                self.stage = other;
                None
            }
        }
    }

    /// It is there; gives who has waited for it.
    pub fn ready(&mut self, loaded: Arc<Loaded>, micros: u64) -> Vec<Pending> {
        self.stage = Stage::Ready(loaded);
        self.loaded_in = micros;
        std::mem::take(&mut self.waiting)
    }

    /// It cannot be used; gives who has waited for it.
    pub fn fail(&mut self, reason: &str, now: u64) -> Vec<Pending> {
        self.stage = Stage::Broken { reason: reason.into(), at: now };
        std::mem::take(&mut self.waiting)
    }

    /// It does not come after all; gives who has waited for it.
    pub fn withdraw(&mut self) -> Vec<Pending> {
        if !matches!(self.stage, Stage::Expected) {
            return Vec::new();
        }
        self.stage = Stage::Gone;
        std::mem::take(&mut self.waiting)
    }

    /// Whether it is neither there nor on its way, and nobody waits for it.
    pub fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Gone | Stage::Broken { .. }) && self.waiting.is_empty()
    }

    /// The model, if it is in memory.
    pub fn loaded(&self) -> Option<&Arc<Loaded>> {
        match &self.stage {
            Stage::Ready(loaded) => Some(loaded),
            _ => None,
        }
    }

    /// What is told of it.
    pub fn status(&self, digest: Digest, batch_tokens: u32) -> ModelStatus {
        let mut status = ModelStatus { digest: Some(digest), name: self.name.clone(), ..ModelStatus::default() };
        self.counts.tell(&mut status);
        (status.loaded_in, status.batch_tokens) = (self.loaded_in, batch_tokens);
        status.state = match &self.stage {
            Stage::Gone => State::Gone,
            Stage::Expected | Stage::Arrived(_) | Stage::Loading => State::Loading,
            Stage::Ready(loaded) => {
                let (provider, detail) = loaded.model.provider();
                (status.provider, status.detail) = (provider.into(), detail.into());
                status.bytes = loaded.files.bytes();
                State::Ready
            }
            Stage::Broken { reason, .. } => {
                status.detail.clone_from(reason);
                State::Broken
            }
        };
        status
    }
}
