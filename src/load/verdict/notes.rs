//! What else a reader of the figures has to know.

use std::collections::BTreeSet;

use super::{falls_short, is_saturated};
use crate::limits;
use crate::load::distribution::Distribution;
use crate::load::report::{pick, units};
use crate::load::result::{Report, Run, Step};

pub(super) fn notes(report: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(loop_not_open(report));
    notes.extend(broker_unknown(report));
    notes.extend(budget_not_enforced(report));
    notes.extend(losses_allowed(report));
    notes.extend(rate_not_taken(report));
    notes.extend(never_sent(report));
    notes.extend(few_samples(report));
    notes.extend(spread_across_runs(report));
    notes.extend(shared_cpu(report));
    notes.extend(super::hints::hints(report));
    notes
}

fn steps(report: &Report) -> impl Iterator<Item = &Step> {
    report.runs.iter().flat_map(|run| &run.steps)
}

fn loop_not_open(report: &Report) -> Option<String> {
    let model = &report.load_model;
    let is_closed = ["closed", "windowed"].iter().any(|m| model.starts_with(m));
    is_closed.then(|| {
        format!("not an open loop ({model}): when the broker is slow fewer messages are sent, and latency counts from the send")
    })
}

fn broker_unknown(report: &Report) -> Option<String> {
    let broker = &report.broker;
    (broker.pid.is_none())
        .then(|| "the broker's process is not known: no figures of its CPU and memory".to_owned())
}

fn budget_not_enforced(report: &Report) -> Option<String> {
    let budget = report.broker.budget.as_ref().filter(|b| !b.enforced)?;
    let size = units::bytes(budget.bytes as f64);
    Some(format!(
        "the budget of {size} is not enforced: {}",
        budget.how
    ))
}

fn losses_allowed(report: &Report) -> Option<String> {
    let names = ["allow-loss", "allow_loss"];
    let said = names.iter().find_map(|name| report.settings.get(*name))?;
    if ["", "false", "no", "off"].contains(&said.as_str()) {
        return None;
    }
    let lost: u64 = steps(report).map(|s| s.verification.lost).sum();
    let expected: u64 = steps(report).map(|s| s.verification.expected).sum();
    Some(format!(
        "losses at QoS 0 are allowed: {} of {} lost",
        units::count(lost),
        units::count(expected)
    ))
}

/// The broker took fewer messages than there were to be: the first step that is so, with how many more are. A search
/// says so itself.
fn rate_not_taken(report: &Report) -> Option<String> {
    let is_short =
        |step: &&Step| falls_short(step, limits::LOAD_RATE_SHARE_MIN) && !is_saturated(step);
    let mut short = steps(report).filter(is_short);
    let step = short.next().filter(|_| report.search.is_none())?;
    let others = match short.count() {
        0 => String::new(),
        more => format!(", and less than intended in {more} more"),
    };
    Some(format!(
        "the broker did not take the rate: {} of {} in step {}{others}",
        units::rate(step.publish_rate),
        units::rate_of(step.rate_intended.unwrap_or_default(), "msg/s"),
        step.name
    ))
}

/// Messages that were due and not sent where no rate says how many there were to be. A search says it of its attempts.
fn never_sent(report: &Report) -> Option<String> {
    let paced_otherwise = |step: &&Step| step.rate_intended.is_none();
    let unsent: u64 = steps(report)
        .filter(paced_otherwise)
        .map(|step| step.tester.unsent)
        .sum();
    (unsent > 0 && report.search.is_none()).then(|| {
        format!(
            "the broker did not take the load: {} that were due were never sent",
            units::counted(unsent, "message")
        )
    })
}

/// Too few for a percentile: it is then the maximum by another name.
fn few_samples(report: &Report) -> Option<String> {
    let of_step = |step: &Step| -> Option<(u64, &'static str)> {
        let known: [(&Distribution, &'static str); 2] = [
            (&step.latency.delivery_ns, "delivery"),
            (&step.latency.operation_ns, "operation"),
        ];
        let filled = known.into_iter().find(|(d, _)| !d.is_empty());
        filled.map(|(d, what)| (d.count, what))
    };
    let (count, what) = steps(report).filter_map(of_step).min_by_key(|(n, _)| *n)?;
    let percentiles = match count {
        n if n < limits::LOAD_P99_SAMPLES_MIN => "p99 and p99.9 are",
        n if n < limits::LOAD_P999_SAMPLES_MIN => "p99.9 is",
        _ => return None,
    };
    let n = units::counted(count, what);
    Some(format!(
        "few samples: {percentiles} of no more than {n}, as good as the maximum"
    ))
}

/// A figure that repetitions differ in.
type Figure = (&'static str, fn(f64) -> String, fn(&Step) -> Option<f64>);

const SPREADS: [Figure; 4] = [
    ("deliveries a second", units::rate, |s| {
        (s.delivered > 0).then_some(s.delivery_rate)
    }),
    ("operations a second", units::rate, |s| {
        s.operations.as_ref().map(|o| o.rate)
    }),
    ("latency p99", units::nanos, |s| {
        let delivery = &s.latency.delivery_ns;
        (!delivery.is_empty()).then_some(delivery.p99 as f64)
    }),
    ("the broker's CPU a delivery", units::nanos, |s| {
        s.broker.as_ref()?.cpu_ns_per_delivery
    }),
];

fn spread_across_runs(report: &Report) -> Vec<String> {
    let of = |(name, write, figure): Figure| {
        let focus = |run: &Run| figure(pick::focus(report, run)?);
        let mut values: Vec<f64> = report.runs.iter().filter_map(focus).collect();
        values.sort_by(f64::total_cmp);
        let median = pick::median(&values).filter(|m| *m > 0.0)?;
        let (least, most) = (values.first()?, values.last()?);
        let spread = (most - least) / median;
        (spread > limits::LOAD_SPREAD_SHARE_MAX).then(|| {
            format!(
                "repetitions differ: {name} from {} to {}, {} of the median",
                write(*least),
                write(*most),
                units::percent(spread)
            )
        })
    };
    SPREADS.into_iter().filter_map(of).collect()
}

/// What is pinned to the same CPU, and a machine that tester and broker together fill.
fn shared_cpu(report: &Report) -> Vec<String> {
    let broker = cpu_list(report.broker.cpus.as_deref().unwrap_or_default());
    let workers = steps(report)
        .map(|s| &s.tester.workers)
        .max_by_key(|w| w.len());
    let mut seen = BTreeSet::new();
    let (mut with_broker, mut with_other) = (BTreeSet::new(), BTreeSet::new());
    for cpu in workers.into_iter().flatten().filter_map(|w| w.cpu) {
        if broker.contains(&cpu) {
            with_broker.insert(cpu);
        }
        if !seen.insert(cpu) {
            with_other.insert(cpu);
        }
    }
    let mut notes = Vec::new();
    let names = |cpus: &BTreeSet<u16>| {
        let names: Vec<String> = cpus.iter().map(u16::to_string).collect();
        names.join(", ")
    };
    if !with_broker.is_empty() {
        let cpus = names(&with_broker);
        notes.push(format!(
            "shared CPU {cpus}: the broker and the tester run there"
        ));
    }
    if !with_other.is_empty() {
        let cpus = names(&with_other);
        notes.push(format!("shared CPU {cpus}: several workers run there"));
    }
    notes.extend(full_machine(report).filter(|_| notes.is_empty()));
    notes
}

fn full_machine(report: &Report) -> Option<String> {
    let cpus = f64::from(report.machine.cpus);
    let used = |step: &Step| {
        let workers: f64 = step.tester.workers.iter().map(|w| w.busy).sum();
        step.broker.as_ref().map(|b| workers + b.busy)
    };
    // Each with a CPU of its own does not wait for the other.
    let pinned = |step: &Step| step.tester.workers.iter().all(|w| w.cpu.is_some());
    let is_apart = report.broker.cpus.is_some() && steps(report).all(pinned);
    let most = steps(report).filter_map(used).max_by(f64::total_cmp)?;
    let is_full = cpus > 0.0 && most / cpus > limits::LOAD_MACHINE_BUSY_MAX && !is_apart;
    is_full.then(|| {
        format!(
            "shared CPUs: broker and tester together used {} of the machine's {}, and may have waited for each other",
            units::percent(most / cpus),
            report.machine.cpus
        )
    })
}

/// `0,2-3` as numbers; what is no list is none.
fn cpu_list(text: &str) -> BTreeSet<u16> {
    let part = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u16>().ok();
        match (number(first), number(last)) {
            (Some(first), Some(last)) => first..=last,
            #[expect(clippy::reversed_empty_ranges, reason = "an empty range is meant")]
            _ => 1..=0,
        }
    };
    text.split(',').flat_map(part).collect()
}
