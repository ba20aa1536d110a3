//! The search for the highest rate that holds an objective: `--find-max`.
//!
//! A state machine without clock or socket: it names a rate, is told what a step at that rate found, and names the next
//! one. It doubles the rate until an attempt fails, then halves the gap between the highest rate that held and the
//! lowest that did not. A failed attempt is made a second time before it counts, since another tenant of the machine
//! may have caused it. `bracket` is the state; it only ever narrows.

mod slo;

#[cfg(test)]
mod tests;

pub use slo::Slo;

use crate::limits;

use super::result::{self, Attempt, SearchEnd, Step};
use super::verdict::{self, Judgement};

/// A search under way.
#[derive(Debug)]
pub struct Search {
    slo: Slo,
    start_rate: f64,
    max_rate: f64,
    precision: f64,
    /// The highest rate that held; none yet is 0.
    held: f64,
    /// The lowest rate that counts as failed.
    failed: Option<f64>,
    /// What the lowest of them missed.
    why: String,
    /// A rate that failed once and is to be tried again, and what the first attempt said.
    doubted: Option<(f64, Judgement)>,
    /// Nothing above is worth an attempt: the tester had no more to give.
    is_capped: bool,
    curve: Vec<Attempt>,
    /// Where the tester was the limit last, and how.
    tester_limit: Option<(f64, String)>,
    is_cut_short: bool,
}

impl Search {
    /// A search from `start_rate` up to `max_rate` (infinity for no bound), in messages a second. It ends when the
    /// highest rate that held and the lowest that did not are apart by no more than `precision`, a share of the former.
    pub fn new(slo: Slo, start_rate: f64, max_rate: f64, precision: f64) -> Search {
        let lowest = limits::LOAD_SEARCH_RATE_MIN;
        let max_rate = max_rate.max(lowest);
        Search {
            slo,
            start_rate: start_rate.max(lowest).min(max_rate),
            max_rate,
            precision: precision.max(limits::LOAD_SEARCH_PRECISION_MIN),
            held: 0.0,
            failed: None,
            why: String::new(),
            doubted: None,
            is_capped: false,
            curve: Vec::new(),
            tester_limit: None,
            is_cut_short: false,
        }
    }

    /// The rate to try next; the same one until `tried` has been told of it. `None`: the search is over.
    pub fn next_rate(&mut self) -> Option<f64> {
        let next = self.candidate()?;
        if self.curve.len() >= limits::LOAD_SEARCH_ATTEMPTS_MAX {
            self.is_cut_short = true;
            return None;
        }
        Some(next)
    }

    fn candidate(&self) -> Option<f64> {
        if let Some((rate, _)) = self.doubted {
            return Some(rate);
        }
        let next = match self.failed {
            None if self.held == 0.0 => self.start_rate,
            None if self.is_capped || self.held >= self.max_rate => return None,
            None => (self.held * limits::LOAD_SEARCH_GROWTH).min(self.max_rate),
            Some(failed) if self.held == 0.0 => below(failed)?,
            Some(failed) => between(self.held, failed, self.precision)?,
        };
        Some(next)
    }

    /// What a step at this rate found.
    pub fn tried(&mut self, rate: f64, step: &Step) {
        let judged = verdict::judge(&self.slo, step);
        self.curve.push(attempt(rate, step, &judged));
        let first = self.doubted.take().filter(|(doubted, _)| *doubted == rate);
        match (judged, first) {
            (Judgement::Held, _) => {
                self.held = self.held.max(rate);
                self.cap(step);
            }
            (second, Some((_, first))) => self.fail(rate, verdict::judge_twice(first, second)),
            (judged, None) => self.doubted = Some((rate, judged)),
        }
    }

    /// A rate was missed twice. Rates that count as failed only fall: the last one is where the search ends.
    fn fail(&mut self, rate: f64, judged: Judgement) {
        let (why, tester) = match judged {
            Judgement::Missed(why) => (why, None),
            Judgement::InDoubt { missed, tester } => (missed, Some(tester)),
            Judgement::Held => return,
        };
        self.failed = Some(self.failed.map_or(rate, |failed| failed.min(rate)));
        self.why = why;
        self.tester_limit = tester.map(|tester| (rate, tester));
    }

    /// A rate that held with the last of the tester's strength is as far as the search can tell. Mere lateness is no
    /// end: it makes latencies longer, and the objective held all the same.
    fn cap(&mut self, step: &Step) {
        let is_last = self.held >= self.max_rate;
        if verdict::is_saturated(step) && self.failed.is_none() && !is_last {
            self.is_capped = true;
            let limit = verdict::tester_limits(step).pop();
            self.tester_limit = limit.map(|limit| (self.held, limit));
        }
    }

    /// What else a reader of the result has to know: that attempts ran out.
    pub fn notes(&self) -> Vec<String> {
        let cut_short = self.is_cut_short.then(|| {
            format!(
                "the search ended after {}, before it was as precise as asked",
                super::report::units::counted(self.curve.len() as u64, "attempt")
            )
        });
        cut_short.into_iter().collect()
    }

    /// Why no further rate is tried. That the tester was the limit comes before that attempts ran out: the one says what
    /// the result is worth, the other only how close it is.
    fn end(&self) -> SearchEnd {
        if self.candidate().is_some() && !self.is_cut_short {
            SearchEnd::CutShort
        } else if self.tester_limit.is_some() {
            SearchEnd::Tester
        } else if self.is_cut_short {
            SearchEnd::Attempts
        } else if self.failed.is_none() {
            SearchEnd::MaxRate
        } else {
            SearchEnd::Found
        }
    }

    /// The attempts by their rates, the highest one that held, and the lowest that did not. May be called before the
    /// search is over.
    pub fn finish(self) -> result::Search {
        let ended = self.end();
        let limit = self.tester_limit.map(|(rate, limit)| {
            let rate = super::report::units::rate(rate);
            format!("at {rate} msg/s, where the search ended: {limit}")
        });
        let mut curve = self.curve;
        curve.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        result::Search {
            slo: self.slo.to_string(),
            max_rate: (self.held > 0.0).then_some(self.held),
            broke_rate: self.failed,
            broke_why: self.why,
            ended,
            tester_limit: limit.unwrap_or_default(),
            curve,
        }
    }
}

fn attempt(rate: f64, step: &Step, judged: &Judgement) -> Attempt {
    let why = match judged {
        Judgement::Held => String::new(),
        Judgement::Missed(why) | Judgement::InDoubt { missed: why, .. } => why.clone(),
    };
    let latency = &step.latency.delivery_ns;
    Attempt {
        rate,
        achieved: step.publish_rate,
        p50_ns: latency.p50,
        p99_ns: latency.p99,
        p999_ns: latency.p999,
        lost: step.verification.lost,
        held: why.is_empty(),
        why,
        tester_limited: !verdict::tester_limits(step).is_empty(),
    }
}

/// A rate far below one that failed while none has held yet; none below the lowest. Down goes faster than up: attempts
/// that fail are made twice.
fn below(failed: f64) -> Option<f64> {
    let lowest = limits::LOAD_SEARCH_RATE_MIN;
    let fall = limits::LOAD_SEARCH_GROWTH * limits::LOAD_SEARCH_GROWTH;
    (failed > lowest).then(|| rounded(failed / fall).max(lowest))
}

/// The middle of a gap that is not yet small enough.
fn between(held: f64, failed: f64, precision: f64) -> Option<f64> {
    let middle = rounded((held + failed) / 2.0);
    let is_open = failed - held > held * precision;
    (is_open && held < middle && middle < failed).then_some(middle)
}

/// Four digits: steps are called by their rates.
fn rounded(rate: f64) -> f64 {
    let unit = 10f64.powf(rate.max(1.0).log10().floor() - 3.0);
    let rate = (rate / unit).round() * unit;
    // The unit of small rates is a fraction, of which a multiple need not be a short number.
    (rate * 1000.0).round() / 1000.0
}
