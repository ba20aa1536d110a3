//! `$SYS`: the counters of all shards as retained messages, under Mosquitto's names (mosquitto(8)).

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::broker::Counters;
use crate::ids::ShardId;
use crate::mqtt::message::{Message, NEVER};
use crate::shard::{ShardCommand, ShardHandle, Shared};

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

/// The publisher of `$SYS`.
pub struct Sys {
    shared: Arc<Shared>,
    shards: Vec<ShardHandle>,
    loads: Vec<Load>,
    /// What was published last, so that only what has changed is published again.
    last: Vec<(String, String)>,
    started: Instant,
}

impl Sys {
    /// For these shards.
    pub fn new(shared: Arc<Shared>, shards: Vec<ShardHandle>) -> Self {
        Sys {
            shared,
            shards,
            loads: vec![Load::default(); LOADS.len()],
            last: Vec::new(),
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

    /// What changes, as it is now; `interval_s` seconds after the last call.
    pub fn publish(&mut self, interval_s: u32) {
        let counters = self.sum();
        self.set(
            "uptime",
            format!("{} seconds", self.started.elapsed().as_secs()),
        );
        for (name, value) in TOTALS {
            self.set(name, value(&counters).to_string());
        }
        if let Some(bytes) = resident_bytes() {
            self.set("heap/current", bytes.to_string());
        }
        for (index, (name, value)) in LOADS.iter().enumerate() {
            self.loads[index].update(value(&counters), f64::from(interval_s));
            for (average, minutes) in self.loads[index].averages().into_iter().zip(MINUTES) {
                self.set(
                    &format!("load/{name}/{minutes}min"),
                    format!("{average:.2}"),
                );
            }
        }
    }

    fn sum(&self) -> Counters {
        let mut total = [0; Counters::COUNT];
        for shard in 0..self.shards.len() {
            let counters = self.shared.board(ShardId(shard as u8)).counters();
            for (total, value) in total.iter_mut().zip(counters.values()) {
                *total += value;
            }
        }
        Counters::from_values(total)
    }

    /// Publishes a value, if it is another than last time.
    fn set(&mut self, name: &str, value: String) {
        match self.last.iter_mut().find(|(known, _)| known == name) {
            Some((_, last)) if *last == value => return,
            Some((_, last)) => last.clone_from(&value),
            None => self.last.push((name.into(), value.clone())),
        }
        let message = Message {
            topic: Bytes::from(format!("$SYS/broker/{name}")),
            payload: Bytes::from(value),
            properties: Bytes::new(),
            qos: 0,
            retain: true,
            expires_at_ms: NEVER,
            origin: 0,
        };
        if let Some(shard) = self.shards.first() {
            // A shard that has no room for it gets the next one.
            let _ = shard.send(ShardCommand::Publish(message));
        }
    }
}

/// Memory that the process holds, as the kernel counts it.
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}
