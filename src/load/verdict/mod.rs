//! What a run's figures mean: violations of what the QoS promises, limits of the tester, and the answer of it all.
//!
//! Pure functions over results. Texts begin with what is wrong and carry their numbers.

mod collect;
mod hints;
mod limits_of_tester;
mod notes;
mod objective;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub use hints::all as all_hints;
pub use limits_of_tester::{falls_short, is_saturated, tester_limits};
pub use objective::{Judgement, judge, judge_twice};

use super::report::units;
use super::result::{
    Answer, BrokerEvent, Report, Run, Search, SearchEnd, Step, Verdict, Verification,
};
use super::search::Slo;
use collect::Collected;
use objective::Threshold;

/// First words of violations that mere overload brings about.
const LOST: &str = "lost ";
const UNACKNOWLEDGED: &str = "unacknowledged: ";
const REFUSED: &str = "refused: ";
const DISCONNECTED: &str = "disconnected: ";
const OF_OVERLOAD: [&str; 4] = [LOST, UNACKNOWLEDGED, REFUSED, DISCONNECTED];

/// Kinds of broker events that mean its end.
const ENDS: [&str; 3] = ["ended", "killed", "out of memory"];

/// What the QoS makes of the counts, in words; empty is good.
///
/// What counts is the lower QoS of publish and subscription. A loss is a violation at QoS 1 and 2, and at QoS 0 unless
/// losses are allowed. A message that comes twice is one at QoS 0 and 2, and at QoS 1 unless a connection was lost, as
/// it may have been sent again. The order of a publisher's messages on a topic, what nobody asked for, what was changed
/// on the way, what was not acknowledged or was refused, and lost connections are violations always.
pub fn violations(
    v: &Verification,
    qos_pub: u8,
    qos_sub: u8,
    allow_loss: bool,
    connection_lost: bool,
) -> Vec<String> {
    let qos = qos_pub.min(qos_sub);
    let is_loss = qos > 0 || !allow_loss;
    let is_repeat = qos != 1 || !connection_lost;
    let about = [
        (if is_loss { v.lost } else { 0 }, lost_of(v, qos)),
        (if is_repeat { v.duplicated } else { 0 }, again_at(qos)),
        (v.reordered, BEHIND.to_owned()),
        (
            v.unexpected,
            "unexpected: {} that nobody asked for there".to_owned(),
        ),
        (v.corrupt, "corrupt: {} not as sent".to_owned()),
        (
            v.unacknowledged,
            format!("{UNACKNOWLEDGED}{{}} published with QoS {qos_pub}"),
        ),
        (v.refused, format!("{REFUSED}{{}} answered with an error")),
        (
            v.disconnects,
            format!("{DISCONNECTED}{{}} that were to stay connected"),
        ),
    ];
    let found = about.into_iter().filter(|(count, _)| *count > 0);
    found
        .map(|(count, text)| text.replacen("{}", &units::count(count), 1))
        .collect()
}

const BEHIND: &str =
    "reordered: {} behind younger ones of the same publisher and topic [MQTT-4.6.0]";

fn lost_of(v: &Verification, qos: u8) -> String {
    format!(
        "{LOST}{{}} of {} at QoS {qos}",
        units::counted(v.expected, "delivery")
    )
}

fn again_at(qos: u8) -> String {
    match qos {
        1 => "duplicated: {} at QoS 1 although no connection was lost".to_owned(),
        _ => format!("duplicated: {{}} at QoS {qos}"),
    }
}

/// The answer of a whole report. It passes when no step of any run has a violation, all connections that were wanted
/// were made, all operations succeeded, and the broker lived; a search passes when some rate held, too.
///
/// Violations are taken from the steps, where `violations` has put them. What overload brings about is no failure in
/// those attempts of a search that missed the objective: to go there is what the search is for. `Search::notes` belong
/// to the verdict's notes, and are the caller's to add.
pub fn verdict(report: &Report) -> Verdict {
    let threshold = Threshold::of(report);
    let Evidence {
        failures,
        doubts,
        limits,
        held,
    } = Evidence::of(report, threshold.as_ref());
    let (mut failures, doubts) = (failures.texts(), doubts.texts());
    let mut limits = limits.texts();
    failures.extend(whole_failures(report));
    limits.extend(search_limit(report));
    let has_doubt = !doubts.is_empty() || search_limit(report).is_some();
    let answer = answer(report, !failures.is_empty(), has_doubt, !limits.is_empty());
    failures.extend(doubts);
    let mut notes = notes::notes(report);
    notes.extend(
        threshold
            .filter(|_| answer == Answer::Passed)
            .map(|slo| slo.held()),
    );
    let held = held.texts().into_iter();
    notes.extend(held.map(|text| format!("the objective held all the same: {text}")));
    Verdict {
        answer,
        exit_code: answer.exit_code(),
        passed: answer.exit_code() == 0,
        failures,
        tester_limits: limits,
        notes,
    }
}

/// What runs and steps say, by what follows from it.
struct Evidence {
    failures: Collected,
    /// Objectives that were missed where the tester was a limit.
    doubts: Collected,
    /// How the tester was a limit.
    limits: Collected,
    /// The same in steps that held the objective.
    held: Collected,
}

impl Evidence {
    fn of(report: &Report, threshold: Option<&Threshold>) -> Evidence {
        let none = || Collected::new(report);
        let mut evidence = Evidence {
            failures: none(),
            doubts: none(),
            limits: none(),
            held: none(),
        };
        for (number, run) in report.runs.iter().enumerate() {
            for text in setup_failures(run) {
                evidence.failures.add(number, None, text);
            }
            for event in &run.broker_events {
                if ENDS.contains(&event.kind.as_str()) {
                    evidence.failures.add(number, None, end_of_broker(event));
                }
            }
            for step in &run.steps {
                for text in step_failures(report, step) {
                    evidence.failures.add(number, Some(step), text);
                }
                // Whether the tester was the limit of a search is what the search says of its end.
                if report.search.is_none() {
                    evidence.judge(threshold, number, step);
                }
            }
        }
        evidence
    }

    /// Adds what a step of a run says of the objective, and of the tester.
    fn judge(&mut self, threshold: Option<&Threshold>, run: usize, step: &Step) {
        let judged = threshold.map(|slo| (slo, slo.judge(step)));
        let of_tester = match &judged {
            Some((_, Judgement::Held)) => &mut self.held,
            _ => &mut self.limits,
        };
        for text in tester_limits(step) {
            of_tester.add(run, Some(step), text);
        }
        match judged {
            Some((slo, Judgement::Missed(why))) => {
                self.failures.add(run, Some(step), slo.missed(&why));
            }
            Some((slo, Judgement::InDoubt { missed, .. })) => {
                self.doubts.add(run, Some(step), slo.missed(&missed));
            }
            Some((_, Judgement::Held)) | None => {}
        }
    }
}

fn answer(report: &Report, has_failed: bool, has_doubt: bool, is_limited: bool) -> Answer {
    if report.cut_short {
        Answer::CutShort
    } else if has_failed {
        Answer::Failed
    } else if has_doubt {
        Answer::NotValid
    } else if is_limited {
        Answer::Verified
    } else {
        Answer::Passed
    }
}

/// How the tester was the limit of a search.
fn search_limit(report: &Report) -> Option<String> {
    let search = report.search.as_ref()?;
    (search.ended == SearchEnd::Tester).then(|| search.tester_limit.clone())
}

fn setup_failures(run: &Run) -> Vec<String> {
    let setup = &run.setup;
    let missing = setup.refused + setup.failed;
    if missing == 0 {
        return Vec::new();
    }
    vec![format!(
        "connections: {} of {} were not made ({} refused, {} failed)",
        units::count(missing),
        units::count(setup.connections + missing),
        units::count(setup.refused),
        units::count(setup.failed)
    )]
}

/// `the broker ended after 3.2 s: exit code 1`
fn end_of_broker(event: &BrokerEvent) -> String {
    let at = units::seconds(event.at_s);
    match event.kind.as_str() {
        "out of memory" => format!("the broker ran out of memory after {at}: {}", event.text),
        "killed" => format!("the broker was killed after {at}: {}", event.text),
        kind => format!("the broker {kind} after {at}: {}", event.text),
    }
}

fn step_failures(report: &Report, step: &Step) -> Vec<String> {
    let is_past_limit = missed_objective(report, step);
    let is_failure =
        |text: &&String| !(is_past_limit && OF_OVERLOAD.iter().any(|kind| text.starts_with(kind)));
    let violations = step.verification.violations.iter();
    let mut found: Vec<String> = violations.filter(is_failure).cloned().collect();
    if let Some(operations) = step.operations.as_ref().filter(|o| o.failed > 0) {
        found.push(format!(
            "operations: {} of {} {} failed",
            units::count(operations.failed),
            units::count(operations.count + operations.failed),
            operations.name
        ));
    }
    found
}

/// Whether the step is an attempt of a search that did not hold the objective.
fn missed_objective(report: &Report, step: &Step) -> bool {
    let Some(search) = &report.search else {
        return false;
    };
    Slo::parse(&search.slo).is_ok_and(|slo| slo.misses(step).is_some())
}

/// What is wrong with the report as a whole.
fn whole_failures(report: &Report) -> Vec<String> {
    let mut found = Vec::new();
    if report.runs.is_empty() {
        found.push("nothing was run".to_owned());
    }
    let is_answer = |search: &&Search| {
        search.max_rate.is_none() && search.ended != SearchEnd::Tester && !report.cut_short
    };
    if let Some(search) = report.search.as_ref().filter(is_answer) {
        found.push(format!("no rate held the objective {}", search.slo));
    }
    found
}
