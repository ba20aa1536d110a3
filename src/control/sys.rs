//! `$SYS`: the counters of all shards as retained messages, under Mosquitto's names (mosquitto(8)).

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::broker::Counters;
use crate::ids::ShardId;
use crate::mqtt::message::{Message, NEVER};
use crate::shard::{Metric, ShardCommand, ShardHandle, Shared};

use super::load::{Load, MINUTES};

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
const TOTALS: [Reading; 25] = [
    ("clients/total", |counters| {
        counters.clients_connected + counters.clients_disconnected
    }),
    ("clients/connected", |counters| counters.clients_connected),
    ("clients/active", |counters| counters.clients_connected),
    ("clients/disconnected", |counters| {
        counters.clients_disconnected
    }),
    ("clients/inactive", |counters| counters.clients_disconnected),
    ("clients/maximum", |counters| counters.clients_maximum),
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
    ("firehose/protocol_errors", |counters| {
        counters.protocol_errors
    }),
    ("firehose/stalled", |counters| counters.stalled),
    ("firehose/outbound_bytes", |counters| {
        counters.outbound_bytes
    }),
];

/// The memory that the process holds now and has held at most, by the kernel's names: there is no count of the heap
/// alone that costs nothing.
const HEAP: [(&str, &str); 2] = [("heap/current", "VmRSS"), ("heap/maximum", "VmHWM")];

/// The publisher of `$SYS`.
pub struct Sys {
    shared: Arc<Shared>,
    shards: Vec<ShardHandle>,
    loads: Vec<Load>,
    /// What was published last, so that only what has changed is published again.
    last: HashMap<String, String>,
    started: Instant,
}

impl Sys {
    /// For these shards.
    pub fn new(shared: Arc<Shared>, shards: Vec<ShardHandle>) -> Self {
        Sys {
            shared,
            shards,
            loads: vec![Load::default(); LOADS.len()],
            last: HashMap::new(),
            started: Instant::now(),
        }
    }

    /// What never changes.
    pub fn publish_constants(&mut self) {
        self.set(
            "version",
            format!("firehose version {}", env!("CARGO_PKG_VERSION")),
        );
    }

    /// What changes, as it is now; `interval` after the last call.
    pub fn publish(&mut self, interval: Duration) {
        let (counters, log_dropped) = self.sum();
        self.set(
            "uptime",
            format!("{} seconds", self.started.elapsed().as_secs()),
        );
        for (name, value) in TOTALS {
            self.set(name, value(&counters).to_string());
        }
        self.set("firehose/log_dropped", log_dropped.to_string());
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        for (name, field) in HEAP {
            if let Some(bytes) = status_bytes(&status, field) {
                self.set(name, bytes.to_string());
            }
        }
        for (index, (name, value)) in LOADS.iter().enumerate() {
            self.loads[index].update(value(&counters), interval.as_secs_f64());
            for (average, minutes) in self.loads[index].averages().into_iter().zip(MINUTES) {
                self.set(
                    &format!("load/{name}/{minutes}min"),
                    format!("{average:.2}"),
                );
            }
        }
    }

    /// The counters of all shards, and the log lines that they have dropped. Of a level's maximum it is the sum of
    /// maxima that may not have been reached at the same time: never too low.
    fn sum(&self) -> (Counters, u64) {
        let mut total = [0; Counters::COUNT];
        let mut log_dropped = 0;
        for shard in 0..self.shared.shards() {
            let board = self.shared.board(ShardId(shard));
            for (total, value) in total.iter_mut().zip(board.counters().values()) {
                *total += value;
            }
            log_dropped += board.metrics().get(Metric::LogDropped);
        }
        (Counters::from_values(total), log_dropped)
    }

    /// Publishes a value, if it is another than last time.
    fn set(&mut self, name: &str, value: String) {
        if self.last.get(name) == Some(&value) {
            return;
        }
        let message = Message {
            topic: Bytes::from(format!("$SYS/broker/{name}")),
            payload: Bytes::from(value.clone()),
            properties: Bytes::new(),
            qos: 0,
            retain: true,
            expires_at_ms: NEVER,
            origin: 0,
        };
        // All by one shard, so that they keep their order. What it does not take now is tried again next time.
        let shard = self.shards.first();
        if shard.is_some_and(|shard| shard.send(ShardCommand::Publish(message)).is_ok()) {
            self.last.insert(name.into(), value);
        }
    }
}

/// A field of /proc/self/status, which the kernel gives in units of 1024 bytes.
pub(super) fn status_bytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let number = line.strip_prefix(':')?.split_whitespace().next()?;
    number.parse::<u64>().ok()?.checked_mul(1024)
}
