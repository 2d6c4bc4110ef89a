//! The thread that looks at memory and processors.
//!
//! Beyond 85 % of its memory bound the engine lets those models go that nobody has asked for lately, beyond 90 % all that have
//! nothing to do; beyond the bound itself it ends, and is started anew. When tasks of the machine wait for a processor, and not
//! because of the engine's own work, it takes fewer threads and shorter runs, and all of them again when the processors are idle.

use std::sync::Arc;
use std::time::Duration;

use harca_core::model::session::private_memory;
use harca_core::protocol::digest::Digest;
use harca_core::protocol::settings::{Level, OUT_OF_MEMORY};

use super::Engine;
use super::models::Stage;
use super::runner::MAX_RUNNERS;
use crate::process::processors::Processors;
use crate::schedule::scheduler;

/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(200);

/// Looks at the processors that must say the same before the number of threads is changed: to change it loads the models
/// anew.
const STEADY: u32 = 50;

/// Microseconds after which nobody has asked for a model lately.
const LATELY: u64 = 60_000_000;

/// Shares of the memory bound from which models are let go.
const STEPS: [f64; 2] = [0.85, 0.90];

/// Share of the time in which some task waits for a processor, beyond which they are pressed, and below which idle.
const PRESSED: f64 = 0.60;
const IDLE: f64 = 0.20;

/// What the engine has made of memory and processors.
pub struct Pressure {
    processors: usize,
    /// Threads of all runs together, as long as nothing speaks against it.
    allowed: usize,
    /// Those that they have.
    taken: usize,
    /// Threads of a run, as long as there are so many.
    threads: usize,
    changes: u64,
    let_go: [u64; 2],
    /// How many looks in a row have said that threads should be fewer (negative) or more.
    tendency: i32,
}

impl Pressure {
    /// As many threads as there are processors, and so many for each run.
    pub fn new(processors: usize, threads: usize) -> Self {
        let allowed = processors.max(threads);
        Self { processors, allowed, taken: allowed, threads, changes: 0, let_go: [0; 2], tendency: 0 }
    }

    /// Threads that a run has.
    pub fn threads(&self) -> usize {
        self.threads.min(self.taken)
    }

    /// Runs that may go on at once.
    pub fn runs(&self) -> usize {
        (self.taken / self.threads().max(1)).clamp(1, MAX_RUNNERS)
    }

    /// How often threads have become fewer or more.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Models that were let go, by step.
    pub fn let_go(&self) -> [u64; 2] {
        self.let_go
    }

    /// Follows a setting of the threads of a run.
    pub fn allow(&mut self, threads: usize) {
        if self.threads != threads {
            *self = Self { changes: self.changes, let_go: self.let_go, ..Self::new(self.processors, threads) };
        }
    }

    /// Runs go on with the number of threads that is loaded.
    pub fn keep(&mut self, threads: usize) {
        self.threads = threads;
        self.taken = self.taken.max(threads);
    }

    /// Takes note of the share of time in which tasks wait for a processor; whether the number of threads has changed.
    fn see(&mut self, waiting: f64) -> bool {
        let direction = if waiting > PRESSED { -1 } else { i32::from(waiting < IDLE) };
        self.tendency = if direction == 0 || direction.signum() != self.tendency.signum() {
            direction
        } else {
            self.tendency + direction
        };
        if self.tendency.unsigned_abs() < STEADY {
            return false;
        }
        self.tendency = 0;
        let taken = if direction < 0 { self.taken.div_ceil(2) } else { (2 * self.taken).min(self.allowed) };
        let changed = taken != self.taken;
        self.taken = taken;
        self.changes += u64::from(changed);
        changed
    }
}

/// Looks at memory and processors, for ever.
pub fn run(engine: &Arc<Engine>) {
    let mut processors = Processors::default();
    loop {
        std::thread::sleep(PERIOD);
        engine.look_at_memory(private_memory().unwrap_or(0));
        if let Some(waiting) = processors.waiting() {
            engine.look_at_processors(waiting);
        }
    }
}

impl Engine {
    fn look_at_memory(&self, used: u64) {
        let bound = self.settings().memory;
        let share = used as f64 / bound.max(1) as f64;
        if share < STEPS[0] {
            return;
        }
        let step = usize::from(share >= STEPS[1]);
        let unused_since = self.now().saturating_sub(if step == 0 { LATELY } else { 0 });
        let freed = self.let_go(step, unused_since);
        if share > 1.0 && freed == 0 {
            self.say(Level::Warning, &format!("the engine has {used} bytes of {bound} that it may have, and ends"));
            std::process::exit(OUT_OF_MEMORY);
        }
    }

    /// Lets all models go that nobody has asked for since then and that have nothing to do; their number.
    fn let_go(&self, step: usize, unused_since: u64) -> usize {
        let mut state = self.state();
        let unused: Vec<Digest> = state
            .models
            .iter()
            .filter(|(model, entry)| {
                let busy =
                    state.is_wanted(**model) || entry.loaded().is_some_and(|loaded| Arc::strong_count(loaded) > 1);
                entry.loaded().is_some() && entry.used_at <= unused_since && !busy
            })
            .map(|(&model, _)| model)
            .collect();
        let freed: Vec<Stage> =
            unused.iter().filter_map(|model| Some(std::mem::take(&mut state.models.get_mut(model)?.stage))).collect();
        state.pressure.let_go[step] += freed.len() as u64;
        drop(state);
        let number = freed.len();
        drop(freed);
        number
    }

    fn look_at_processors(&self, waiting: f64) {
        let mut state = self.state();
        let settings = state.scheduler.settings();
        let pressed = waiting > if settings.pressed { IDLE } else { PRESSED };
        state.scheduler.set(scheduler::Settings { pressed, ..settings });
        if state.pressure.see(waiting) {
            let (threads, runs) = (state.pressure.threads(), state.pressure.runs());
            let settings = state.scheduler.settings();
            state.scheduler.set(scheduler::Settings { runs, ..settings });
            drop(state);
            self.log(&format!("runs have {threads} threads from now on, and {runs} may go on at once"));
            self.arrived.notify_one();
            self.queued.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(pressure: &mut Pressure, waiting: f64, times: u32) -> bool {
        (0..times).any(|_| pressure.see(waiting))
    }

    #[test]
    fn threads_follow_the_processors_slowly() {
        let mut pressure = Pressure::new(8, 4);
        assert!(!look(&mut pressure, 0.9, STEADY - 1));
        assert!(!look(&mut pressure, 0.4, 1));
        assert!(!look(&mut pressure, 0.9, STEADY - 1));
        assert_eq!((pressure.threads(), pressure.runs()), (4, 2));
        assert!(look(&mut pressure, 0.9, 1));
        assert_eq!((pressure.threads(), pressure.runs()), (4, 1));
        assert!(look(&mut pressure, 0.9, STEADY));
        assert!(look(&mut pressure, 0.9, STEADY));
        assert_eq!((pressure.threads(), pressure.runs()), (1, 1));
        assert!(!look(&mut pressure, 0.9, 3 * STEADY));
        assert_eq!((pressure.threads(), pressure.changes()), (1, 3));
        assert!(look(&mut pressure, 0.0, STEADY));
        assert_eq!((pressure.threads(), pressure.runs()), (2, 1));
        pressure.allow(3);
        assert_eq!((pressure.threads(), pressure.runs()), (3, 2));
        assert!(!look(&mut pressure, 0.0, 3 * STEADY));
    }

    #[test]
    fn the_processors_are_shared_between_runs() {
        for (processors, threads, runs) in
            [(1, 1, 1), (2, 1, 2), (4, 2, 2), (16, 4, 4), (2, 5, 1), (64, 1, MAX_RUNNERS)]
        {
            let pressure = Pressure::new(processors, threads);
            assert_eq!((pressure.threads(), pressure.runs()), (threads, runs));
        }
    }
}
