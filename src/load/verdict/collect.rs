//! Texts about the steps of several runs, the same one said once.

use crate::load::result::{Report, Step};

/// Texts in the order in which they were first added, with the runs that each is about.
pub(super) struct Collected {
    runs: usize,
    has_steps: bool,
    found: Vec<Found>,
}

struct Found {
    step: Option<String>,
    text: String,
    /// Numbers of runs from 0, rising.
    runs: Vec<usize>,
}

impl Collected {
    pub(super) fn new(report: &Report) -> Self {
        Collected {
            runs: report.runs.len(),
            has_steps: report.runs.iter().any(|run| run.steps.len() > 1),
            found: Vec::new(),
        }
    }

    /// Adds a text about a run, and about one of its steps if it is.
    pub(super) fn add(&mut self, run: usize, step: Option<&Step>, text: String) {
        let step = step.filter(|_| self.has_steps).map(|s| s.name.clone());
        let same = |found: &&mut Found| found.step == step && found.text == text;
        match self.found.iter_mut().find(same) {
            Some(found) if found.runs.last() == Some(&run) => {}
            Some(found) => found.runs.push(run),
            None => self.found.push(Found {
                step,
                text,
                runs: vec![run],
            }),
        }
    }

    /// Each with where it was found, as far as there are several runs or steps: `run 2, step 34000 msg/s: lost 3 of ...`.
    pub(super) fn texts(self) -> Vec<String> {
        let runs = self.runs;
        let write = |found: Found| {
            let mut place = Vec::new();
            if runs > 1 {
                place.push(run_names(&found.runs, runs));
            }
            if let Some(step) = found.step {
                place.push(format!("step {step}"));
            }
            match place.is_empty() {
                true => found.text,
                false => format!("{}: {}", place.join(", "), found.text),
            }
        };
        self.found.into_iter().map(write).collect()
    }
}

/// `run 2`, `runs 1 and 3`, `all 5 runs`
fn run_names(numbers: &[usize], of: usize) -> String {
    let names: Vec<String> = numbers.iter().map(|n| (n + 1).to_string()).collect();
    match names.as_slice() {
        all if all.len() == of => format!("all {of} runs"),
        [front @ .., last] if !front.is_empty() => format!("runs {} and {last}", front.join(", ")),
        one => format!("run {}", one.concat()),
    }
}
