//! What changed over time: message rates, steps of a ramp, the broker's CPU and memory.

use super::svg::{self, Plot, Scale};
use super::ticks;
use super::timeline::{Column, Timeline};
use super::{tables, text};
use crate::load::result::{BrokerInfo, Run, Sample, Step};

/// Samples that a chart shows; of a longer run every few.
const SAMPLES_MAX: usize = 300;

const PANEL_HEIGHT: f64 = 220.0;

/// Room above the highest value, so that lines do not run along the edge.
const HEADROOM: f64 = 1.08;

/// A budget of more times the memory in use than this is only named: drawn to scale it would leave a flat line.
const BUDGET_SHOWN_TIMES: f64 = 4.0;

fn panel(label: &str, end: f64, high: f64) -> Plot {
    let high = if high > 0.0 { high * HEADROOM } else { 1.0 };
    Plot::new(
        label,
        PANEL_HEIGHT,
        Scale::linear(0.0, end),
        Scale::linear(0.0, high),
    )
}

/// Messages a second into the broker and out of it, each in a panel of its own: they may differ by a thousand times.
pub(super) fn rates(line: &Timeline<'_>) -> String {
    if line.columns.is_empty() {
        return String::new();
    }
    RATES.iter().map(|rate| rate.panel(line)).collect()
}

/// A rate of messages that is drawn.
struct Rate {
    title: &'static str,
    note: &'static str,
    class: &'static str,
    of: fn(&Column<'_>) -> f64,
    wanted: fn(&Column<'_>) -> Option<f64>,
}

const RATES: [Rate; 2] = [
    Rate {
        title: "Messages in",
        note: "Published to the broker. Dashed: the rate that was to be published.",
        class: "s1",
        of: |column| column.published,
        wanted: |column| column.intended,
    },
    Rate {
        title: "Messages out",
        note: "Delivered to subscribers.",
        class: "s2",
        of: |column| column.delivered,
        wanted: |_| None,
    },
];

impl Rate {
    fn panel(&self, line: &Timeline<'_>) -> String {
        let (of, wanted) = (self.of, self.wanted);
        let highest = line
            .columns
            .iter()
            .map(|c| of(c).max(wanted(c).unwrap_or(0.0)));
        let mut plot = panel(self.title, line.end, highest.fold(0.0, f64::max));
        line.background(&mut plot);
        plot.y_axis("msg/s", &ticks::linear(plot.y_high(), text::short));
        line.x_axis(&mut plot);
        let steps: Vec<_> = line
            .columns
            .iter()
            .map(|c| (c.from, c.to, 0.0, of(c)))
            .collect();
        plot.steps_area(self.class, &steps);
        let parts = line
            .columns
            .chunk_by(|a, b| a.to == b.from && wanted(a).is_some());
        for part in parts {
            let points: Vec<_> = part
                .iter()
                .filter_map(|c| Some((c, wanted(c)?)))
                .flat_map(|(c, rate)| [(c.from, rate), (c.to, rate)])
                .collect();
            if !points.is_empty() {
                plot.line("wanted", &points);
            }
        }
        for column in &line.columns {
            plot.band("hit", column.from, column.to, &column.tip(line.end));
        }
        svg::figure(self.title, self.note, &[], &plot.finish())
    }
}

/// The broker's CPU and memory, and what happened to it.
pub(super) fn broker(run: &Run, broker: &BrokerInfo) -> String {
    if run.samples.len() < 2 {
        return String::new();
    }
    let every = run.samples.len().div_ceil(SAMPLES_MAX).max(1);
    let groups: Vec<&[Sample]> = run.samples.chunks(every).collect();
    let end = run.samples.iter().map(|s| s.at_s).fold(0.0, f64::max);
    format!(
        "{}{}",
        cpu(run, &groups, end),
        memory(run, broker, &groups, end)
    )
}

/// User and system time stacked, in percent of one CPU.
fn cpu(run: &Run, groups: &[&[Sample]], end: f64) -> String {
    let looks: Vec<&Sample> = groups
        .iter()
        .filter_map(|g| g.first())
        .chain(run.samples.last())
        .collect();
    let (mut user, mut system) = (Vec::new(), Vec::new());
    for (a, b) in looks.iter().zip(looks.iter().skip(1)) {
        let wall = b.at_s - a.at_s;
        if wall <= 0.0 {
            continue;
        }
        let of = |used: f64| (used / wall * 100.0).max(0.0);
        let (in_user, in_system) = (of(b.user_s - a.user_s), of(b.system_s - a.system_s));
        user.push((a.at_s, b.at_s, 0.0, in_user));
        system.push((a.at_s, b.at_s, in_user, in_user + in_system));
    }
    let title = "Broker CPU";
    let mut plot = panel(title, end, system.iter().map(|s| s.3).fold(0.0, f64::max));
    plot.y_axis(
        "CPU",
        &ticks::linear(plot.y_high(), |v| format!("{}\u{a0}%", text::short(v))),
    );
    plot.x_axis("time since the run began", &ticks::time(end));
    plot.steps_area("s1", &user);
    plot.steps_area("s2", &system);
    events(&mut plot, run);
    for (u, s) in user.iter().zip(&system) {
        let tip = format!(
            "{}\nuser {}\nsystem {}",
            ticks::clock(u.0, end),
            text::percent(u.3 / 100.0),
            text::percent((s.3 - s.2) / 100.0)
        );
        plot.band("hit", u.0, u.1, &tip);
    }
    let keys = [
        ("s1 block", "user".to_owned()),
        ("s2 block", "system".to_owned()),
    ];
    svg::figure(title, "100 % is one CPU.", &keys, &plot.finish())
}

/// What is known of memory in each sample: the class, the name, and where to find it.
type Memory = (&'static str, &'static str, fn(&Sample) -> Option<u64>);
const MEMORY: [Memory; 4] = [
    ("s1", "resident (RSS)", |s| Some(s.rss_bytes)),
    ("s3", "proportional (PSS)", |s| s.pss_bytes),
    ("s4", "memory cgroup, kernel included", |s| s.cgroup_bytes),
    ("s5", "the kernel's part of the cgroup", |s| {
        s.cgroup_kernel_bytes
    }),
];

fn most(group: &[Sample], of: fn(&Sample) -> Option<u64>) -> Option<u64> {
    group.iter().filter_map(of).max()
}

fn memory(run: &Run, broker: &BrokerInfo, groups: &[&[Sample]], end: f64) -> String {
    let curve = |of: fn(&Sample) -> Option<u64>| {
        let at = |g: &&[Sample]| Some((g.first()?.at_s, most(g, of)? as f64));
        groups.iter().filter_map(at).collect::<Vec<_>>()
    };
    let curves = MEMORY.map(|(class, name, of)| (class, name, curve(of)));
    let curves: Vec<_> = curves.iter().filter(|c| !c.2.is_empty()).collect();
    let points = curves.iter().flat_map(|c| &c.2);
    let highest = points.map(|p| p.1).fold(0.0, f64::max);
    let budget = broker.budget.as_ref().map(|b| b.bytes as f64);
    let budget = budget.filter(|b| *b > 0.0);
    let drawn = budget.filter(|b| *b <= highest * BUDGET_SHOWN_TIMES);
    let title = "Broker memory";
    let mut plot = panel(title, end, drawn.unwrap_or(0.0).max(highest));
    plot.y_axis("memory", &ticks::bytes(plot.y_high()));
    plot.x_axis("time since the run began", &ticks::time(end));
    for (class, _, points) in &curves {
        plot.line(class, points);
    }
    if let Some(bytes) = drawn {
        plot.level("limit", bytes, &format!("budget {}", text::bytes(bytes)));
    }
    events(&mut plot, run);
    memory_tips(&mut plot, groups, end);
    let note = match (budget, drawn) {
        (Some(bytes), None) => format!(
            "The budget of {} is {} what is used at most, far above the chart.",
            text::bytes(bytes),
            text::times(bytes / highest)
        ),
        _ => String::new(),
    };
    let keys: Vec<_> = curves.iter().map(|c| (c.0, c.1.to_owned())).collect();
    svg::figure(title, &note, &keys, &plot.finish())
}

fn memory_tips(plot: &mut Plot, groups: &[&[Sample]], end: f64) {
    let starts = groups.iter().filter_map(|g| Some(g.first()?.at_s));
    let ends = starts.clone().skip(1).chain([end]);
    for ((group, from), to) in groups.iter().zip(starts).zip(ends) {
        let known = MEMORY.iter().filter_map(|m| Some((m.1, most(group, m.2)?)));
        let parts = known.map(|(name, bytes)| format!("\n{name}: {}", text::bytes(bytes as f64)));
        let tip = format!("{}{}", ticks::clock(from, end), parts.collect::<String>());
        plot.band("hit", from, to, &tip);
    }
}

/// Deaths, refusals and drops of the broker, as lines.
fn events(plot: &mut Plot, run: &Run) {
    for event in run.broker_events.iter().take(tables::EVENTS_MAX) {
        plot.moment("limit", event.at_s, &event.kind);
    }
}

/// The steps of a ramp: what was to be published and what was.
pub(super) fn ramp(run: &Run) -> String {
    if run.steps.len() < 2 {
        return String::new();
    }
    let (spans, end) = spans(run);
    let wanted = |s: &Step| s.rate_intended.unwrap_or(0.0);
    let rates = run.steps.iter().map(|s| s.publish_rate.max(wanted(s)));
    let title = "Rate of each step";
    let mut plot = panel(title, end, rates.fold(0.0, f64::max));
    plot.y_axis("msg/s", &ticks::linear(plot.y_high(), text::short));
    plot.x_axis(
        "measured time, steps one behind the other",
        &ticks::time(end),
    );
    let steps = || run.steps.iter().zip(&spans);
    let area: Vec<_> = steps()
        .map(|(s, (from, to))| (*from, *to, 0.0, s.publish_rate))
        .collect();
    plot.steps_area("s1", &area);
    let wanted: Vec<_> = steps()
        .filter_map(|(s, span)| Some((s.rate_intended?, span)))
        .flat_map(|(rate, (from, to))| [(*from, rate), (*to, rate)])
        .collect();
    plot.line("wanted", &wanted);
    for (step, (from, to)) in steps() {
        let tip = format!(
            "{}\nintended {} msg/s\npublished {} msg/s\ndelivered {} msg/s",
            step.name,
            step.rate_intended.map_or(text::NONE.to_owned(), text::rate),
            text::rate(step.publish_rate),
            text::rate(step.delivery_rate)
        );
        plot.band("hit", *from, *to, &tip);
    }
    let keys = [
        ("s1 block", "published".to_owned()),
        ("wanted", "intended".to_owned()),
    ];
    svg::figure(title, "", &keys, &plot.finish())
}

/// Where each step begins and ends if they follow each other, and where the last one ends.
fn spans(run: &Run) -> (Vec<(f64, f64)>, f64) {
    let mut end = 0.0;
    let mut spans = Vec::new();
    for step in &run.steps {
        let from = end;
        end += if step.seconds > 0.0 {
            step.seconds
        } else {
            1.0
        };
        spans.push((from, end));
    }
    (spans, end)
}
