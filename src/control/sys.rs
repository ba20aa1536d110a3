//! `$SYS`: the figures of the broker as retained messages, under Mosquitto's names (mosquitto(8)), and ours below
//! `$SYS/broker/firehose/`: all of a snapshot's, of all shards together and of each under `shard/N/`, and under `memory/` what memory
//! is used for.
//!
//! Where Mosquitto 2.0 differs: its values are gone after 60 seconds without a change (here they stay), an average is
//! only published anew when it has moved by 0.01 (here when its text has changed), and it publishes every
//! `sys_interval` + 1 seconds, from the start on (here more often at the start). Its PUBLISH counts leave out those with QoS 2 and retained ones. Its heap is what it allocated; here it is the memory that the process holds.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::fs;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use glommio::timer;

use crate::broker::{Counters, Lag};
use crate::ids::ShardId;
use crate::limits;
use crate::mqtt::message::{Holders, Message, NEVER, Sent};
use crate::mqtt::{QoS, Topic};
use crate::shard::{ShardCommand, ShardHandle, Shared};

use super::averages::{Average, MINUTES};
use super::log::LostLines;
use super::memory::Monitor;
use super::reports::Turns;
use super::sample::{Of, Sample};
use super::slowest;
use super::snapshot::Snapshot;

/// A name below `$SYS/broker/`, and what it shows.
type Reading = (&'static str, fn(&Counters) -> u64);

/// What `load/` has averages of, by the names behind it.
const LOADS: [Reading; 10] = [
    ("messages/received", |counters| counters.packets_received),
    ("messages/sent", |counters| counters.packets_sent),
    ("publish/received", |counters| counters.publish_received),
    ("publish/sent", |counters| counters.publish_sent),
    ("publish/dropped", |counters| counters.publish_dropped),
    ("bytes/received", |counters| counters.bytes_received),
    ("bytes/sent", |counters| counters.bytes_sent),
    ("sockets", |counters| counters.connections_accepted),
    ("connections", |counters| counters.connects_accepted),
    ("errors", |counters| counters.protocol_errors),
];

/// Levels and totals, by the names that Mosquitto gives them.
const TOTALS: [Reading; 21] = [
    ("clients/total", |counters| {
        counters.clients_connected + counters.clients_disconnected
    }),
    ("clients/connected", |counters| counters.clients_connected),
    ("clients/active", |counters| counters.clients_connected),
    ("clients/disconnected", |counters| {
        counters.clients_disconnected
    }),
    ("clients/inactive", |counters| counters.clients_disconnected),
    ("clients/expired", |counters| counters.clients_expired),
    ("messages/received", |counters| counters.packets_received),
    ("messages/sent", |counters| counters.packets_sent),
    ("messages/stored", |counters| {
        counters.stored_messages + counters.retained_messages
    }),
    ("store/messages/count", |counters| {
        counters.stored_messages + counters.retained_messages
    }),
    ("store/messages/bytes", |counters| {
        counters.stored_bytes + counters.retained_bytes
    }),
    ("retained messages/count", |counters| {
        counters.retained_messages
    }),
    ("subscriptions/count", |counters| counters.subscriptions),
    ("shared_subscriptions/count", |counters| {
        counters.shared_subscriptions
    }),
    ("publish/messages/received", |counters| {
        counters.publish_received
    }),
    ("publish/messages/sent", |counters| counters.publish_sent),
    ("publish/messages/dropped", |counters| {
        counters.publish_dropped
    }),
    ("publish/bytes/received", |counters| {
        counters.publish_bytes_received
    }),
    ("publish/bytes/sent", |counters| counters.publish_bytes_sent),
    ("bytes/received", |counters| counters.bytes_received),
    ("bytes/sent", |counters| counters.bytes_sent),
];

/// The memory that the process holds now and has held at most, by the kernel's names: there is no count of the heap
/// alone that costs nothing.
const HEAP: [(&str, &str); 2] = [("heap/current", "VmRSS"), ("heap/maximum", "VmHWM")];

/// The publisher of `$SYS`.
pub(super) struct Sys {
    shared: Arc<Shared>,
    shards: Vec<ShardHandle>,
    memory: Rc<RefCell<Monitor>>,
    lost: LostLines,
    loads: Vec<Average>,
    /// What was published last, so that only what has changed is published again.
    last: HashMap<String, String>,
    /// What has changed and is to be published.
    queue: VecDeque<(String, String)>,
    /// Clients connected at once, as far as seen.
    clients_maximum: u64,
    started: Instant,
}

impl Sys {
    /// For these shards, their memory, and the lines of the log that are not where they should be.
    pub(super) fn new(
        shared: Arc<Shared>,
        shards: Vec<ShardHandle>,
        memory: Rc<RefCell<Monitor>>,
        lost: LostLines,
    ) -> Self {
        Sys {
            shared,
            shards,
            memory,
            lost,
            loads: vec![Average::default(); LOADS.len()],
            last: HashMap::new(),
            queue: VecDeque::new(),
            clients_maximum: 0,
            started: Instant::now(),
        }
    }

    /// What never changes.
    pub(super) fn set_constants(&mut self) {
        self.set(
            "version",
            format!("firehose version {}", env!("CARGO_PKG_VERSION")),
        );
    }

    /// Looks at how many clients are connected: the maximum is that of these looks, or that of a single shard, which
    /// counts its own exactly.
    pub(super) fn sample(&mut self) {
        let mut connected = 0;
        for shard in 0..self.shared.shards() {
            let counters = self.shared.board(ShardId(shard)).counters();
            connected += counters.clients_connected;
            self.clients_maximum = self.clients_maximum.max(counters.clients_maximum);
        }
        self.clients_maximum = self.clients_maximum.max(connected);
    }

    /// What changes, as it is now; `interval` after the last call.
    pub(super) fn set_values(&mut self, interval: Duration, turns: &[(u8, Turns)]) {
        self.sample();
        let snapshot = Snapshot::of_shards(&self.shared, turns, &self.lost);
        let snapshot = snapshot.with(self.memory.borrow().samples());
        for sample in snapshot.samples() {
            self.set(&name(sample), sample.value.to_string());
        }
        let rung = self.memory.borrow().rung();
        self.set("firehose/memory/rung", rung.name().into());
        let counters = snapshot.counters();
        self.set(
            "uptime",
            format!("{} seconds", self.started.elapsed().as_secs()),
        );
        for (name, value) in TOTALS {
            self.set(name, value(counters).to_string());
        }
        self.set("clients/maximum", self.clients_maximum.to_string());
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        for (name, field) in HEAP {
            if let Some(bytes) = status_bytes(&status, field) {
                self.set(name, bytes.to_string());
            }
        }
        for (index, (name, value)) in LOADS.iter().enumerate() {
            self.loads[index].update(value(counters), interval.as_secs_f64());
            for (average, minutes) in self.loads[index].averages().into_iter().zip(MINUTES) {
                self.set(
                    &format!("load/{name}/{minutes}min"),
                    format!("{average:.2}"),
                );
            }
        }
    }

    /// The clients that lag most.
    pub(super) fn set_slowest(&mut self, lags: &[Lag]) {
        for (name, value) in slowest::values(lags) {
            // Nothing is published about ranks that nobody has had.
            if !value.is_empty() || self.last.contains_key(&name) {
                self.set(&name, value);
            }
        }
    }

    /// Lines a value up for publication, if it is another than last time.
    fn set(&mut self, name: &str, value: String) {
        if self.last.get(name) != Some(&value) {
            self.queue.push_back((name.into(), value));
        }
    }

    /// Publishes what is lined up, a few at a time: there are some for each shard, and one shard publishes all of
    /// them, so that they keep their order.
    pub(super) async fn publish(&mut self) {
        let mut batch = 0;
        while let Some((name, value)) = self.queue.pop_front() {
            if batch == limits::SYS_BATCH {
                batch = 0;
                timer::sleep(Duration::from_millis(limits::SYS_BATCH_PAUSE_MS)).await;
            }
            let Some(message) = message(&name, &value) else {
                continue; // names are topic names, all of them the broker's own
            };
            batch += 1;
            let command = ShardCommand::Publish(Box::new(message));
            let sent = self.shards.first().map(|shard| shard.send(command));
            if !matches!(sent, Some(Ok(()))) {
                // What it does not take now is tried again next time, with newer values.
                self.queue.clear();
                return;
            }
            self.last.insert(name, value);
        }
    }
}

/// Where a figure stands below `$SYS/broker/`.
fn name(sample: &Sample) -> String {
    let name = sample.figure.name;
    match sample.of {
        Of::Broker => format!("firehose/{name}"),
        Of::Shard(shard) => format!("firehose/shard/{shard}/{name}"),
        Of::Memory => format!("firehose/memory/{name}"),
        Of::Account(account) => format!("firehose/memory/account/{}/{name}", account.name()),
        Of::Rung(rung) => format!("firehose/memory/rung/{}/{name}", rung.name()),
    }
}

/// As Mosquitto publishes it: retained, QoS 2.
fn message(name: &str, value: &str) -> Option<Message> {
    Some(Message {
        topic: Topic::new(format!("$SYS/broker/{name}"))?,
        payload: Bytes::copy_from_slice(value.as_bytes()),
        properties: Bytes::new(),
        qos: QoS::ExactlyOnce,
        retain: true,
        expires_at_ms: NEVER,
        origin: 0,
        author: None,
        sent: Sent::default(),
        holders: Holders::default(),
    })
}

/// A field of /proc/self/status, which the kernel gives in units of 1024 bytes.
pub(super) fn status_bytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let number = line.strip_prefix(':')?.split_whitespace().next()?;
    number.parse::<u64>().ok()?.checked_mul(1024)
}
