//! What the coordinator says to workers, and what they answer. Both sides see nothing else of each other but
//! `Progress`, which workers write once a turn.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use hdrhistogram::Histogram;

use crate::load::job::{Group, Open, Traffic};
use crate::load::ledger::Balance;
use crate::load::measure::{Meter, Spread, Window};

/// Where a run takes place.
#[derive(Clone, Debug)]
pub struct Place {
    /// The number by which this run's messages are known.
    pub run: u32,
    pub target: SocketAddr,
    /// Local addresses, taken in turn; the kernel chooses when there are none.
    pub sources: Vec<IpAddr>,
    /// What clients speak below MQTT.
    pub wire: super::Wire,
    /// The run's clock starts here.
    pub epoch: Instant,
}

impl Place {
    /// Nanoseconds of the run's clock.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }
}

/// What a worker is to do. Each is answered by `Progress::seen`, and by `busy` as long as it is not done.
#[derive(Debug)]
pub enum Command {
    /// Connects a group; the first connection is due at the time given.
    Open(Open, u64),
    /// Disconnects a group.
    Close(Group),
    /// Begins a step.
    Begin(Window, Traffic),
    /// From the time given on nothing is begun any more: the step, or the opening, ends then.
    Cease(u64),
    /// Ends the step; answered.
    End,
    /// Compares what was seen with what was sent; answered.
    Balance(Arc<Sent>),
    /// Tells what the openings so far took, and forgets it; answered.
    Setup,
    /// Ends the worker; answered.
    Quit,
}

/// What all publishers sent since the run began, by stream.
#[derive(Debug, Default)]
pub struct Sent {
    pub messages: Vec<u32>,
    /// For the bus model, by stream of a publisher: the filters that match it, a bit each.
    pub classes: Vec<u64>,
}

/// A worker's answer.
#[derive(Debug)]
pub enum Reply {
    Ended(Box<StepPart>),
    Balanced(Balance, Received),
    Setup(Box<SetupPart>),
    Quit(Box<QuitPart>),
}

/// A worker's part of a step.
#[derive(Debug)]
pub struct StepPart {
    pub meter: Meter,
    pub spread: Spread,
    /// By stream, since the run began; only this worker's publishers'.
    pub sent: Vec<u32>,
    pub classes: Vec<u64>,
    /// CPU and wall nanoseconds of this thread in the measured part.
    pub cpu_ns: u64,
    pub wall_ns: u64,
    pub connections: u64,
    /// Operations of the workload's own.
    pub operations: u64,
    pub operations_failed: u64,
    /// Messages that were late because the broker did not take those before them.
    pub throttled: u64,
    /// Messages that were due and were never sent, because the broker did not take them or had closed the connection.
    pub unsent: u64,
    /// When the last thing was done, or came.
    pub done_ns: u64,
    /// Published with QoS above 0 and not acknowledged.
    pub unacknowledged: u64,
}

/// What has come since the run began, by what was wrong with it; `delivered` is what was right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    pub delivered: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub unexpected: u64,
    pub corrupt: u64,
    pub refused: u64,
    pub disconnects: u64,
}

impl Received {
    /// Adds another worker's, or takes an earlier state away with `sign` -1.
    pub fn add(&mut self, other: &Received, sign: i64) {
        for (ours, theirs) in [
            (&mut self.delivered, other.delivered),
            (&mut self.duplicated, other.duplicated),
            (&mut self.reordered, other.reordered),
            (&mut self.unexpected, other.unexpected),
            (&mut self.corrupt, other.corrupt),
            (&mut self.refused, other.refused),
            (&mut self.disconnects, other.disconnects),
        ] {
            *ours = ours.saturating_add_signed(theirs as i64 * sign);
        }
    }
}

/// What connecting took.
#[derive(Debug)]
pub struct SetupPart {
    pub connect: Histogram<u64>,
    pub subscribe: Histogram<u64>,
    pub opened: u64,
    pub refused: u64,
    pub failed: u64,
}

/// What is left when a worker ends.
#[derive(Debug, Default)]
pub struct QuitPart {
    /// What went wrong, and how often.
    pub errors: BTreeMap<String, Trouble>,
    /// One for each client that had a goal or visits to make, with its number.
    pub subscribers: Vec<(u32, Times)>,
    pub publishers: Vec<(u32, Times)>,
}

/// Why clients do not come in at all, where that says nothing of the broker under load: what was given does not fit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptOut {
    /// There was no TCP connection.
    Unreached,
    /// The login was refused.
    Login,
    /// TLS or WebSocket came to nothing, or what answered, or closed the connection before CONNACK, spoke no MQTT.
    Wire,
}

/// How often something went wrong, and when: nanoseconds of the run's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub count: u64,
    pub first_ns: u64,
    pub last_ns: u64,
    /// Where it is why clients did not come in.
    pub kept_out: Option<KeptOut>,
}

impl Trouble {
    /// For the first time.
    pub fn at(now_ns: u64) -> Trouble {
        Trouble {
            count: 0,
            first_ns: now_ns,
            last_ns: now_ns,
            kept_out: None,
        }
    }

    /// Adds another worker's.
    pub fn add(&mut self, other: Trouble) {
        self.count += other.count;
        self.first_ns = self.first_ns.min(other.first_ns);
        self.last_ns = self.last_ns.max(other.last_ns);
    }
}

/// When a client began what it had to do, and when it was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Subscriber: the first message. Publisher: before its first connect. 0: not yet.
    pub first_ns: u64,
    /// Subscriber: the message that completed its goal. Publisher: after its last disconnect.
    pub last_ns: u64,
    /// Messages received or published.
    pub messages: u64,
    /// Whether all is done.
    pub complete: bool,
}

/// What workers tell all along, and what a window needs to know of the other side.
#[derive(Debug, Default)]
pub struct Progress {
    pub workers: Vec<WorkerProgress>,
    /// Deliveries, by publisher; counted in windowed steps only.
    pub credits: Vec<AtomicU64>,
}

/// One worker's counters since the start of the run, and its state.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct WorkerProgress {
    /// Commands taken.
    pub seen: AtomicU32,
    /// Whether a command's work goes on.
    pub busy: AtomicBool,
    pub published: AtomicU64,
    /// Deliveries that the published messages are to cause.
    pub expected: AtomicU64,
    pub delivered: AtomicU64,
    pub unacknowledged: AtomicU64,
    /// Connections that are open and subscribed.
    pub ready: AtomicU64,
    /// Connections that have been open and subscribed.
    pub opened: AtomicU64,
    pub failed: AtomicU64,
    /// Of these, for want of somebody who listens, or of a way there.
    pub unreachable: AtomicU64,
    /// Of these, for a login, or a protocol below MQTT, that the broker does not take.
    pub kept_out: AtomicU64,
    pub disconnects: AtomicU64,
    pub p99_ns: AtomicU64,
    /// Counts whatever moves.
    pub moves: AtomicU64,
    /// Whether its thread has ended.
    pub ended: AtomicBool,
}

impl Progress {
    pub fn new(workers: usize, publishers: usize) -> Self {
        Progress {
            workers: (0..workers).map(|_| WorkerProgress::default()).collect(),
            credits: (0..publishers).map(|_| AtomicU64::new(0)).collect(),
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

    /// Whether all workers have taken so many commands and are done with them.
    pub fn is_idle(&self, commands: u32) -> bool {
        self.workers.iter().all(|worker| {
            worker.seen.load(Ordering::Acquire) == commands && !worker.busy.load(Ordering::Acquire)
        })
    }

    /// Whether a worker's thread has ended.
    pub fn any_ended(&self) -> bool {
        let mut each = self.workers.iter();
        each.any(|worker| worker.ended.load(Ordering::Acquire))
    }
}
