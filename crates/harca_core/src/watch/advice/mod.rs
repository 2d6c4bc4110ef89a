//! What to change on a server, told from what is known of it: facts in, advice out.
//!
//! Whoever asks gathers [`Facts`] with the rights that they have, as a JSON document; what they may not read is left out, and
//! what is not there gives no advice. The rules are plain functions, and each says what it has found with its numbers, why
//! that matters, what a change gains and the statement for it. A rule that cannot name a figure of the server at hand is
//! none: nothing is advised because it is usual.

mod engine;
mod facts;
mod models;
mod server;
mod target;

pub use facts::{
    Cache, Column, Engine, EngineModel, Evaluation, Facts, Index, Recall, Server, Shadow, SlowModel, Target, Tuning,
};

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something does not work.
    Critical,
    /// Answers are worse, or cost far more, than they need.
    Warning,
    /// There is something to gain.
    Notice,
}

impl Severity {
    /// In a word: "critical", "warning" or "notice".
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

/// One thing to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// How much it matters.
    pub severity: Severity,
    /// The rule that gives it.
    pub rule: &'static str,
    /// What it is about: a setting, a search target, a model.
    pub subject: String,
    /// What was found.
    pub finding: String,
    /// Why that matters.
    pub why: String,
    /// What the change gains.
    pub gain: String,
    /// What makes the change; a comment in it says what is to be done beside.
    pub statement: String,
}

/// Names of all rules, in the order in which the documentation has them.
pub const RULES: [&str; 19] = [
    server::PRELOAD,
    server::SHARED_CACHE,
    server::WORK_MEM,
    target::STATISTICS,
    target::PARSER,
    target::KEYWORD_INDEX,
    target::VECTOR_INDEX,
    target::OPERATOR_CLASS,
    target::INVALID_INDEX,
    target::WEIGHTS,
    target::EF_SEARCH,
    models::SLOWER_MODEL,
    models::LATENCY_BOUND,
    engine::OFF,
    engine::QUARANTINE,
    engine::MEMORY,
    engine::PROCESSORS,
    engine::QUEUE,
    target::DIMENSIONS,
];

/// All advice that the facts give, what matters most first.
#[must_use]
pub fn advise(facts: &Facts) -> Vec<Advice> {
    let mut advice = Vec::new();
    if let Some(server) = &facts.server {
        server::preload(server, &mut advice);
        server::work_mem(server, &facts.targets, &mut advice);
    }
    if let Some(cache) = &facts.cache {
        server::shared_cache(cache, &mut advice);
    }
    for target in &facts.targets {
        target::all(target, &mut advice);
    }
    models::all(facts, &mut advice);
    if let Some(engine) = &facts.engine {
        engine::all(engine, &mut advice);
    }
    // Stable: rules keep their order, and targets theirs.
    advice.sort_by_key(|one| one.severity);
    advice
}

/// A number of bytes as people say it.
fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} kB", bytes.div_ceil(1024)),
        _ => format!("{} MB", bytes.div_ceil(1_048_576)),
    }
}

/// A time in microseconds as people say it.
fn micros(micros: f64) -> String {
    match micros {
        ..10.0 => format!("{micros:.1} µs"),
        10.0..10_000.0 => format!("{micros:.0} µs"),
        _ => format!("{:.0} ms", micros / 1000.0),
    }
}

/// At least a number, in two digits: what a person would set.
fn round_up(number: f64) -> u64 {
    let step = 10f64.powf(number.max(1.0).log10().floor() - 1.0).max(1.0);
    ((number / step).ceil() * step) as u64
}

#[cfg(test)]
mod tests;
