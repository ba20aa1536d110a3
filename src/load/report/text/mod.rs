//! What a person reads at the end of a run: the report as plain text of 100 columns.

mod answer;
mod parts;
mod steps;
#[cfg(test)]
mod tests;

use super::layout::Lines;
use super::{lead, pick, units};
use crate::limits;
use crate::load::distribution::Distribution;
use crate::load::result::{BrokerUse, Report, Setup, Step, TesterUse};

use parts::{LIST_MAX, joined, some};

/// What an open loop's load model begins with.
const OPEN_LOOP: &str = "open loop";

/// What every other load is branded with.
const NOT_OPEN: &str =
    "NOT AN OPEN LOOP: a slow broker slows the load, so that latency hides the waiting";

/// The report. No colours; ends with a line feed.
pub fn text(report: &Report) -> String {
    let mut out = Lines::default();
    for sentence in lead::lead(report) {
        out.words(&sentence);
        out.gap();
    }
    title(&mut out, report);
    out.gap();
    load(&mut out, report);
    let run = pick::median_run(report);
    if let Some(run) = run {
        connections(&mut out, &run.setup);
        out.gap();
        steps::repetitions(&mut out, report, run);
        steps::several(&mut out, report, run);
    }
    if let Some(search) = &report.search {
        steps::search(&mut out, search);
    }
    if let Some(step) = run.and_then(|run| pick::focus(report, run)) {
        one_step(&mut out, step);
    }
    answer::verification(&mut out, report);
    answer::events(&mut out, report);
    out.gap();
    answer::verdict(&mut out, report);
    out.finish()
}

fn title(out: &mut Lines, report: &Report) {
    let name = format!("firehose bench {}", report.workload);
    match report.title.as_str() {
        "" => out.words(&name),
        title => out.words(&format!("{name}: {title}")),
    }
    let m = &report.machine;
    let cpus = (m.cpus > 0).then(|| units::counted(m.cpus.into(), "CPU"));
    let known = [
        report.started.clone(),
        report.version.clone(),
        format!("seed {}", report.seed),
        m.kernel.clone(),
        cpus.unwrap_or_default(),
        m.cpu_model.clone(),
    ];
    out.words(&joined(known, ", "));
}

fn load(out: &mut Lines, report: &Report) {
    let model = &report.load_model;
    if model.starts_with(OPEN_LOOP) {
        let says = "latency counts from the time at which each message was due";
        out.field("load", &format!("{model}: {says}"));
    } else if !model.is_empty() {
        out.field("load", model);
        out.field("", NOT_OPEN);
    }
    let b = &report.broker;
    let at = |word: &str, text: String| match text.as_str() {
        "" => text,
        text => format!("{word} {text}"),
    };
    let known = [
        joined([b.what.clone(), at("at", b.address.clone())], " "),
        at("pid", b.pid.map_or(String::new(), |p| p.to_string())),
        at("on CPU", b.cpus.clone().unwrap_or_default()),
    ];
    out.field("broker", &joined(known, ", "));
    if let Some(budget) = &b.budget {
        let enforced = if budget.enforced {
            "enforced"
        } else {
            "NOT ENFORCED"
        };
        let size = units::bytes(budget.bytes as f64);
        let said = [format!("{size}, {enforced}"), budget.how.clone()];
        out.field("budget", &joined(said, ": "));
    }
}

fn connections(out: &mut Lines, s: &Setup) {
    if s.connections + s.refused + s.failed == 0 {
        return;
    }
    let mut made = format!(
        "{} made in {}, {} refused, {} failed",
        units::count(s.connections),
        units::seconds(s.seconds),
        units::count(s.refused),
        units::count(s.failed)
    );
    for (name, d) in [("connect", &s.connect_ns), ("subscribe", &s.subscribe_ns)] {
        if !d.is_empty() {
            let (p50, p99) = (nanos(d.p50), nanos(d.p99));
            made.push_str(&format!("; {name} p50 {p50}, p99 {p99}"));
        }
    }
    out.field("connections", &made);
    let each = [
        ("broker", s.broker_bytes_per_connection),
        ("tester", s.tester_bytes_per_connection),
    ];
    let each = each.map(|(name, bytes)| {
        bytes.map_or(String::new(), |b| format!("{name} {}", units::bytes(b)))
    });
    let each = joined(each, ", ");
    // Of few connections what all have in common is most of it.
    if !each.is_empty() && s.connections >= limits::LOAD_MEMORY_CONNECTIONS_MIN {
        out.field("", &format!("memory a connection: {each}"));
    }
}

fn nanos(ns: u64) -> String {
    units::nanos(ns as f64)
}

/// The step that the figures are of.
fn one_step(out: &mut Lines, step: &Step) {
    out.gap();
    let unit = match &step.operations {
        Some(operations) => format!("{}/s", operations.name),
        None => "msg/s".to_owned(),
    };
    let paced = step.rate_intended.map(|r| units::rate_of(r, &unit));
    let paced = paced.filter(|_| !step.name.contains("msg/s"));
    let paced = paced.map_or(String::new(), |r| format!("at {r}"));
    let window = units::seconds(step.seconds);
    out.field(
        "step",
        &joined([format!("{} for {window}", step.name), paced], " "),
    );
    if step.published > 0 || (step.rate_intended.is_some() && step.operations.is_none()) {
        let said = traffic(
            step.published,
            step.publish_rate,
            step.published_bytes,
            step,
        );
        out.field("published", &said);
    }
    if step.delivered + step.verification.expected > 0 {
        let said = traffic(
            step.delivered,
            step.delivery_rate,
            step.delivered_bytes,
            step,
        );
        out.field("delivered", &said);
        if let Some(why) = lead::two_counts(step) {
            out.field("", &why);
        }
    }
    if let Some(o) = &step.operations {
        let (count, failed) = (units::count(o.count), units::count(o.failed));
        let rate = units::rate_of(o.rate, "a second");
        out.field(&o.name, &format!("{count}, {failed} failed; {rate}"));
    }
    latency(out, step);
    tester(out, &step.tester);
    if let Some(broker) = &step.broker {
        broker_use(out, broker);
    }
}

fn traffic(count: u64, rate: f64, bytes: u64, step: &Step) -> String {
    let per_s = units::byte_rate(bytes as f64 / step.seconds);
    let rate = units::rate_of(rate, "msg/s");
    format!("{}; {rate}, {per_s}", units::count(count))
}

fn latency(out: &mut Lines, step: &Step) {
    let l = &step.latency;
    let named: [(&str, &Distribution); 5] = [
        ("  delivery", &l.delivery_ns),
        ("  acknowledged", &l.ack_ns),
        ("  spread*", &l.spread_ns),
        ("  operation", &l.operation_ns),
        ("  tester's slip", &step.tester.slip_ns),
    ];
    let filled = named.iter().filter(|(_, d)| !d.is_empty());
    let rows: Vec<Vec<String>> = filled
        .map(|(name, d)| {
            let values = [d.p50, d.p90, d.p99, d.p999, d.max].map(nanos);
            let mut row = vec![format!("{name:<16}")];
            row.extend(values.map(|v| format!("{v:>8}")));
            row
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    out.gap();
    out.table(&["latency", "p50", "p90", "p99", "p99.9", "max"], &rows);
    if !l.spread_ns.is_empty() {
        let which = match l.spread_every {
            0 | 1 => "each message".to_owned(),
            n => format!("one message in {}", units::count(n)),
        };
        out.line(&format!("  * first to last subscriber, of {which}"));
    }
    out.gap();
}

fn tester(out: &mut Lines, t: &TesterUse) {
    let busy: Vec<String> = t.workers.iter().map(|w| units::percent(w.busy)).collect();
    let more = if busy.len() > LIST_MAX { ", ..." } else { "" };
    let shown: Vec<&str> = busy.iter().take(LIST_MAX).map(String::as_str).collect();
    let connections: u64 = t.workers.iter().map(|w| w.connections).sum();
    let workers = units::counted(busy.len() as u64, "worker");
    let slip = &t.slip_ns;
    let known = [
        some(!slip.is_empty(), || format!("slip p99 {}", nanos(slip.p99))),
        some(t.held_back > 0, || {
            let held = units::counted(t.held_back, "message");
            format!("{held} held back by the broker")
        }),
        some(t.unsent > 0, || {
            format!("{} due and never sent", units::count(t.unsent))
        }),
        some(!busy.is_empty(), || {
            format!("{workers}, busy {}{more}", shown.join(", "))
        }),
        t.cpu_ns_per_delivery.map_or(String::new(), |c| {
            format!("{} of CPU a delivery", units::nanos(c))
        }),
        some(connections > 0, || {
            units::counted(connections, "connection")
        }),
        some(t.rss_bytes > 0, || {
            format!("{} of memory", units::bytes(t.rss_bytes as f64))
        }),
    ];
    out.field("tester", &joined(known, "; "));
}

fn broker_use(out: &mut Lines, b: &BrokerUse) {
    let (user, system) = (units::seconds(b.user_s), units::seconds(b.system_s));
    let each = b.cpu_ns_per_delivery.map(units::nanos);
    let cpu = [
        format!(
            "CPU {user} user, {system} system, {}",
            units::percent(b.busy)
        ),
        each.map_or(String::new(), |ns| format!("{ns} of CPU a delivery")),
        some(b.rss_peak_bytes > 0, || {
            format!("memory peak {}", units::bytes(b.rss_peak_bytes as f64))
        }),
        b.cgroup_peak_bytes.map_or(String::new(), |bytes| {
            format!(
                "cgroup peak {}, kernel included",
                units::bytes(bytes as f64)
            )
        }),
    ];
    out.field("broker used", &joined(cpu, "; "));
}
