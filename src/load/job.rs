//! What the workers of a run are told: clients, streams, filters, and the steps of the load.
//!
//! A `Job` is fixed for all repetitions and shared by all workers; phases are carried out one after the other. Nothing
//! here knows what a workload is called.

use crate::mqtt::QoS;

use super::client::Settings;
use super::ledger::View;

/// Streams that a publisher of the bus model has: one for each set of filters that its messages match.
pub const BUS_STREAMS: u32 = 64;

/// Everything about a run that does not change.
#[derive(Debug)]
pub struct Job {
    pub settings: Settings,
    /// Client identifiers begin with it; `s` or `p` and a number follow.
    pub client_prefix: String,
    /// Distinct filters; a filter's place is that of its view in the ledger.
    pub filters: Vec<Filter>,
    pub subscribers: Vec<Subscriber>,
    pub streams: Vec<Stream>,
    pub publishers: Vec<Publisher>,
    /// The publishers' messages come from the bus model.
    pub bus: Option<BusSpec>,
    /// What follows the stamp in a plain payload.
    pub filler: Vec<u8>,
    /// Of the publishes.
    pub qos: QoS,
    pub retain: bool,
    /// Every how manieth message of a stream the spread is taken of; 0 is off.
    pub spread_every: u32,
    pub workers: u32,
    /// Seconds without a delivery after which what is missing is lost.
    pub drain_s: f64,
}

/// A filter and the streams that it matches.
#[derive(Clone, Debug)]
pub struct Filter {
    /// As it is subscribed to, `$share/...` included.
    pub text: String,
    pub view: View,
}

/// One subscriber.
#[derive(Clone, Copy, Debug)]
pub struct Subscriber {
    /// `None`: it connects and does not subscribe.
    pub filter: Option<u32>,
    pub qos: QoS,
    /// Its session outlives its connection.
    pub durable: bool,
    /// Shares the messages of its filter with the others that say so; all of them are on the first worker.
    pub shared: bool,
}

/// A publisher's sequence of messages that the same filters match.
#[derive(Clone, Debug)]
pub struct Stream {
    pub publisher: u32,
    /// Empty for streams of the bus model, whose topics vary.
    pub topic: String,
    /// Deliveries that each of its messages causes; 0 for the bus model, where it is found out.
    pub fanout: u32,
}

/// One publisher and its streams, which it serves in turn.
#[derive(Clone, Copy, Debug)]
pub struct Publisher {
    pub first_stream: u32,
    pub streams: u32,
}

/// The bus model's parameters.
#[derive(Clone, Copy, Debug)]
pub struct BusSpec {
    pub seed: u64,
    pub scale: f64,
    pub time_lapse: f64,
}

impl Job {
    /// Whether a subscriber belongs to a worker.
    pub fn subscriber_is_on(&self, index: usize, worker: u32) -> bool {
        match self.subscribers.get(index) {
            Some(subscriber) if subscriber.shared => worker == 0,
            _ => index as u32 % self.workers == worker,
        }
    }

    /// Whether a publisher belongs to a worker. The model is one stream of events: one worker follows it.
    pub fn publisher_is_on(&self, index: usize, worker: u32) -> bool {
        match self.bus {
            Some(_) => worker == 0,
            None => index as u32 % self.workers == worker,
        }
    }

    /// Workers that have publishers.
    pub fn publishing_workers(&self) -> u32 {
        match self.bus {
            Some(_) => 1,
            None => self.workers.min(self.publishers.len() as u32).max(1),
        }
    }

    /// Deliveries that a message causes, on average over the streams.
    pub fn fanout_mean(&self) -> f64 {
        let sum: u64 = self
            .streams
            .iter()
            .map(|stream| u64::from(stream.fanout))
            .sum();
        sum as f64 / self.streams.len().max(1) as f64
    }

    /// Connections of both groups.
    pub fn connections(&self) -> usize {
        self.subscribers.len() + self.publishers.len()
    }
}

/// Half of the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Subscribers,
    Publishers,
}

/// When a connection counts as an operation of the workload's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timed {
    /// Not at all.
    No,
    /// With CONNACK, or SUBACK if it subscribes; from when it was to be opened.
    Ready,
    /// With the last message that it waits for; from when it was to be opened.
    Goal,
}

/// Connects a group; subscribers subscribe too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Open {
    pub group: Group,
    /// Connections a second of all workers together; `None`: as fast as they are taken, some at a time.
    pub rate: Option<f64>,
    /// Messages that each subscriber waits for; 0: none.
    pub goal: u32,
    pub timed: Timed,
    /// Sessions begin anew and end with the connection, whatever the subscriber's `durable` says, and nothing is
    /// subscribed: clears what durable sessions left behind.
    pub forget: bool,
}

/// How messages are paced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Open loop, evenly: messages a second of all publishers together.
    Constant(f64),
    /// Open loop, with exponential gaps: messages a second of all publishers together, and a seed.
    Poisson(f64, u64),
    /// A publisher keeps so many messages outstanding: sent and not delivered to all.
    Window(u32),
    /// Open loop, as the bus model has it.
    Bus,
}

/// What is done in a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Traffic {
    /// Nothing but receiving.
    Receive,
    /// The publishers publish.
    Publish {
        pace: Pace,
        /// Each publisher ends after so many.
        each_max: Option<u32>,
    },
    /// The publishers publish an empty retained message to each of their topics, which empties them.
    Clear,
    /// A group connects while the step is measured.
    Open(Open),
    /// Clients of a group come, do something and go, again and again: publishers publish a message, subscribers
    /// subscribe.
    Visits {
        group: Group,
        /// Visits a second of all clients together; `None`: each client comes back at once.
        rate: Option<f64>,
        /// Visits of each client; `None`: until the end of the step.
        each_max: Option<u32>,
    },
}

/// A step of the load.
#[derive(Clone, Debug, PartialEq)]
pub struct StepPlan {
    /// As the report calls it.
    pub name: String,
    /// Messages (or operations) a second that are intended, for the report.
    pub rate: Option<f64>,
    /// Before the measured part; cut.
    pub warm_up_s: f64,
    /// The measured part. A step whose work is bounded ends when the work is done, and after this at the latest.
    pub seconds: f64,
    /// The length of an interval of the report's series.
    pub interval_s: f64,
    pub traffic: Traffic,
    /// What a connect, visit or goal is called in the report (`connects`, `cycles`, `replays`), where it counts.
    pub operation: Option<String>,
    /// Whether all that was published must have been delivered when the step is over. Not where subscribers come later.
    pub delivers_all: bool,
}

/// What is done, one after the other, on the same connections.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    Open(Open),
    /// Disconnects a group.
    Close(Group),
    /// The publishers clear the retained messages of their topics; nothing is measured.
    Clear,
    Step(StepPlan),
}
