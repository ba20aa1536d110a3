//! The page: a report as one HTML file that needs nothing else, with its charts drawn here as SVG.
//!
//! It is well-formed XML but for its first line, loads nothing, runs no script, follows the reader's light or dark
//! scheme and prints. What is pointed at says its numbers by `<title>`. Everything that comes from a report is escaped,
//! and charts are thinned so that a page stays small however long the run.

mod grid;
mod heat;
mod lines;
mod percentile;
mod search;
mod svg;
mod tables;
mod text;
mod ticks;
mod timeline;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

pub use grid::grid_page;
use text::escape;
use timeline::Timeline;

use crate::load::report::lead;
use crate::load::report::pick::{MEDIAN_BY, focus, median_run};
use crate::load::result::{Answer, Report, Run, Step, Verdict};

const STYLE: &str = include_str!("style.css");

/// The page of a report.
pub fn page(report: &Report) -> String {
    let mut body = header(report);
    if let Some(run) = median_run(report) {
        body.push_str(&figures(report, run));
        if let Some(step) = focus(report, run) {
            body.push_str(&latency(report, run, step));
        }
        body.push_str(&over_time(report, run));
    }
    if let Some(search) = &report.search {
        body.push_str(&search::section(search));
    }
    if report.runs.len() > 1 {
        body.push_str(&section("Repetitions", &tables::repeats(report)));
    }
    if let Some(run) = median_run(report) {
        body.push_str(&section("Verification", &tables::verification(run)));
        body.push_str(&section("What became of the broker", &tables::events(run)));
        body.push_str(&section("Connections", &setup(run)));
        let tester = focus(report, run).map_or(String::new(), tables::tester);
        body.push_str(&section("The tester itself", &tester));
    }
    body.push_str(&section("To repeat it", &tables::repeat(report)));
    document(&title(report), &body)
}

/// A whole file.
fn document(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <meta name=\"color-scheme\" content=\"light dark\"/>\
         <link rel=\"icon\" href=\"data:,\"/>\
         <title>{}</title><style>{STYLE}</style></head>\n<body><main>{body}</main></body></html>\n",
        escape(title)
    )
}

/// A part of the page; nothing when there is nothing in it.
fn section(title: &str, content: &str) -> String {
    match content {
        "" => String::new(),
        content => format!("<section><h2>{}</h2>{content}</section>", escape(title)),
    }
}

fn title(report: &Report) -> String {
    match report.workload.as_str() {
        "" => "firehose bench".to_owned(),
        workload => format!("firehose bench {workload}"),
    }
}

fn header(report: &Report) -> String {
    let mut out = String::from("<header>");
    for sentence in lead::lead(report) {
        let _ = write!(out, "<p class=\"answer\">{}</p>", escape(&sentence));
    }
    let _ = write!(out, "<h1>{}</h1>", escape(&title(report)));
    if !report.title.is_empty() {
        let _ = write!(out, "<p class=\"lead\">{}</p>", escape(&report.title));
    }
    let said = [&report.started, &report.broker.what, &report.load_model];
    let said: Vec<String> = said
        .iter()
        .filter(|s| !s.is_empty())
        .map(|s| escape(s))
        .collect();
    let _ = write!(out, "<p class=\"when\">{}</p>", said.join(" · "));
    out.push_str(&verdict(&report.verdict, report.runs.is_empty()));
    out.push_str("</header>");
    out
}

fn verdict(verdict: &Verdict, empty: bool) -> String {
    let (class, sign, word) = match verdict.answer {
        Answer::Failed => ("bad", "✕", "Failed"),
        Answer::Passed => ("good", "✓", "Passed"),
        other => ("warn", "!", lead::word(other)),
    };
    let mut out = format!("<div class=\"verdict {class}\"><strong><b>{sign}</b> {word}</strong>");
    let none = String::from("There is no run on record.");
    let failures = verdict.failures.iter().chain(empty.then_some(&none));
    list(&mut out, "", failures);
    list(
        &mut out,
        "The tester was the limit",
        verdict.tester_limits.iter(),
    );
    list(&mut out, "To know", verdict.notes.iter());
    out.push_str("</div>");
    out
}

fn list<'a>(out: &mut String, name: &str, lines: impl Iterator<Item = &'a String>) {
    let items: String = lines.map(|l| format!("<li>{}</li>", escape(l))).collect();
    if !items.is_empty() {
        let name = if name.is_empty() {
            String::new()
        } else {
            format!("<p>{name}:</p>")
        };
        let _ = write!(out, "{name}<ul>{items}</ul>");
    }
}

/// The numbers that most readers come for.
fn figures(report: &Report, run: &Run) -> String {
    let Some(step) = focus(report, run) else {
        return String::new();
    };
    let named = of_messages(step).into_iter().chain(of_broker(run, step));
    let mut out = tiles(
        "tiles",
        named.filter_map(|(name, value)| Some((name, value?))),
    );
    let which = match run.steps.len() {
        0 | 1 => String::new(),
        _ => format!("Of the step {}. ", step.name),
    };
    let median = match report.runs.len() {
        0 | 1 => String::new(),
        runs => format!("Figures and charts are of the median of {runs} repetitions, {MEDIAN_BY}."),
    };
    let _ = write!(out, "<p class=\"when\">{}{median}</p>", escape(&which));
    if let Some(why) = lead::two_counts(step) {
        let _ = write!(out, "<p class=\"when\">Deliveries: {}.</p>", escape(&why));
    }
    out
}

/// Names and numbers as cards.
fn tiles(class: &str, named: impl Iterator<Item = (String, String)>) -> String {
    let mut out = format!("<dl class=\"{class}\">");
    for (name, value) in named {
        let (name, value) = (escape(&name), escape(&value));
        let _ = write!(out, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    out.push_str("</dl>");
    out
}

/// The name of a number, and the number if it is known.
type Tile = (String, Option<String>);

fn of_messages(step: &Step) -> Vec<Tile> {
    let v = &step.verification;
    let d = &step.latency.delivery_ns;
    let latency = |value: u64| (!d.is_empty()).then(|| text::nanos(value as f64));
    let messages = step.published + step.delivered > 0;
    let rate = |value: f64| messages.then(|| text::rate(value));
    let operations = step.operations.iter();
    let operations = operations.map(|o| (format!("{} a second", o.name), Some(text::rate(o.rate))));
    let (lost, expected) = (text::short(v.lost as f64), text::short(v.expected as f64));
    let lost = (v.expected > 0).then(|| format!("{lost} of {expected}"));
    let others = [
        ("msg/s in", rate(step.publish_rate)),
        ("msg/s out", rate(step.delivery_rate)),
        ("half within", latency(d.p50)),
        ("99\u{a0}% within", latency(d.p99)),
        ("99.9\u{a0}% within", latency(d.p999)),
        ("slowest", latency(d.max)),
        ("lost", lost),
    ];
    let others = others.map(|(name, value)| (name.to_owned(), value));
    operations.chain(others).collect()
}

fn of_broker(run: &Run, step: &Step) -> Vec<Tile> {
    let (setup, broker) = (&run.setup, step.broker.as_ref());
    let made = (setup.connections > 0).then(|| text::count(setup.connections));
    let peak = broker.map(|b| b.cgroup_peak_bytes.unwrap_or(b.rss_peak_bytes));
    let each = setup.broker_bytes_per_connection;
    let cost = broker.and_then(|b| b.cpu_ns_per_delivery);
    let named = [
        ("connections", made),
        ("broker memory, peak", peak.map(|b| text::bytes(b as f64))),
        ("broker memory a connection", each.map(text::bytes)),
        ("broker CPU", broker.map(|b| text::percent(b.busy))),
        ("broker CPU a delivery", cost.map(text::nanos)),
    ];
    named.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

fn latency(report: &Report, run: &Run, step: &Step) -> String {
    let l = &step.latency;
    let table = tables::percentiles(&[
        ("delivery", &l.delivery_ns),
        ("acknowledgement", &l.ack_ns),
        ("spread", &l.spread_ns),
        ("operation", &l.operation_ns),
        ("slip", &step.tester.slip_ns),
    ]);
    let heat = heat::figure(&Timeline::of(run));
    let content = format!("{}{table}{heat}", percentile::section(report, run, step));
    section("Latency", &content)
}

fn over_time(report: &Report, run: &Run) -> String {
    let steps = match run.steps.len() {
        0 | 1 => String::new(),
        _ => format!("{}{}", lines::ramp(run), tables::steps(run)),
    };
    let mut out = section("Steps", &steps);
    out.push_str(&section("Messages", &lines::rates(&Timeline::of(run))));
    out.push_str(&section("The broker", &lines::broker(run, &report.broker)));
    out
}

/// The connections made before the first step.
fn setup(run: &Run) -> String {
    let s = &run.setup;
    if s.connections + s.refused + s.failed == 0 {
        return String::new();
    }
    let some = |v: Option<f64>| v.map_or(String::new(), text::bytes);
    let pairs = tables::pairs([
        ("made", text::count(s.connections)),
        ("refused", text::count(s.refused)),
        ("failed", text::count(s.failed)),
        ("in", text::seconds(s.seconds)),
        (
            "broker memory before",
            some(s.broker_bytes_before.map(|b| b as f64)),
        ),
        (
            "broker memory after",
            some(s.broker_bytes_after.map(|b| b as f64)),
        ),
        (
            "broker memory a connection",
            some(s.broker_bytes_per_connection),
        ),
        (
            "tester memory a connection",
            some(s.tester_bytes_per_connection),
        ),
    ]);
    let times = [
        ("CONNECT to CONNACK", &s.connect_ns),
        ("SUBSCRIBE to SUBACK", &s.subscribe_ns),
    ];
    format!("{pairs}{}", tables::percentiles(&times))
}
