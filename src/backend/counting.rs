//! What a backend has counted for the models of its database, until its transaction ends: then it is added to the blocks
//! that all backends share, or, where there is no shared memory, to blocks of its own.
#![allow(unsafe_code)]

use std::cell::OnceCell;
use std::ffi::c_void;
use std::sync::OnceLock;
use std::time::Duration;

use harca_core::classify::classification::Classification;
use harca_core::watch::traffic::{Arm, Claim, Health, Owner, Role, Tally};
use pgrx::pg_sys;

use crate::{process, settings, shared_memory};

/// Answers after which a long statement adds what it has.
const ADDED_AFTER: u32 = 1024;

/// The blocks that this backend counts in.
#[derive(Clone, Copy)]
pub struct Blocks {
    /// For each part that a model takes.
    pub arms: &'static [Arm],
    /// For each model.
    pub healths: &'static [Health],
}

impl Blocks {
    /// The shared ones, or those of this backend.
    pub fn get() -> Self {
        thread_local! {
            static OWN: OnceCell<Blocks> = const { OnceCell::new() };
        }
        match shared_memory::attach() {
            Some(shared) => Self { arms: shared.arms(), healths: shared.healths() },
            None => OWN.with(|own| {
                *own.get_or_init(|| Self {
                    arms: Box::leak((0..8).map(|_| Arm::default()).collect()),
                    healths: Box::leak((0..8).map(|_| Health::default()).collect()),
                })
            }),
        }
    }
}

/// What was counted for one model since it was added last.
#[derive(Default)]
pub struct Counting {
    parts: Vec<Part>,
}

struct Part {
    role: Role,
    tally: Tally,
    arm: Option<Claim<Arm>>,
}

impl Counting {
    /// The tally of a part.
    pub fn of(&mut self, role: Role) -> &mut Tally {
        let known = self.parts.iter().position(|part| part.role == role);
        let place = known.unwrap_or_else(|| {
            self.parts.push(Part { role, tally: Tally::default(), arm: None });
            self.parts.len() - 1
        });
        &mut self.parts[place].tally
    }

    /// Counts the time of a run at once: it costs little beside the run.
    pub fn record(&mut self, role: Role, queries: usize, elapsed: Duration, who: &Who<'_>) {
        self.of(role);
        if let Some(part) = self.parts.iter_mut().find(|part| part.role == role)
            && let Some(arm) = part.arm(who)
        {
            arm.record(queries, elapsed);
        }
    }

    /// Adds what was counted to the blocks.
    pub fn add(&mut self, health: Option<&Health>, who: &Who<'_>) {
        for part in &mut self.parts {
            if part.tally.is_empty() {
                continue;
            }
            // Where another backend is claiming a block, the counts wait for the next time.
            let Some(arm) = part.arm(who) else { continue };
            arm.add(&part.tally);
            // Drift is seen in what people ask of the model that answers, and a challenger's or a shadow's queries are
            // chosen by their text.
            if part.role == Role::Active
                && let Some(health) = health
            {
                health.add(part.tally.answers(), settings::drift_window());
            }
            part.tally = Tally::default();
        }
    }
}

impl Part {
    fn arm(&mut self, who: &Who<'_>) -> Option<&'static Arm> {
        let known = self.arm.and_then(|claim| claim.used(who.now));
        known.or_else(|| {
            let owner = Owner {
                database: process::database(),
                role: self.role,
                since: who.since,
                model: who.model.into(),
                identity: who.identity.into(),
            };
            self.arm = Claim::of(Blocks::get().arms, &owner, who.now);
            self.arm?.block()
        })
    }
}

/// Whose counts they are.
pub struct Who<'a> {
    /// Name and version of the model.
    pub model: &'a str,
    /// What tells it from others of its name.
    pub identity: &'a str,
    /// Since when the deployment is as it is.
    pub since: i64,
    /// The time now.
    pub now: i64,
}

/// Says when what was counted is to be added: after [`ADDED_AFTER`] answers, and when the transaction ends.
#[derive(Default)]
pub struct Pace {
    answers: u32,
}

impl Pace {
    /// Counts an answer; whether it is time.
    pub fn step(&mut self) -> bool {
        self.answers += 1;
        self.answers >= ADDED_AFTER
    }

    /// Begins anew; whether there is anything to add.
    pub fn restart(&mut self) -> bool {
        std::mem::take(&mut self.answers) > 0
    }
}

/// What is to run whenever a transaction ends.
static AT_END: OnceLock<fn()> = OnceLock::new();

/// Has the server call `then` whenever a transaction ends, from the first call on.
pub fn at_transaction_end(then: fn()) {
    if AT_END.set(then).is_ok() {
        // SAFETY: registered once for the life of the process.
        unsafe { pg_sys::RegisterXactCallback(Some(transaction_ended), std::ptr::null_mut()) };
    }
}

unsafe extern "C-unwind" fn transaction_ended(event: pg_sys::XactEvent::Type, _argument: *mut c_void) {
    use pg_sys::XactEvent::*;
    if matches!(
        event,
        XACT_EVENT_COMMIT
            | XACT_EVENT_PARALLEL_COMMIT
            | XACT_EVENT_ABORT
            | XACT_EVENT_PARALLEL_ABORT
            | XACT_EVENT_PREPARE
    ) && let Some(then) = AT_END.get()
    {
        then();
    }
}

/// The places of the labels `shadow` among the labels `active`, by name; what `active` lacks has the last one.
pub fn places(shadow: &[String], active: &[String]) -> Vec<usize> {
    shadow
        .iter()
        .map(|label| active.iter().position(|one| one == label).unwrap_or(harca_core::model::manifest::MAX_LABELS))
        .collect()
}

/// The class of a shadow's answer in the order of the active model.
pub fn class_in(places: &[usize], answer: &Classification) -> usize {
    places.get(answer.class()).copied().unwrap_or(harca_core::model::manifest::MAX_LABELS)
}
