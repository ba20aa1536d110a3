//! Mosquitto's own figures, by the names that it gives them below `$SYS/broker/` (mosquitto(8)): totals and levels of all shards
//! together, and averages. Whoever shows them shows the same ones.

use std::cell::{Cell, RefCell};
use std::fs;
use std::time::{Duration, Instant};

use super::averages::{Average, MINUTES};
use crate::broker::Counters;
use crate::ids::ShardId;
use crate::shard::Shared;

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

/// See the module.
pub(super) struct Totals {
    loads: RefCell<Vec<Average>>,
    /// Averages are known: somebody has them updated.
    has_loads: Cell<bool>,
    /// Clients connected at once, as far as seen.
    clients_maximum: Cell<u64>,
    started: Instant,
}

impl Totals {
    /// The time up begins.
    pub(super) fn new() -> Totals {
        Totals {
            loads: RefCell::new(vec![Average::default(); LOADS.len()]),
            has_loads: Cell::new(false),
            clients_maximum: Cell::new(0),
            started: Instant::now(),
        }
    }

    /// Looks at how many clients are connected: the maximum is that of these looks, or that of a single shard, which
    /// counts its own exactly.
    pub(super) fn sample(&self, shared: &Shared) {
        let mut connected = 0;
        let mut most = self.clients_maximum.get();
        for shard in 0..shared.shards() {
            let counters = shared.board(ShardId(shard)).counters();
            connected += counters.clients_connected;
            most = most.max(counters.clients_maximum);
        }
        self.clients_maximum.set(most.max(connected));
    }

    /// Whole seconds since the start.
    pub(super) fn uptime_s(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// Totals and levels by their names, the most clients as of the last look, and the memory of the process.
    pub(super) fn values(&self, counters: &Counters) -> Vec<(&'static str, u64)> {
        let totals = TOTALS.iter().map(|(name, value)| (*name, value(counters)));
        let most = ("clients/maximum", self.clients_maximum.get());
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let heap = HEAP.iter().filter_map(|(name, field)| {
            let bytes = status_bytes(&status, field)?;
            Some((*name, bytes))
        });
        totals.chain([most]).chain(heap).collect()
    }

    /// The averages by their names, `interval` after the last call.
    pub(super) fn loads(&self, counters: &Counters, interval: Duration) -> Vec<(String, f64)> {
        for ((_, value), load) in LOADS.iter().zip(&mut *self.loads.borrow_mut()) {
            load.update(value(counters), interval.as_secs_f64());
        }
        self.has_loads.set(true);
        self.last_loads()
    }

    /// The averages as of the last call; none where nobody has them updated.
    pub(super) fn last_loads(&self) -> Vec<(String, f64)> {
        let mut all = Vec::new();
        let loads = self.loads.borrow();
        for ((name, _), load) in LOADS.iter().zip(&*loads).filter(|_| self.has_loads.get()) {
            for (average, minutes) in load.averages().into_iter().zip(MINUTES) {
                all.push((format!("load/{name}/{minutes}min"), average));
            }
        }
        all
    }
}

/// A field of /proc/self/status, which the kernel gives in units of 1024 bytes.
pub(super) fn status_bytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let number = line.strip_prefix(':')?.split_whitespace().next()?;
    number.parse::<u64>().ok()?.checked_mul(1024)
}
