//! What the broker keeps for those who are not there: retained messages, and sessions that are away.

use crate::load::job::{
    Filter, Group, Open, Pace, Phase, Publisher, StepPlan, Stream, Subscriber, Timed, Traffic,
};
use crate::load::ledger::View;

use super::given::{Given, Shape, counted, one_stream_each, open};

/// Every publisher has its share of the topics, and publishes each once.
pub(super) fn retained(given: &Given<'_>) -> Shape {
    let publishers = given.publishers.min(given.messages);
    let share = given.messages.div_ceil(publishers);
    let owners: Vec<Publisher> = (0..publishers)
        .map(|at| Publisher {
            first_stream: at * share,
            streams: share,
        })
        .collect();
    let topics = publishers * share;
    let streams = (0..topics).map(|at| Stream {
        publisher: at / share,
        topic: format!("bench/retained/{}/{at}", at % 100),
        fanout: given.subscribers,
    });
    Shape {
        title: format!(
            "{}, replayed to {} of all",
            counted(topics, "retained message"),
            counted(given.subscribers, "subscriber")
        ),
        filters: vec![Filter {
            text: "bench/retained/#".into(),
            view: View::Range(0..topics),
        }],
        subscribers: vec![
            Subscriber {
                shared: false,
                ..given.subscriber(0)
            };
            given.subscribers as usize
        ],
        streams: streams.collect(),
        publishers: owners,
        retain: true,
        phases: vec![
            Phase::Open(open(Group::Publishers)),
            Phase::Step(store(given, share)),
            Phase::Close(Group::Publishers),
            Phase::Step(replay(given, topics)),
            Phase::Close(Group::Subscribers),
            Phase::Open(open(Group::Publishers)),
            Phase::Clear,
            Phase::Close(Group::Publishers),
        ],
        ..Shape::default()
    }
}

/// Sessions that outlive their connections are away while messages come for them.
pub(super) fn backlog(given: &Given<'_>) -> Result<Shape, String> {
    let topics = (0..given.publishers).map(|at| format!("bench/backlog/{at}"));
    let (publishers, streams) = one_stream_each(topics, given.subscribers);
    let away = Subscriber {
        durable: true,
        shared: false,
        ..given.subscriber(0)
    };
    let goal = given
        .messages
        .checked_mul(given.publishers)
        .ok_or("backlog: --messages times --publishers is more than can be counted")?;
    let mut phases = vec![
        Phase::Open(open(Group::Subscribers)),
        Phase::Close(Group::Subscribers),
        Phase::Open(open(Group::Publishers)),
        Phase::Step(store(given, given.messages)),
        Phase::Step(replay(given, goal)),
    ];
    phases.extend(forget());
    Ok(Shape {
        title: format!(
            "{}, away while {} for each",
            counted(given.subscribers, "durable session"),
            match goal {
                1 => "1 message comes".into(),
                count => format!("{count} messages come"),
            }
        ),
        filters: vec![Filter {
            text: "bench/backlog/+".into(),
            view: View::Range(0..streams.len() as u32),
        }],
        subscribers: vec![away; given.subscribers as usize],
        streams,
        publishers,
        phases,
        ..Shape::default()
    })
}

/// Ends the durable sessions of subscribers.
pub(super) fn forget() -> [Phase; 3] {
    let forget = Open {
        forget: true,
        ..open(Group::Subscribers)
    };
    [
        Phase::Close(Group::Subscribers),
        Phase::Open(forget),
        Phase::Close(Group::Subscribers),
    ]
}

/// Publishes what the broker is to keep.
fn store(given: &Given<'_>, each: u32) -> StepPlan {
    let traffic = Traffic::Publish {
        pace: Pace::Constant(given.rate),
        each_max: Some(each),
    };
    let messages = f64::from(each) * f64::from(given.publishers);
    StepPlan {
        rate: Some(given.rate),
        // As long as it takes at the rate, and some more.
        seconds: (messages / given.rate) * 1.5 + given.seconds,
        delivers_all: false,
        ..given.step("store", traffic)
    }
}

/// All who come get it.
fn replay(given: &Given<'_>, goal: u32) -> StepPlan {
    let come = Open {
        goal,
        timed: Timed::Goal,
        ..open(Group::Subscribers)
    };
    StepPlan {
        operation: Some("replays".into()),
        ..given.step("replay", Traffic::Open(come))
    }
}
