//! Connections as the load: a storm of them, their coming and going, and what they cost while they do nothing.

use crate::load::job::{Filter, Group, Open, Phase, StepPlan, Subscriber, Timed, Traffic};
use crate::load::ledger::View;

use super::given::{Given, Shape, counted, open};

pub(super) fn connect(given: &Given<'_>) -> Shape {
    let storm = Open {
        rate: Some(given.connect_rate),
        timed: Timed::Ready,
        ..open(Group::Subscribers)
    };
    let silent = Subscriber {
        filter: None,
        shared: false,
        ..given.subscriber(0)
    };
    Shape {
        title: format!(
            "{}, {} a second",
            counted(given.subscribers, "connection"),
            given.connect_rate
        ),
        subscribers: vec![silent; given.subscribers as usize],
        phases: vec![Phase::Step(StepPlan {
            rate: Some(given.connect_rate),
            operation: Some("connects".into()),
            ..given.step("storm", Traffic::Open(storm))
        })],
        ..Shape::default()
    }
}

pub(super) fn churn(given: &Given<'_>) -> Shape {
    let visits = Traffic::Visits {
        group: Group::Subscribers,
        rate: Some(given.connect_rate),
        each_max: None,
    };
    Shape {
        title: match (given.subscribers, given.connect_rate) {
            (1, rate) => {
                format!("1 client that connects, subscribes and leaves, {rate} a second")
            }
            (clients, rate) => format!(
                "{clients} clients that connect, subscribe and leave, {rate} a second in all"
            ),
        },
        phases: vec![Phase::Step(StepPlan {
            rate: Some(given.connect_rate),
            operation: Some("cycles".into()),
            ..given.step("churn", visits)
        })],
        ..a_filter_each(given, "churn")
    }
}

pub(super) fn idle(given: &Given<'_>) -> Shape {
    Shape {
        title: match given.subscribers {
            1 => "1 connection with a subscription that does nothing".into(),
            count => format!("{count} connections with a subscription each that do nothing"),
        },
        phases: vec![
            Phase::Open(open(Group::Subscribers)),
            Phase::Step(given.step("idle", Traffic::Receive)),
        ],
        ..a_filter_each(given, "idle")
    }
}

/// Subscribers with a filter each, to which nobody publishes.
fn a_filter_each(given: &Given<'_>, name: &str) -> Shape {
    let filters = (0..given.subscribers).map(|at| Filter {
        text: given.filter_text(&format!("bench/{name}/{at}")),
        view: View::Range(0..0),
    });
    Shape {
        filters: filters.collect(),
        subscribers: (0..given.subscribers)
            .map(|filter| given.subscriber(filter))
            .collect(),
        ..Shape::default()
    }
}
