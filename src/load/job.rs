//! What the workers of a run are told: clients, streams, filters, and the steps of the load.
//!
//! A `Job` is fixed for a run and shared by all workers; steps and openings are commands. Nothing here knows what a
//! workload is called.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::mqtt::QoS;

use super::client::Settings;
use super::ledger::View;
use super::measure::Window;

/// Streams that a publisher of the bus model has: one for each set of filters that its messages match.
pub const BUS_STREAMS: u32 = 64;

/// Everything about a run that does not change.
#[derive(Debug)]
pub struct Job {
    /// The number by which this run's messages are known.
    pub run: u32,
    pub settings: Settings,
    pub target: SocketAddr,
    /// Local addresses, taken in turn; the kernel chooses when there are none.
    pub sources: Vec<IpAddr>,
    /// Client identifiers begin with it.
    pub client_prefix: String,
    /// Distinct filters.
    pub filters: Vec<Filter>,
    pub subscribers: Vec<Subscriber>,
    pub streams: Vec<Stream>,
    pub publishers: Vec<Publisher>,
    /// The publishers' messages come from the bus model.
    pub bus: Option<Bus>,
    /// What follows the stamp in a plain payload.
    pub filler: Vec<u8>,
    pub qos: QoS,
    pub retain: bool,
    /// Every how manieth message of a stream the spread is taken of; 0 is off.
    pub spread_every: u32,
    pub workers: u32,
    pub progress: Progress,
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

/// A publisher's sequence of messages.
#[derive(Clone, Debug)]
pub struct Stream {
    pub publisher: u32,
    /// Empty for streams of the bus model, whose topics vary.
    pub topic: String,
    /// Subscribers that get each of its messages; 0 for the bus model, where it is found out.
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
pub struct Bus {
    pub seed: u64,
    pub scale: f64,
    pub time_lapse: f64,
}

/// What workers tell all along, and what a window needs to know of the other side.
#[derive(Debug, Default)]
pub struct Progress {
    pub workers: Vec<WorkerProgress>,
    /// Deliveries, by publisher; counted in windowed steps only.
    pub delivered: Vec<AtomicU64>,
}

/// One worker's counters since the start of the run.
#[derive(Debug, Default)]
pub struct WorkerProgress {
    pub published: AtomicU64,
    /// Deliveries that the published messages are to cause.
    pub expected: AtomicU64,
    pub delivered: AtomicU64,
    pub p99_ns: AtomicU64,
    pub disconnects: AtomicU64,
    pub ready: AtomicU64,
}

impl Progress {
    pub fn new(workers: usize, publishers: usize) -> Self {
        Progress {
            workers: (0..workers).map(|_| WorkerProgress::default()).collect(),
            delivered: (0..publishers).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The sum of a counter over all workers.
    pub fn sum(&self, counter: impl Fn(&WorkerProgress) -> &AtomicU64) -> u64 {
        let each = self.workers.iter();
        each.map(|worker| counter(worker).load(Ordering::Relaxed))
            .sum()
    }

    /// The worst p99 of the last interval.
    pub fn p99_ns(&self) -> u64 {
        let each = self.workers.iter();
        each.map(|worker| worker.p99_ns.load(Ordering::Relaxed))
            .max()
            .unwrap_or(0)
    }
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

    /// Messages a delivery of which counts as an operation, on average, for each publish.
    pub fn fanout_mean(&self) -> f64 {
        let sum: u64 = self
            .streams
            .iter()
            .map(|stream| u64::from(stream.fanout))
            .sum();
        sum as f64 / (self.streams.len().max(1)) as f64
    }
}

/// Half of the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Subscribers,
    Publishers,
}

/// When a connection counts as an operation of the workload's own, and what then ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timed {
    /// Not at all.
    No,
    /// With CONNACK, or SUBACK if it subscribes.
    Ready,
    /// With the last message that it waits for.
    Goal,
}

/// Connects (and subscribes) a group.
#[derive(Clone, Copy, Debug)]
pub struct Open {
    pub group: Group,
    /// The first connection is due then.
    pub start_ns: u64,
    /// Connections a second of all workers together; `None`: as fast as they are taken, some at a time.
    pub rate: Option<f64>,
    /// Messages that each subscriber waits for; 0: none.
    pub goal: u32,
    pub timed: Timed,
}

/// How messages are paced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Open loop, evenly: messages a second of all publishers together.
    Constant(f64),
    /// Open loop, with exponential gaps.
    Poisson(f64, u64),
    /// A publisher keeps so many messages outstanding: sent and not delivered to all.
    Window(u32),
    /// Open loop, as the bus model has it.
    Bus,
}

/// What is done in a step.
#[derive(Clone, Copy, Debug)]
pub enum Traffic {
    /// Nothing but receiving.
    Receive,
    Publish {
        pace: Pace,
        /// Each publisher ends after so many.
        each_max: Option<u32>,
    },
    /// Clients of a group come, do something and go, again and again.
    Visits {
        group: Group,
        /// Visits a second of all clients together; `None`: each client comes back at once.
        rate: Option<f64>,
        /// Visits of each client; `None`: until the end of the window.
        each_max: Option<u32>,
    },
}

/// A step of the load.
#[derive(Clone, Copy, Debug)]
pub struct StepSpec {
    pub window: Window,
    pub traffic: Traffic,
    /// Whether the time in a message is the start of its delivery's latency.
    pub times_deliveries: bool,
}
