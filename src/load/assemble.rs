//! From the workers' parts to a step of the report.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::distribution::{Distribution, new_histogram};
use super::job::StepPlan;
use super::ledger::Balance;
use super::measure::{Counts, Meter, Spread, Window};
use super::result::{Interval, Latency, Operations, Step, TesterUse, Verification, WorkerUse};
use super::worker::{Received, StepPart};

/// A step that is over.
pub(super) struct Ended {
    pub window: Window,
    /// When all of it was over, deliveries included.
    pub ended_ns: u64,
    pub parts: Vec<StepPart>,
    /// What should have arrived in this step, and what is missing; `None` when that is not settled yet.
    pub balance: Option<Balance>,
    /// In this step.
    pub received: Received,
    pub unacknowledged: u64,
}

/// Puts a step together. The broker's use, the machine's figures and the violations are the caller's to add.
pub(super) fn step(plan: &StepPlan, mut ended: Ended) -> Step {
    let seconds = measured_seconds(&ended);
    let mut measured = Counts::default();
    for part in &ended.parts {
        measured.add(&part.meter.measured);
    }
    let verification = verification(&ended);
    let tester = tester(&ended);
    let series = series(plan, &ended.parts);
    let per_second = |count: u64| {
        if seconds > 0.0 {
            count as f64 / seconds
        } else {
            0.0
        }
    };
    Step {
        name: plan.name.clone(),
        at_s: ended.window.start_ns as f64 / 1e9,
        rate_intended: plan.rate,
        seconds,
        published: measured.published,
        delivered: measured.delivered,
        published_bytes: measured.published_bytes,
        delivered_bytes: measured.delivered_bytes,
        publish_rate: per_second(measured.published),
        delivery_rate: per_second(measured.delivered),
        operations: operations(plan, &ended.parts, per_second),
        verification,
        latency: latency(&mut ended),
        tester,
        broker: None,
        series,
        interval_s: plan.interval_s,
    }
}

/// The length of the measured part; shorter than planned where the work was done before.
fn measured_seconds(ended: &Ended) -> f64 {
    let window = &ended.window;
    let end_ns = if ended.ended_ns < window.end_ns {
        let done = ended.parts.iter().map(|part| part.done_ns).max();
        done.filter(|&done_ns| done_ns > window.measure_ns)
            .unwrap_or(ended.ended_ns)
    } else {
        window.end_ns
    };
    end_ns.saturating_sub(window.measure_ns) as f64 / 1e9
}

fn operations(
    plan: &StepPlan,
    parts: &[StepPart],
    per_second: impl Fn(u64) -> f64,
) -> Option<Operations> {
    let name = plan.operation.clone()?;
    let count = parts.iter().map(|part| part.operations).sum();
    Some(Operations {
        name,
        count,
        failed: parts.iter().map(|part| part.operations_failed).sum(),
        rate: per_second(count),
    })
}

fn verification(ended: &Ended) -> Verification {
    let received = &ended.received;
    let balance = ended.balance.unwrap_or_default();
    Verification {
        expected: balance.expected,
        received: received.delivered,
        lost: balance.lost,
        duplicated: received.duplicated,
        reordered: received.reordered,
        unexpected: received.unexpected,
        corrupt: received.corrupt,
        unacknowledged: ended.unacknowledged,
        refused: received.refused,
        disconnects: received.disconnects,
        violations: Vec::new(),
    }
}

fn tester(ended: &Ended) -> TesterUse {
    let parts = &ended.parts;
    let cpu_ns: u64 = parts.iter().map(|part| part.cpu_ns).sum();
    let received: u64 = parts.iter().map(|part| part.meter.measured.delivered).sum();
    let workers = parts.iter().map(|part| WorkerUse {
        cpu: None,
        busy: if part.wall_ns > 0 {
            part.cpu_ns as f64 / part.wall_ns as f64
        } else {
            0.0
        },
        connections: part.connections,
        received: part.meter.measured.delivered,
        sent: part.meter.measured.published,
    });
    TesterUse {
        slip_ns: merged(parts, |meter| &meter.slip),
        held_back: parts.iter().map(|part| part.throttled).sum(),
        unsent: parts.iter().map(|part| part.unsent).sum(),
        workers: workers.collect(),
        cpu_ns_per_delivery: (received > 0).then(|| cpu_ns as f64 / received as f64),
        rss_bytes: 0,
    }
}

fn latency(ended: &mut Ended) -> Latency {
    let mut spread = Spread::default();
    let mut every = 0;
    for part in &mut ended.parts {
        every = part.spread.every();
        spread.merge(std::mem::take(&mut part.spread));
    }
    let parts = &ended.parts;
    Latency {
        delivery_ns: merged(parts, |meter| &meter.delivery),
        ack_ns: merged(parts, |meter| &meter.ack),
        spread_ns: Distribution::of(&spread.histogram(&ended.window)),
        spread_every: every.into(),
        operation_ns: merged(parts, |meter| &meter.operation),
    }
}

fn merged(parts: &[StepPart], pick: impl Fn(&Meter) -> &Histogram<u64>) -> Distribution {
    let mut sum = new_histogram();
    for part in parts {
        // All have the same bounds.
        let _ = sum.add(pick(&part.meter));
    }
    Distribution::of(&sum)
}

/// The intervals of all workers, put together by their numbers.
fn series(plan: &StepPlan, parts: &[StepPart]) -> Vec<Interval> {
    let mut intervals: BTreeMap<(u64, bool), (Counts, Histogram<u64>)> = BTreeMap::new();
    for slice in parts.iter().flat_map(|part| &part.meter.slices) {
        let sum = intervals
            .entry((slice.index, slice.measured))
            .or_insert_with(|| (Counts::default(), slice_histogram(slice)));
        sum.0.add(&slice.counts);
        let _ = sum.1.add(&slice.latency);
    }
    let each = intervals.into_iter();
    each.map(|((index, measured), (counts, latency))| Interval {
        at_s: index as f64 * plan.interval_s,
        measured,
        published: counts.published,
        delivered: counts.delivered,
        published_bytes: counts.published_bytes,
        delivered_bytes: counts.delivered_bytes,
        latency_ns: Distribution::of(&latency),
    })
    .collect()
}

/// An empty histogram of the kind that a slice has.
fn slice_histogram(slice: &super::measure::Slice) -> Histogram<u64> {
    let mut empty = slice.latency.clone();
    empty.reset();
    empty
}
