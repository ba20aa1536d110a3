//! The workloads: who connects, what is published and read, in which phases. They are data; the engine knows none of
//! their names.

mod connections;
mod fan;
mod model;
mod stored;
mod stress;
#[cfg(test)]
mod tests;
mod wildcard;

use super::job::{
    BusSpec, Filter, Group, Open, Phase, Publisher, StepPlan, Stream, Subscriber, Timed, Traffic,
};
use super::options::Options;
use super::plan::{pace, qos};
use super::quantity::{Bytes, Rate, Seconds};

pub use stress::stress_plan;

/// Options that mean something to some workloads only.
const OF_LOADS: &str = "publishers subscribers topics size qos sub-qos rate arrivals window closed-loop in-flight shared \
messages connect-rate from to steps scale time-lapse find-max slo max-rate precision allow-loss spread-every";

/// A workload of the flat options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    Fanout,
    Fanin,
    Pairs,
    Wildcard,
    Connect,
    Churn,
    Idle,
    Retained,
    Backlog,
    Ramp,
    Firehose,
}

impl Workload {
    /// All of them, as they are listed.
    pub const ALL: [Workload; 11] = [
        Workload::Fanout,
        Workload::Fanin,
        Workload::Pairs,
        Workload::Wildcard,
        Workload::Connect,
        Workload::Churn,
        Workload::Idle,
        Workload::Retained,
        Workload::Backlog,
        Workload::Ramp,
        Workload::Firehose,
    ];

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Workload::Fanout => "fanout",
            Workload::Fanin => "fanin",
            Workload::Pairs => "pairs",
            Workload::Wildcard => "wildcard",
            Workload::Connect => "connect",
            Workload::Churn => "churn",
            Workload::Idle => "idle",
            Workload::Retained => "retained",
            Workload::Backlog => "backlog",
            Workload::Ramp => "ramp",
            Workload::Firehose => "firehose",
        }
    }

    /// By its name.
    pub fn by_name(name: &str) -> Option<Workload> {
        Workload::ALL
            .into_iter()
            .find(|workload| workload.name() == name)
    }

    /// What it does, in a line of help.
    pub fn about(self) -> &'static str {
        match self {
            Workload::Fanout => "One publisher, many subscribers of its topic [default]",
            Workload::Fanin => "Many publishers, each with a topic, one subscriber of all",
            Workload::Pairs => "Publishers and subscribers, one to one",
            Workload::Wildcard => {
                "A tree of topics, read with wildcards; deliveries checked by the tester's own matcher"
            }
            Workload::Connect => "A storm of connections, at a rate",
            Workload::Churn => {
                "Clients that connect, subscribe and leave, again and again, at a rate"
            }
            Workload::Idle => "Connections that do nothing: what one costs in memory",
            Workload::Retained => "A large set of retained messages, replayed to all who subscribe",
            Workload::Backlog => {
                "Durable sessions that are away while messages come, and then are back"
            }
            Workload::Ramp => {
                "The load of the Firehose's bus, raised in steps to ten times the talk's peak"
            }
            Workload::Firehose => {
                "The Firehose of 2017 itself: its topics, payloads, rates, bursts and readers"
            }
        }
    }

    /// Whether an option of the load, by its name on the command line, means anything to it.
    pub fn uses(self, option: &str) -> bool {
        const ONE_RATE: &str = "rate arrivals window closed-loop find-max slo max-rate precision";
        const MESSAGES: &str = "publishers size qos sub-qos in-flight allow-loss spread-every";
        let own = match self {
            Workload::Fanout | Workload::Fanin => [ONE_RATE, MESSAGES, "shared"],
            Workload::Pairs => [ONE_RATE, MESSAGES, ""],
            Workload::Wildcard => [ONE_RATE, MESSAGES, "shared topics"],
            Workload::Connect => ["connect-rate slo", "", ""],
            Workload::Churn => ["connect-rate slo", "qos sub-qos shared", ""],
            Workload::Idle => ["qos sub-qos shared", "", ""],
            Workload::Retained | Workload::Backlog => ["rate messages slo", MESSAGES, ""],
            Workload::Ramp => ["arrivals from to steps shared slo", MESSAGES, ""],
            Workload::Firehose => [
                "scale time-lapse publishers shared slo",
                "qos sub-qos in-flight allow-loss spread-every",
                "",
            ],
        };
        let words = |list: &str| list.split(' ').any(|word| word == option);
        !words(OF_LOADS) || option == "subscribers" || own.into_iter().any(words)
    }

    /// What it sets unless the user does.
    pub fn presets(self) -> Options {
        let base = Options::default();
        match self {
            Workload::Fanout => Options {
                subscribers: Some(1000),
                rate: Some(Rate(100.0)),
                ..base
            },
            Workload::Fanin => Options {
                publishers: Some(1000),
                rate: Some(Rate(20_000.0)),
                ..base
            },
            Workload::Pairs => Options {
                publishers: Some(50),
                subscribers: Some(50),
                rate: Some(Rate(10_000.0)),
                ..base
            },
            Workload::Wildcard => Options {
                publishers: Some(10),
                subscribers: Some(200),
                topics: Some(1000),
                rate: Some(Rate(1000.0)),
                ..base
            },
            Workload::Connect => Options {
                subscribers: Some(5000),
                connect_rate: Some(Rate(1000.0)),
                warm_up: Some(Seconds(0.0)),
                duration: Some(Seconds(60.0)),
                ..base
            },
            Workload::Churn => Options {
                subscribers: Some(200),
                connect_rate: Some(Rate(500.0)),
                ..base
            },
            Workload::Idle => Options {
                subscribers: Some(5000),
                warm_up: Some(Seconds(0.0)),
                duration: Some(Seconds(5.0)),
                ..base
            },
            Workload::Retained => Options {
                subscribers: Some(10),
                messages: Some(10_000),
                rate: Some(Rate(20_000.0)),
                size: Some(Bytes(256)),
                warm_up: Some(Seconds(0.0)),
                duration: Some(Seconds(60.0)),
                ..base
            },
            Workload::Backlog => Options {
                subscribers: Some(100),
                messages: Some(1000),
                rate: Some(Rate(1000.0)),
                qos: Some(1),
                size: Some(Bytes(256)),
                warm_up: Some(Seconds(0.0)),
                duration: Some(Seconds(60.0)),
                ..base
            },
            Workload::Ramp => Options {
                publishers: Some(25),
                subscribers: Some(9),
                from: Some(Rate(34_000.0)),
                to: Some(Rate(340_000.0)),
                steps: Some(10),
                size: Some(Bytes(256)),
                warm_up: Some(Seconds(1.0)),
                duration: Some(Seconds(3.0)),
                ..base
            },
            Workload::Firehose => Options {
                publishers: Some(super::model::PUBLISHERS_2017),
                subscribers: Some(100),
                scale: Some(20.0),
                time_lapse: Some(60.0),
                duration: Some(Seconds(15.0)),
                ..base
            },
        }
    }
}

/// What a workload makes of its options.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    pub title: String,
    pub filters: Vec<Filter>,
    pub subscribers: Vec<Subscriber>,
    pub streams: Vec<Stream>,
    pub publishers: Vec<Publisher>,
    pub bus: Option<BusSpec>,
    pub retain: bool,
    pub phases: Vec<Phase>,
}

/// The shape of a workload; an error is one of usage.
pub fn shape(workload: Workload, options: &Options) -> Result<Shape, String> {
    let given = Given::of(options);
    match workload {
        Workload::Fanout => fan::fanout(&given),
        Workload::Fanin => fan::fanin(&given),
        Workload::Pairs => fan::pairs(&given),
        Workload::Ramp => fan::ramp(&given),
        Workload::Wildcard => wildcard::wildcard(&given),
        Workload::Connect => Ok(connections::connect(&given)),
        Workload::Churn => Ok(connections::churn(&given)),
        Workload::Idle => Ok(connections::idle(&given)),
        Workload::Retained => Ok(stored::retained(&given)),
        Workload::Backlog => stored::backlog(&given),
        Workload::Firehose => Ok(model::firehose(&given)),
    }
}

/// The options that shapes are made of, without their doubts.
struct Given<'a> {
    options: &'a Options,
    publishers: u32,
    subscribers: u32,
    messages: u32,
    rate: f64,
    connect_rate: f64,
    warm_up_s: f64,
    seconds: f64,
    interval_s: f64,
}

impl<'a> Given<'a> {
    fn of(options: &'a Options) -> Self {
        Given {
            publishers: options.publishers.unwrap_or(1),
            subscribers: options.subscribers.unwrap_or(1),
            messages: options.messages.unwrap_or(1),
            rate: options.rate.unwrap_or_default().0,
            connect_rate: options.connect_rate.unwrap_or(Rate(1000.0)).0,
            warm_up_s: options.warm_up.unwrap_or_default().0,
            seconds: options.duration.unwrap_or_default().0,
            interval_s: options.interval.unwrap_or_default().0,
            options,
        }
    }

    /// A subscriber of a filter.
    fn subscriber(&self, filter: u32) -> Subscriber {
        let number = self.options.sub_qos.or(self.options.qos).unwrap_or(0);
        Subscriber {
            filter: Some(filter),
            qos: qos(number),
            durable: false,
            shared: self.options.shared.is_some(),
        }
    }

    /// A filter as it is subscribed to: shared, if subscribers are to share.
    fn filter_text(&self, filter: &str) -> String {
        match &self.options.shared {
            Some(name) => format!("$share/{name}/{filter}"),
            None => filter.to_owned(),
        }
    }

    /// Deliveries of a message to so many subscribers of a filter.
    fn fanout(&self, subscribers: u32) -> u32 {
        match self.options.shared {
            Some(_) => subscribers.min(1),
            None => subscribers,
        }
    }

    fn step(&self, name: &str, traffic: Traffic) -> StepPlan {
        StepPlan {
            name: name.to_owned(),
            rate: None,
            warm_up_s: self.warm_up_s,
            seconds: self.seconds,
            interval_s: self.interval_s,
            traffic,
            operation: None,
            settles: true,
        }
    }

    /// The measured step of a load at the rate, or in the window, that the options give.
    fn measured(&self) -> StepPlan {
        let pace = pace(self.options, self.rate);
        let is_windowed = matches!(pace, super::job::Pace::Window(_));
        StepPlan {
            rate: (!is_windowed).then_some(self.rate),
            ..self.step(
                "measured",
                Traffic::Publish {
                    pace,
                    each_max: None,
                },
            )
        }
    }

    /// What is said of the rate in a title.
    fn pace_text(&self) -> String {
        match pace(self.options, self.rate) {
            super::job::Pace::Window(1) => "one message after the other".into(),
            super::job::Pace::Window(n) => format!("{n} messages outstanding each"),
            _ if self.rate == 1.0 => "1 message a second in all".into(),
            _ => format!("{} messages a second in all", self.rate),
        }
    }
}

/// A count with what is counted, as titles have it: without groups of three.
fn counted(count: u32, one: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    }
}

/// Connects a group, as fast as it is taken.
fn open(group: Group) -> Open {
    Open {
        group,
        rate: None,
        goal: 0,
        timed: Timed::No,
        forget: false,
    }
}

/// Subscribers first, so that nobody misses anything.
fn both_open() -> Vec<Phase> {
    vec![
        Phase::Open(open(Group::Subscribers)),
        Phase::Open(open(Group::Publishers)),
    ]
}

/// Publishers with a stream each, of these topics.
fn one_stream_each(
    topics: impl Iterator<Item = String>,
    fanout: u32,
) -> (Vec<Publisher>, Vec<Stream>) {
    let streams: Vec<Stream> = topics
        .zip(0..)
        .map(|(topic, publisher)| Stream {
            publisher,
            topic,
            fanout,
        })
        .collect();
    let publishers = (0..streams.len() as u32).map(|first_stream| Publisher {
        first_stream,
        streams: 1,
    });
    (publishers.collect(), streams)
}
