//! Where the figures say more about the tester than about the broker.

use crate::limits;
use crate::load::report::units;
use crate::load::result::{Step, WorkerUse};

/// Why the tester was the limit in a step; empty if it was not.
///
/// Three signs: messages went out late by more than a tenth of the latency that was measured; a worker had no CPU left;
/// fewer messages went out than intended although the broker took them. The broker's CPU stands beside the worker's
/// where it is known, since on a small machine both may be at their end.
pub fn tester_limits(step: &Step) -> Vec<String> {
    let mut found: Vec<String> = lateness(step).into_iter().collect();
    let workers = step.tester.workers.iter().enumerate();
    found.extend(workers.filter_map(|(number, worker)| no_cpu_left(step, number, worker)));
    found.extend(rate_not_reached(step));
    found
}

/// Whether the tester could not have sent more: no CPU left, or fewer messages than intended.
pub fn is_saturated(step: &Step) -> bool {
    let is_full = |worker: &WorkerUse| worker.busy > limits::LOAD_WORKER_BUSY_MAX;
    step.tester.workers.iter().any(is_full) || rate_not_reached(step).is_some()
}

/// Whether clearly less than this share of the intended messages was published. Random arrivals vary: three standard
/// deviations of a Poisson process are no shortfall.
pub fn falls_short(step: &Step, share: f64) -> bool {
    let Some(intended) = intended(step) else {
        return false;
    };
    let leeway = (intended * (1.0 - share)).max(3.0 * intended.sqrt());
    (step.published as f64) < intended - leeway
}

/// Messages that should have been published in the measured part; none where the rate is that of operations.
fn intended(step: &Step) -> Option<f64> {
    let rate = step.rate_intended?;
    let is_of_messages = step.operations.is_none();
    (is_of_messages && rate * step.seconds > 0.0).then_some(rate * step.seconds)
}

/// Slip below the floor is not worth a word: the kernel wakes a sleeping thread up to 50 µs late by default
/// (`timer_slack_ns`), and what it adds to a latency is no more than that.
fn lateness(step: &Step) -> Option<String> {
    step.rate_intended?;
    let slip = step.tester.slip_ns.p99;
    let (name, latency) = match &step.latency {
        l if !l.delivery_ns.is_empty() => ("latency", &l.delivery_ns),
        l => ("operation", &l.operation_ns),
    };
    let is_late = slip >= limits::LOAD_SLIP_FLOOR_NS
        && slip as f64 > latency.p99 as f64 * limits::LOAD_SLIP_SHARE_MAX;
    if !is_late || latency.is_empty() {
        return None;
    }
    Some(format!(
        "late: slip p99 {} is {} of {name} p99 {}, which counts it; more than {} is the tester's doing",
        units::nanos(slip as f64),
        units::percent(slip as f64 / latency.p99.max(1) as f64),
        units::nanos(latency.p99 as f64),
        units::percent(limits::LOAD_SLIP_SHARE_MAX),
    ))
}

fn no_cpu_left(step: &Step, number: usize, worker: &WorkerUse) -> Option<String> {
    if worker.busy <= limits::LOAD_WORKER_BUSY_MAX {
        return None;
    }
    let place = worker.cpu.map(|cpu| format!(" on CPU {cpu}"));
    let beside = match &step.broker {
        None => "; the broker's CPU is not known".to_owned(),
        Some(b) if b.busy > limits::LOAD_WORKER_BUSY_MAX => format!(
            "; so was the broker with {}: either may be the limit",
            units::percent(b.busy)
        ),
        Some(b) => format!(
            "; the broker used {} of one: the tester was the limit",
            units::percent(b.busy)
        ),
    };
    Some(format!(
        "saturated: worker {number}{} was busy for {} of the time{beside}",
        place.unwrap_or_default(),
        units::percent(worker.busy)
    ))
}

/// Messages that the broker did not take are its own doing: only what is missing beyond them is the tester's.
fn rate_not_reached(step: &Step) -> Option<String> {
    let intended = intended(step)?;
    let missing = intended - step.published as f64;
    let is_tester = (step.tester.held_back as f64) < missing;
    if !is_tester || !falls_short(step, limits::LOAD_RATE_SHARE_MIN) {
        return None;
    }
    Some(format!(
        "too slow: published {} of the {} intended although the broker took {}",
        units::rate_of(step.publish_rate, "msg/s"),
        units::rate_of(step.rate_intended.unwrap_or_default(), "msg/s"),
        match step.tester.held_back {
            0 => "them all".to_owned(),
            held => format!("all but {}", units::count(held)),
        }
    ))
}
