//! What a step says of an objective: one rule for the attempts of a search and for an objective without one.

use super::limits_of_tester::tester_limits;
use crate::load::result::{Report, Step};
use crate::load::search::Slo;

/// Whether a step held an objective, and whose doing it was if not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It held, however weak the tester was.
    Held,
    /// It missed, in words, and the tester had strength left: the broker's doing.
    Missed(String),
    /// It missed, in words, and the tester was a limit, in words: whose doing it was is not known.
    InDoubt { missed: String, tester: String },
}

/// Judges a step by itself. A tester that was a limit proves nothing against the broker, and takes nothing from what
/// held all the same.
pub fn judge(slo: &Slo, step: &Step) -> Judgement {
    let Some(missed) = slo.misses(step) else {
        return Judgement::Held;
    };
    match tester_limits(step).into_iter().next() {
        Some(tester) => Judgement::InDoubt { missed, tester },
        None => Judgement::Missed(missed),
    }
}

/// Judges two steps of the same load, in any order: one that held is enough to have held it, as others on the machine
/// may disturb; of two that missed, one that the tester had no part in is enough to have missed it.
pub fn judge_twice(one: Judgement, other: Judgement) -> Judgement {
    match (one, other) {
        (Judgement::Held, _) | (_, Judgement::Held) => Judgement::Held,
        (missed @ Judgement::Missed(_), _) | (_, missed @ Judgement::Missed(_)) => missed,
        (_, in_doubt @ Judgement::InDoubt { .. }) => in_doubt,
    }
}

/// An objective without a search: each step has to hold it.
pub(super) struct Threshold(Slo);

impl Threshold {
    pub(super) fn of(report: &Report) -> Option<Threshold> {
        let text = report
            .settings
            .get("slo")
            .filter(|_| report.search.is_none())?;
        Slo::parse(text).ok().map(Threshold)
    }

    /// What a step says of it. One that only prepares another has nothing that could be missed.
    pub(super) fn judge(&self, step: &Step) -> Judgement {
        let prepares = step.verification.expected == 0
            && step.operations.is_none()
            && step.latency.delivery_ns.is_empty();
        match prepares {
            true => Judgement::Held,
            false => judge(&self.0, step),
        }
    }

    /// `objective p99=10ms missed: p99 11 ms above 10 ms`
    pub(super) fn missed(&self, why: &str) -> String {
        format!("objective {} missed: {why}", self.0)
    }

    pub(super) fn held(&self) -> String {
        format!("objective {} held", self.0)
    }
}
