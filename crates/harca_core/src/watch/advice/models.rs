//! Models that answer.

use super::facts::{Evaluation, Facts, Shadow, SlowModel};
use super::{Advice, Severity, micros};

pub(super) const SLOWER_MODEL: &str = "slower model";
pub(super) const LATENCY_BOUND: &str = "latency bound";

/// Answers of both, before their agreement says anything.
const ENOUGH_ANSWERS: u64 = 1000;
/// Labelled queries, likewise.
const ENOUGH_QUERIES: u64 = 100;
/// Share of the answers in which two models agree that give the same ones.
const SAME: f64 = 0.99;
/// How many times slower is worth a change.
const SLOWER: f64 = 1.5;
/// Runs, before their times say anything.
const ENOUGH_RUNS: u64 = 20;
/// Room above the times that were seen.
const HEADROOM: f64 = 1.5;

pub(super) fn all(facts: &Facts, advice: &mut Vec<Advice>) {
    facts.shadows.iter().for_each(|shadow| of_shadow(shadow, advice));
    let fastest = |one: &&Evaluation, other: &&Evaluation| one.p50_us.total_cmp(&other.p50_us);
    if let Some(evaluation) = facts.evaluations.iter().filter(|one| is_better(one)).min_by(fastest) {
        of_evaluation(evaluation, advice);
    }
    facts.slow_models.iter().for_each(|model| latency_bound(model, advice));
}

fn is_slower(active: f64, other: f64) -> bool {
    other > 0.0 && active >= SLOWER * other
}

/// A shadow gives the answers of the active model, faster.
fn of_shadow(shadow: &Shadow, advice: &mut Vec<Advice>) {
    let Shadow { model, literal, active, answers, agreement, p50_us, active_p50_us } = shadow;
    if *answers < ENOUGH_ANSWERS || *agreement < SAME || !is_slower(*active_p50_us, *p50_us) {
        return;
    }
    advice.push(Advice {
        severity: Severity::Notice,
        rule: SLOWER_MODEL,
        subject: active.clone(),
        finding: format!("its shadow {model} gives the same answer to {:.2} % of {answers} queries", 100.0 * agreement),
        why: format!(
            "half of the queries take {} with {active} and {} with {model}",
            micros(*active_p50_us),
            micros(*p50_us)
        ),
        gain: format!("{} a query that no cache has", micros(active_p50_us - p50_us)),
        statement: format!("SELECT harca.activate_model({literal})"),
    });
}

/// Whether a model is as right as the active one, and faster.
fn is_better(one: &Evaluation) -> bool {
    // Accuracies are multiples of one in the number of queries: a millionth is no part of any.
    one.queries >= ENOUGH_QUERIES
        && one.accuracy >= one.active_accuracy - 1e-6
        && is_slower(one.active_p50_us, one.p50_us)
}

fn of_evaluation(evaluation: &Evaluation, advice: &mut Vec<Advice>) {
    let Evaluation { model, literal, active, queries, accuracy, active_accuracy, p50_us, active_p50_us } = evaluation;
    advice.push(Advice {
        severity: Severity::Notice,
        rule: SLOWER_MODEL,
        subject: active.clone(),
        finding: format!(
            "{model} gets {:.2} % of {queries} labelled queries right, {active} {:.2} %",
            100.0 * accuracy,
            100.0 * active_accuracy
        ),
        why: format!(
            "half of the queries take {} with {active} and {} with {model}",
            micros(*active_p50_us),
            micros(*p50_us)
        ),
        gain: format!("{} a query that no cache has", micros(active_p50_us - p50_us)),
        statement: format!("SELECT harca.activate_model({literal})"),
    });
}

/// A model is given up for a bound that it was never going to keep.
fn latency_bound(slow: &SlowModel, advice: &mut Vec<Advice>) {
    let SlowModel { model, bound_us, p95_us, runs, replaced } = slow;
    if *runs < ENOUGH_RUNS || *bound_us <= 0.0 || p95_us <= bound_us {
        return;
    }
    let wanted = (p95_us * HEADROOM / 1000.0).ceil();
    advice.push(Advice {
        severity: Severity::Warning,
        rule: LATENCY_BOUND,
        subject: model.clone(),
        finding: format!(
            "95 of 100 of its {runs} runs take {}, beyond pg_harca.max_latency of {}; other models or rules have answered \
             {replaced} queries",
            micros(*p95_us),
            micros(*bound_us)
        ),
        why: "a model that is given up as too slow answers nothing until it is tried again".into(),
        gain: format!("the answers of {model}; or go back to a faster model with harca.rollback_model()"),
        statement: format!("ALTER SYSTEM SET pg_harca.max_latency = '{wanted}ms'; SELECT pg_reload_conf()"),
    });
}
