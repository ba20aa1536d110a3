//! What a report begins with, before all figures: that it was cut short, and what a search has found.

use super::units;
use crate::load::result::{Answer, Report, Search, SearchEnd, Step};

/// The sentences with which text and page begin; most reports have none.
pub fn lead(report: &Report) -> Vec<String> {
    let mut sentences = Vec::new();
    if report.cut_short {
        let seconds: f64 = report
            .runs
            .iter()
            .flat_map(|run| &run.steps)
            .map(|step| step.seconds)
            .sum();
        sentences.push(match seconds > 0.0 {
            true => format!(
                "CUT SHORT: it was ended before its time; the figures are of the {} that were measured.",
                units::seconds(seconds)
            ),
            false => "CUT SHORT: it was ended before anything was measured.".to_owned(),
        });
    }
    sentences.extend(report.search.as_ref().map(of_search));
    sentences
}

/// What a search has found: the highest rate that held, and what broke the next.
pub fn of_search(search: &Search) -> String {
    let rate = |rate: f64| units::rate_of(rate, "msg/s");
    let slo = &search.slo;
    let broke = search.broke_rate.map(|at| {
        let why = &search.broke_why;
        format!("{} did not: {why}", rate(at))
    });
    let then = broke.as_ref().map_or(String::new(), |b| format!("; {b}"));
    let held = search.max_rate.map(rate);
    match (search.ended, held) {
        (SearchEnd::Found, Some(held)) => {
            format!("{held} is the highest rate that held {slo}{then}.")
        }
        (SearchEnd::Tester, Some(held)) => format!(
            "{held} held {slo}, which is not valid as a limit of the broker: the tester was the limit {}.",
            search.tester_limit
        ),
        (SearchEnd::MaxRate, Some(held)) => {
            format!("{held}, the highest rate that was to be tried, held {slo}: nothing broke.")
        }
        (SearchEnd::Attempts, Some(held)) => {
            format!("{held} held {slo}{then}; the limit between them was not found more closely.")
        }
        (SearchEnd::CutShort, Some(held)) => {
            format!("{held} held {slo} before the search was ended{then}.")
        }
        (SearchEnd::Tester, None) => format!(
            "No rate held {slo}, which is not valid as a limit of the broker: the tester was the limit {}.",
            search.tester_limit
        ),
        (SearchEnd::CutShort, None) => {
            format!("No rate held {slo} before the search was ended{then}.")
        }
        (_, None) => format!("No rate held {slo}{then}."),
    }
}

/// Why the count of deliveries and that of the latencies differ, where they do: the one is of what arrived in the
/// measured time, the other of what was due in it.
pub fn two_counts(step: &Step) -> Option<String> {
    let (arrived, timed) = (step.delivered, step.latency.delivery_ns.count);
    (arrived != timed && timed > 0).then(|| {
        format!(
            "{} arrived in the measured time, whenever they were due; latency is of the {} whose message was due in it, \
             whenever they arrived",
            units::count(arrived),
            units::count(timed)
        )
    })
}

/// The word for an answer, and what it means where it is not plain.
pub fn word(answer: Answer) -> &'static str {
    match answer {
        Answer::Passed => "Passed",
        Answer::Failed => "Failed",
        Answer::Verified => {
            "VERIFIED, but the tester was the limit: no figure here is a limit of the broker"
        }
        Answer::NotValid => "NOT VALID as a limit of the broker: the tester was the limit",
        Answer::CutShort => "CUT SHORT: it was ended before its time",
    }
}
