//! The intervals of a run's steps in time.

use crate::load::result::{Interval, Run, Step};

/// One interval and where it belongs.
pub struct Placed<'a> {
    /// The number of its step in the run, from 0.
    pub number: usize,
    pub step: &'a Step,
    pub interval: &'a Interval,
    /// Seconds from the start of the first step to its own.
    pub at_s: f64,
    /// How long it is.
    pub seconds: f64,
}

/// The length of a step's intervals.
pub fn interval_s(step: &Step) -> f64 {
    match step.interval_s {
        s if s.is_finite() && s > 0.0 => s,
        _ => 1.0,
    }
}

/// Seconds from the start of a step to the end of its last interval.
pub fn span_s(step: &Step) -> f64 {
    let last = step.series.last().map(|i| i.at_s + interval_s(step));
    last.filter(|s| s.is_finite()).unwrap_or(0.0)
}

/// All intervals of a run, its steps one behind the other.
pub fn intervals(run: &Run) -> impl Iterator<Item = Placed<'_>> {
    let begins = run.steps.iter().scan(0.0, |end, step| {
        let begin = *end;
        *end += span_s(step);
        Some(begin)
    });
    let steps = run.steps.iter().zip(begins).enumerate();
    steps.flat_map(|(number, (step, begin))| {
        step.series.iter().map(move |interval| Placed {
            number,
            step,
            interval,
            at_s: begin + interval.at_s,
            seconds: interval_s(step),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::sample;

    #[test]
    fn steps_follow_each_other() {
        let report = sample::full();
        let placed: Vec<_> = intervals(&report.runs[0]).collect();
        let at: Vec<f64> = placed.iter().map(|p| p.at_s).collect();
        assert_eq!(at, (0..12).map(f64::from).collect::<Vec<_>>());
        assert_eq!((placed[5].number, placed[6].number), (0, 1));
        let mut step = Step::default();
        assert_eq!((interval_s(&step), span_s(&step)), (1.0, 0.0));
        step.interval_s = 0.1;
        step.series = vec![Interval::default()];
        assert_eq!(span_s(&step), 0.1);
    }
}
