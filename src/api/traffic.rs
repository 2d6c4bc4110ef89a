//! Functions behind `harca.stat_models`, `harca.drift` and `harca.health()`.
#![allow(unsafe_code)] // exported symbols

use harca_core::watch::drift::{self, Verdict};
use harca_core::watch::significance::{self, Moments};
use harca_core::watch::traffic::{Answers, Block, CLASSES, Health, Reason};
use pgrx::pg_sys::Datum;

use crate::backend::{self, Blocks};
use crate::bridge::function_call::{Call, sql_function};
use crate::bridge::value::Value;
use crate::process;

sql_function!(pg_finfo_harca_model_counts, harca_model_counts, model_counts);
sql_function!(pg_finfo_harca_model_parts, harca_model_parts, model_parts);
sql_function!(pg_finfo_harca_reset_drift_windows, harca_reset_drift_windows, reset_drift_windows);
sql_function!(pg_finfo_harca_same_class_mix, harca_same_class_mix, same_class_mix);
sql_function!(pg_finfo_harca_same_mean, harca_same_mean, same_mean);
sql_function!(pg_finfo_harca_stability_index, harca_stability_index, stability_index);
sql_function!(pg_finfo_harca_drift_verdict, harca_drift_verdict, drift_verdict);

/// `harca.model_counts() → setof record`: a row for each part that a model has taken in this database.
fn model_counts(call: &mut Call<'_>) -> Datum {
    backend::add_counts();
    let mut rows = call.rows();
    for arm in Blocks::get().arms {
        let Some(owner) = arm.tag().owner().filter(|owner| owner.database == process::database()) else { continue };
        let counts = arm.counts();
        let micros = |q| counts.latency.quantile(q).map(|nanoseconds| nanoseconds as f64 / 1000.0);
        let moments = counts.runs.confidences();
        let pairs: u64 = counts.agreement.iter().sum();
        let agreed: u64 = (0..CLASSES).map(|class| counts.agreement[class * CLASSES + class]).sum();
        rows.push([
            Value::Text(owner.role.as_str()),
            Value::Text(&owner.model),
            if owner.since == 0 { Value::Null } else { Value::BigInt(owner.since) },
            counts.answers.count().into(),
            Value::BigInts(&counts.answers.classes),
            mean(&counts.answers).into(),
            counts.runs.count().into(),
            Value::BigInts(&counts.runs.classes),
            Value::Doubles(&[moments.count as f64, moments.sum, moments.sum_of_squares]),
            counts.failures.into(),
            micros(0.5).into(),
            micros(0.95).into(),
            micros(0.99).into(),
            (pairs > 0).then(|| agreed as f64 / pairs as f64).into(),
            significance::symmetry(&counts.agreement, CLASSES).into(),
        ]);
    }
    call.null()
}

fn mean(answers: &Answers) -> Option<f64> {
    let moments = answers.confidences();
    (moments.count > 0).then(|| moments.sum / moments.count as f64)
}

/// `harca.model_parts() → setof record`: the models of the deployment and their health.
fn model_parts(call: &mut Call<'_>) -> Datum {
    backend::add_counts();
    let mut rows = call.rows();
    for part in backend::parts() {
        let health = part.health;
        let (trips, opened_at, breaker) = match health {
            Some(health) => {
                let (at, trips) = health.breaker.opened();
                (trips, at, breaker(health))
            }
            None => (0, 0, "closed"),
        };
        let (failures, failed_at, reason) = health.map_or((0, 0, None), Health::failures);
        let (reference, recent) = health.map_or((None, Answers::default()), Health::windows);
        let time = |at: i64| if at == 0 { Value::Null } else { Value::BigInt(at) };
        rows.push([
            Value::Text(part.role),
            Value::Text(&part.model),
            Value::Bool(part.loaded),
            part.failure.as_deref().into(),
            Value::Text(breaker),
            time(opened_at),
            trips.into(),
            failures.into(),
            time(failed_at),
            reason.map(why).into(),
            reference.as_ref().map_or(Value::Null, |answers| Value::BigInts(&answers.classes)),
            reference.as_ref().map_or(Value::Null, |answers| Value::BigInts(&answers.bins)),
            Value::BigInts(&recent.classes),
            Value::BigInts(&recent.bins),
        ]);
    }
    call.null()
}

fn breaker(health: &Health) -> &'static str {
    match (health.breaker.is_closed(), health.breaker.is_half_open()) {
        (true, _) => "closed",
        (_, true) => "half-open",
        _ => "open",
    }
}

fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::Load => "it could not be loaded",
        Reason::Inference => "a run gave no answer",
    }
}

/// `harca.reset_drift_windows() → void`: the next window of the active model is the reference.
fn reset_drift_windows(call: &mut Call<'_>) -> Datum {
    backend::add_counts();
    for health in backend::parts().iter().filter(|part| part.role == "active").filter_map(|part| part.health) {
        health.reset_windows();
    }
    call.null()
}

/// `harca.same_class_mix(bigint[], bigint[]) → double precision`, strict: the p-value of a chi-squared test.
fn same_class_mix(call: &mut Call<'_>) -> Datum {
    let p = significance::homogeneity(&call.big_integers(0), &call.big_integers(1));
    call.value(p.into())
}

/// `harca.same_mean(double precision[], double precision[]) → double precision`, strict: the p-value of Welch's test over
/// {number, sum, sum of squares}.
fn same_mean(call: &mut Call<'_>) -> Datum {
    let moments = |numbers: Vec<f64>| match numbers[..] {
        [count, sum, sum_of_squares] => Some(Moments { count: count.max(0.0) as u64, sum, sum_of_squares }),
        _ => None,
    };
    let pair = moments(call.doubles(0)).zip(moments(call.doubles(1)));
    let p = pair.and_then(|(a, b)| significance::equal_means(&a, &b));
    call.value(p.into())
}

/// `harca.stability_index(reference bigint[], recent bigint[]) → double precision`, strict.
fn stability_index(call: &mut Call<'_>) -> Datum {
    let psi = drift::psi(&call.big_integers(0), &call.big_integers(1));
    call.value(psi.into())
}

/// `harca.drift_verdict(psi double precision, reference bigint, recent bigint) → text`, strict.
fn drift_verdict(call: &mut Call<'_>) -> Datum {
    let number = |n: Option<i64>| u64::try_from(n.unwrap_or(0)).unwrap_or(0);
    let verdict = Verdict::of(call.double(0).unwrap_or(0.0), number(call.big_int(1)), number(call.big_int(2)));
    call.value(Value::Text(verdict.as_str()))
}
