//! The end of the text report: what verification found, what became of the broker, and the verdict.

use super::parts::{LIST_MAX, joined, some};
use crate::load::report::layout::Lines;
use crate::load::report::lead;
use crate::load::report::units;
use crate::load::result::{Answer, Report, Verification};

/// All runs and steps together: a message lost in any of them is a message lost.
pub(super) fn verification(out: &mut Lines, report: &Report) {
    let mut all = Verification::default();
    for step in report.runs.iter().flat_map(|r| &r.steps) {
        all.add(&step.verification);
    }
    let wrong = wrong(&all);
    let (received, expected) = (units::count(all.received), units::count(all.expected));
    let good = wrong.is_empty() && all.violations.is_empty() && all.received == all.expected;
    let said = match (good, all.expected + all.received) {
        (_, 0) => wrong.join(", "),
        (true, _) => format!("every message arrived once and in order: {received} of {expected}"),
        (false, _) if wrong.is_empty() => format!("{received} of {expected} arrived"),
        (false, _) => format!("{received} of {expected} arrived: {}", wrong.join(", ")),
    };
    let together = report.search.is_some() && !good && !said.is_empty();
    let together = some(together, || " (all attempts together)".to_owned());
    out.field("verified", &format!("{said}{together}"));
    if !wrong.is_empty() && all.violations.is_empty() {
        out.field("", "none of it breaks what the QoS in use promises");
    }
    listed(out, "violations", &counted(all.violations));
}

/// Every count that should be zero and is not.
fn wrong(all: &Verification) -> Vec<String> {
    let wrong = [
        ("lost", all.lost),
        ("duplicated", all.duplicated),
        ("reordered", all.reordered),
        ("unexpected", all.unexpected),
        ("corrupt", all.corrupt),
        ("unacknowledged", all.unacknowledged),
        ("refused", all.refused),
        ("disconnects", all.disconnects),
    ];
    let wrong = wrong.iter().filter(|(_, count)| *count > 0);
    wrong
        .map(|(name, count)| format!("{} {name}", units::count(*count)))
        .collect()
}

/// Each text once, with how often it came.
fn counted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    let same = texts.chunk_by(|a, b| a == b);
    let once = same.filter_map(|same| match same {
        [one] => Some(one.clone()),
        [one, ..] => Some(format!("{one} ({})", units::repeated(same.len() as u64))),
        [] => None,
    });
    once.collect()
}

/// A name and some lines of text.
fn listed(out: &mut Lines, name: &str, texts: &[String]) {
    for (at, text) in texts.iter().take(LIST_MAX).enumerate() {
        out.field(if at == 0 { name } else { "" }, text);
    }
    if texts.len() > LIST_MAX {
        out.field("", &format!("... and {} more", texts.len() - LIST_MAX));
    }
}

/// What became of the broker in any of the runs.
pub(super) fn events(out: &mut Lines, report: &Report) {
    let several = report.runs.len() > 1;
    let mut lines = Vec::new();
    for (number, run) in report.runs.iter().enumerate() {
        for e in &run.broker_events {
            let run = some(several, || format!("run {}, ", number + 1));
            let at = units::seconds(e.at_s);
            lines.push(joined(
                [format!("{run}at {at}: {}", e.kind), e.text.clone()],
                ", ",
            ));
        }
    }
    listed(out, "events", &lines);
}

/// The answer and its reasons.
pub(super) fn verdict(out: &mut Lines, report: &Report) {
    let v = &report.verdict;
    out.line(match (v.answer, report.runs.is_empty()) {
        (Answer::Passed, false) => "PASS",
        (Answer::Passed, true) => "PASS, but there is no run on record",
        (Answer::Failed, _) => "FAIL",
        (answer, _) => lead::word(answer),
    });
    let said = [
        ("", &v.failures),
        ("the tester was the limit: ", &v.tester_limits),
        ("note: ", &v.notes),
    ];
    for (name, texts) in said {
        for text in texts {
            out.words(&format!("- {name}{text}"));
        }
    }
}
