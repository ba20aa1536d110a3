//! Fan-out, fan-in, pairs and the ramp: publishers with a topic each, read by those who want it.

use crate::load::job::{Filter, Phase, StepPlan, Traffic};
use crate::load::ledger::View;
use crate::load::quantity::Rate;

use super::given::{Given, Shape, both_open, counted, one_stream_each, pace};
use super::stored::forget;

/// Publishers of one topic (one of them, as a rule), and subscribers of it.
pub(super) fn fanout(given: &Given<'_>) -> Result<Shape, String> {
    let topics = (0..given.publishers).map(|_| "bench/fanout".to_owned());
    let mut shape = read_by_all(given, topics, "bench/fanout");
    shape.title = format!(
        "{} to {} of its topic, {}",
        counted(given.publishers, "publisher"),
        counted(given.subscribers, "subscriber"),
        given.pace_text()
    );
    shape.phases.extend(measured(given));
    Ok(shape)
}

pub(super) fn fanin(given: &Given<'_>) -> Result<Shape, String> {
    let topics = (0..given.publishers).map(|at| format!("bench/fanin/{at}"));
    let mut shape = read_by_all(given, topics, "bench/fanin/+");
    shape.title = format!(
        "{} with a topic each to {} of all, {}",
        counted(given.publishers, "publisher"),
        counted(given.subscribers, "subscriber"),
        given.pace_text()
    );
    shape.phases.extend(measured(given));
    Ok(shape)
}

/// The measured step; durable sessions are ended behind it.
fn measured(given: &Given<'_>) -> Vec<Phase> {
    let mut phases = vec![Phase::Step(given.measured())];
    if given.is_durable() {
        phases.extend(forget());
    }
    phases
}

/// Publishers with a stream each; every subscriber reads all of them.
fn read_by_all(given: &Given<'_>, topics: impl Iterator<Item = String>, filter: &str) -> Shape {
    let fanout = given.fanout(given.subscribers);
    let (publishers, streams) = one_stream_each(topics, fanout);
    Shape {
        filters: vec![Filter {
            text: given.filter_text(filter),
            view: View::Range(0..streams.len() as u32),
        }],
        subscribers: vec![given.subscriber(0); given.subscribers as usize],
        publishers,
        streams,
        phases: both_open(),
        ..Shape::default()
    }
}

pub(super) fn pairs(given: &Given<'_>) -> Result<Shape, String> {
    let pairs = given.publishers;
    if given.subscribers != pairs {
        return Err("pairs: as many --publishers as --subscribers".into());
    }
    if given.options.load.shared.is_some() {
        return Err("pairs: --shared makes no pairs".into());
    }
    let (publishers, streams) =
        one_stream_each((0..pairs).map(|at| format!("bench/pairs/{at}")), 1);
    let filters = streams.iter().zip(0..).map(|(stream, at)| Filter {
        text: stream.topic.clone(),
        view: View::Range(at..at + 1),
    });
    let mut phases = both_open();
    phases.extend(measured(given));
    Ok(Shape {
        title: format!(
            "{} to a subscriber each, {}",
            counted(pairs, "publisher"),
            given.pace_text()
        ),
        filters: filters.collect(),
        subscribers: (0..pairs).map(|filter| given.subscriber(filter)).collect(),
        publishers,
        streams,
        phases,
        ..Shape::default()
    })
}

/// The talk's manual load test: publishers of the bus, readers of all, and more messages with every step.
pub(super) fn ramp(given: &Given<'_>) -> Result<Shape, String> {
    let (from, to) = (rate(given.options.load.from), rate(given.options.load.to));
    let steps = given.options.load.steps.unwrap_or(1);
    if from > to {
        return Err("ramp: --from is not above --to".into());
    }
    let topics = (0..given.publishers).map(|at| format!("bench/ramp/{at}"));
    let mut shape = read_by_all(given, topics, "bench/ramp/+");
    let in_and_out = 1.0 + f64::from(given.fanout(given.subscribers));
    shape.title = format!(
        "{}, {} of all, {from} to {to} messages a second in and out in {}",
        counted(given.publishers, "publisher"),
        counted(given.subscribers, "subscriber"),
        counted(steps, "step"),
    );
    for step in 0..steps {
        let share = match steps {
            1 => 1.0,
            _ => f64::from(step) / f64::from(steps - 1),
        };
        let all = (from + (to - from) * share).round();
        let published = all / in_and_out;
        let each_max = None;
        let traffic = Traffic::Publish {
            pace: pace(given.options, published),
            each_max,
        };
        shape.phases.push(Phase::Step(StepPlan {
            rate: Some(published),
            ..given.step(&format!("{all} msg/s in and out"), traffic)
        }));
    }
    Ok(shape)
}

fn rate(rate: Option<Rate>) -> f64 {
    rate.unwrap_or_default().0
}
