//! What workloads are made from, and what they make: the options without their doubts, a shape, and its usual parts.

use crate::load::job::{
    BusSpec, Filter, Group, Open, Pace, Phase, Publisher, StepPlan, Stream, Subscriber, Timed,
    Traffic,
};
use crate::load::options::Options;
use crate::load::quantity::Rate;
use crate::mqtt::QoS;

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

/// The options that shapes are made of, without their doubts.
pub(super) struct Given<'a> {
    pub options: &'a Options,
    pub publishers: u32,
    pub subscribers: u32,
    pub messages: u32,
    pub rate: f64,
    pub connect_rate: f64,
    pub warm_up_s: f64,
    pub seconds: f64,
    pub interval_s: f64,
}

impl<'a> Given<'a> {
    pub(super) fn of(options: &'a Options) -> Self {
        Given {
            publishers: options.load.publishers.unwrap_or(1),
            subscribers: options.load.subscribers.unwrap_or(1),
            messages: options.load.messages.unwrap_or(1),
            rate: options.load.rate.unwrap_or_default().0,
            connect_rate: options.load.connect_rate.unwrap_or(Rate(1000.0)).0,
            warm_up_s: options.time.warm_up.unwrap_or_default().0,
            seconds: options.time.duration.unwrap_or_default().0,
            interval_s: options.time.interval.unwrap_or_default().0,
            options,
        }
    }

    /// A subscriber of a filter.
    pub(super) fn subscriber(&self, filter: u32) -> Subscriber {
        let number = self
            .options
            .load
            .sub_qos
            .or(self.options.load.qos)
            .unwrap_or(0);
        Subscriber {
            filter: Some(filter),
            qos: qos(number),
            durable: self.is_durable(),
            shared: self.options.load.shared.is_some(),
        }
    }

    /// Whether sessions of subscribers outlive their connections.
    pub(super) fn is_durable(&self) -> bool {
        self.options.load.durable.unwrap_or(false)
    }

    /// A filter as it is subscribed to: shared, if subscribers are to share.
    pub(super) fn filter_text(&self, filter: &str) -> String {
        match &self.options.load.shared {
            Some(name) => format!("$share/{name}/{filter}"),
            None => filter.to_owned(),
        }
    }

    /// Deliveries of a message to so many subscribers of a filter.
    pub(super) fn fanout(&self, subscribers: u32) -> u32 {
        match self.options.load.shared {
            Some(_) => subscribers.min(1),
            None => subscribers,
        }
    }

    pub(super) fn step(&self, name: &str, traffic: Traffic) -> StepPlan {
        StepPlan {
            name: name.to_owned(),
            rate: None,
            warm_up_s: self.warm_up_s,
            seconds: self.seconds,
            interval_s: self.interval_s,
            traffic,
            operation: None,
            delivers_all: true,
        }
    }

    /// The measured step of a load at the rate, or in the window, that the options give.
    pub(super) fn measured(&self) -> StepPlan {
        let pace = pace(self.options, self.rate);
        let is_windowed = matches!(pace, Pace::Window(_));
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
    pub(super) fn pace_text(&self) -> String {
        match pace(self.options, self.rate) {
            Pace::Window(1) => "one message after the other".into(),
            Pace::Window(n) => format!("{n} messages outstanding each"),
            _ if self.rate == 1.0 => "1 message a second in all".into(),
            _ => format!("{} messages a second in all", self.rate),
        }
    }
}

/// A count with what is counted, as titles have it: without groups of three.
pub(super) fn counted(count: u32, one: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    }
}

/// Connects a group, as fast as it is taken.
pub(super) fn open(group: Group) -> Open {
    Open {
        group,
        rate: None,
        goal: 0,
        timed: Timed::No,
        forget: false,
    }
}

/// Subscribers first, so that nobody misses anything.
pub(super) fn both_open() -> Vec<Phase> {
    vec![
        Phase::Open(open(Group::Subscribers)),
        Phase::Open(open(Group::Publishers)),
    ]
}

/// Publishers with a stream each, of these topics.
pub(super) fn one_stream_each(
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

/// The pace of a load that the options describe.
pub(super) fn pace(options: &Options, rate: f64) -> Pace {
    if options.load.closed_loop == Some(true) {
        return Pace::Window(1);
    }
    match options.load.window {
        Some(messages) => Pace::Window(messages),
        None if options.load.arrivals.as_deref() == Some("poisson") => {
            Pace::Poisson(rate, options.time.seed.unwrap_or_default())
        }
        None => Pace::Constant(rate),
    }
}

/// A QoS by its number.
pub fn qos(number: u8) -> QoS {
    match number {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}
