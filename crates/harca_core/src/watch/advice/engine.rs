//! The process beside the server: whether it runs, and whether it has what it needs.

use super::facts::{Engine, EngineModel};
use super::{Advice, Severity, bytes, micros};

pub(super) const OFF: &str = "engine off";
pub(super) const QUARANTINE: &str = "quarantined model";
pub(super) const MEMORY: &str = "engine memory";
pub(super) const PROCESSORS: &str = "engine processors";
pub(super) const QUEUE: &str = "engine queue";

/// Requests, before their times say anything.
const ENOUGH_REQUESTS: u64 = 100;
/// A wait below this, in microseconds, is nothing that anybody sees.
const SHORT_WAIT: f64 = 20_000.0;
/// How much of its bound a process that has room uses.
const ROOMY: f64 = 0.85;
/// What a model has in memory beside its files, as a share of them, with room for the texts of a run.
const BESIDE_FILES: f64 = 1.4;

pub(super) fn all(engine: &Engine, advice: &mut Vec<Advice>) {
    off(engine, advice);
    engine.models.iter().for_each(|model| quarantine(model, advice));
    if engine.state == "running" {
        memory(engine, advice);
        processors(engine, advice);
        queue(engine, advice);
    }
}

/// It is off, and something needs it.
fn off(engine: &Engine, advice: &mut Vec<Advice>) {
    if engine.state != "off" || engine.needed_by.is_empty() {
        return;
    }
    advice.push(Advice {
        severity: Severity::Critical,
        rule: OFF,
        subject: "pg_harca.engine".into(),
        finding: format!("it is off, and needed by {}", engine.needed_by.join(", ")),
        why: "without it no text is embedded, and a model that runs there answers nothing".into(),
        gain: "searches by meaning from a text alone, and tables in step with their text".into(),
        statement: "ALTER SYSTEM SET pg_harca.engine = on; SELECT pg_reload_conf()".into(),
    });
}

/// A model is not run, as it has brought the engine down.
fn quarantine(model: &EngineModel, advice: &mut Vec<Advice>) {
    // A row for each priority.
    if model.state != "quarantined" || advice.iter().any(|one| one.rule == QUARANTINE && one.subject == model.model) {
        return;
    }
    advice.push(Advice {
        severity: Severity::Critical,
        rule: QUARANTINE,
        subject: model.model.clone(),
        finding: "it was at work when the engine crashed or ran out of memory, three times, and is not run any more"
            .into(),
        why: "what it is for goes without it until it is released".into(),
        gain: "its answers; if it brings the engine down again, it is quarantined again".into(),
        statement: format!("SELECT harca.release_model({}) -- once the log of the server has told why", model.literal),
    });
}

/// Its models have no room.
fn memory(engine: &Engine, advice: &mut Vec<Advice>) {
    let let_go = engine.let_go_idle + engine.let_go_pressed;
    let used = engine.memory as f64 / (engine.memory_bound as f64).max(1.0);
    if let_go == 0 && used <= ROOMY {
        return;
    }
    let mut files: Vec<(&str, u64)> = engine.models.iter().map(|model| (model.model.as_str(), model.bytes)).collect();
    files.sort_unstable();
    files.dedup();
    let needed = BESIDE_FILES * files.iter().map(|(_, bytes)| *bytes as f64).sum::<f64>();
    let wanted = needed.max(engine.memory as f64 / ROOMY).max(engine.memory_bound as f64 * 1.25);
    // In steps of 256 MB.
    let wanted = (wanted / 268_435_456.0).ceil() as u64 * 256;
    advice.push(Advice {
        severity: if engine.let_go_pressed > 0 || used > ROOMY { Severity::Warning } else { Severity::Notice },
        rule: MEMORY,
        subject: "pg_harca.engine_memory".into(),
        finding: format!(
            "the engine has {} of {} ({:.0} %) and has let {let_go} models go for want of memory, {} of them although they were asked for in the last minute",
            bytes(engine.memory),
            bytes(engine.memory_bound),
            100.0 * used,
            engine.let_go_pressed
        ),
        why: format!(
            "a model that was let go is loaded again by whoever asks next; the files of the {} models have {}",
            files.len(),
            bytes(files.iter().map(|(_, bytes)| *bytes).sum())
        ),
        gain: format!("{let_go} loads since the engine began"),
        statement: format!("ALTER SYSTEM SET pg_harca.engine_memory = '{wanted}MB'; SELECT pg_reload_conf()"),
    });
}

/// Requests wait far longer than they run.
fn processors(engine: &Engine, advice: &mut Vec<Advice>) {
    let starved = |model: &&EngineModel| {
        model.priority == "interactive"
            && model.requests >= ENOUGH_REQUESTS
            && model.wait_p95_us > SHORT_WAIT.max(2.0 * model.run_p95_us)
    };
    let longest = |one: &&EngineModel, other: &&EngineModel| one.wait_p95_us.total_cmp(&other.wait_p95_us);
    let Some(model) = engine.models.iter().filter(starved).max_by(longest) else { return };
    let (what, statement) = if engine.threads < engine.processors {
        (
            format!("a run has {} threads, and the machine {} processors", engine.threads, engine.processors),
            "ALTER SYSTEM SET pg_harca.engine_threads = 0; SELECT pg_reload_conf()",
        )
    } else if engine.strategy != "latency" {
        (
            format!("runs are as long as pg_harca.engine_strategy = {} makes them", engine.strategy),
            "ALTER SYSTEM SET pg_harca.engine_strategy = 'latency'; SELECT pg_reload_conf()",
        )
    } else {
        (
            format!(
                "runs are short and have all {} processors: there is more work than these can do",
                engine.processors
            ),
            "SELECT model, priority, requests, tokens_per_second FROM harca.stat_engine -- a smaller model, or more processors",
        )
    };
    advice.push(Advice {
        severity: Severity::Warning,
        rule: PROCESSORS,
        subject: model.model.clone(),
        finding: format!(
            "95 of 100 of its {} interactive requests wait up to {} and run up to {}",
            model.requests,
            micros(model.wait_p95_us),
            micros(model.run_p95_us)
        ),
        why: what,
        gain: format!("up to {} a request", micros(model.wait_p95_us - model.run_p95_us)),
        statement: statement.into(),
    });
}

/// There is no room for more requests.
fn queue(engine: &Engine, advice: &mut Vec<Advice>) {
    if engine.queue_bound == 0 || engine.queued < engine.queue_bound - engine.queue_bound / 5 {
        return;
    }
    let failed: u64 = engine.models.iter().map(|model| model.failed).sum();
    let wanted = (2 * engine.queue_bound).min(1_000_000);
    advice.push(Advice {
        severity: Severity::Warning,
        rule: QUEUE,
        subject: "pg_harca.engine_queue".into(),
        finding: format!(
            "{} texts wait, {} may; {failed} requests were refused or have failed",
            engine.queued, engine.queue_bound
        ),
        why: "the next request is refused at once, and its query is answered by another model or the rules".into(),
        gain: format!("{} texts that wait instead", wanted - engine.queue_bound),
        statement: format!("ALTER SYSTEM SET pg_harca.engine_queue = {wanted}; SELECT pg_reload_conf()"),
    });
}
