//! `$SYS`: the figures of the broker as retained messages, under Mosquitto's names (mosquitto(8)), and ours below
//! `$SYS/broker/firehose/`: all of a snapshot's, of all shards together and of each under `shard/N/`, and under `store/` what was kept on the disk, and under `memory/` what memory
//! is used for.
//!
//! Where Mosquitto 2.0 differs: its values are gone after 60 seconds without a change (here they stay), an average is
//! only published anew when it has moved by 0.01 (here when its text has changed), and it publishes every
//! `sys_interval` + 1 seconds, from the start on (here more often at the start). Its PUBLISH counts leave out those with QoS 2 and retained ones. Its heap is what it allocated; here it is the memory that the process holds.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use glommio::timer;

use crate::limits;
use crate::mqtt::message::{Holders, Message, NEVER, Sent};
use crate::mqtt::{QoS, Topic};
use crate::shard::{ShardCommand, ShardHandle, Shared};

use super::log::LostLines;
use super::memory::Monitor;
use super::reports::Times;
use super::sample::{Of, Sample};
use super::slowest::{self, Lag};
use super::snapshot::Snapshot;
use super::store::Store;
use super::totals::Totals;

/// The publisher of `$SYS`.
pub(super) struct Sys {
    shared: Arc<Shared>,
    shards: Vec<ShardHandle>,
    memory: Rc<RefCell<Monitor>>,
    store: Store,
    lost: LostLines,
    totals: Rc<Totals>,
    /// What was published last, so that only what has changed is published again.
    last: HashMap<String, String>,
    /// What has changed and is to be published.
    queue: VecDeque<(String, String)>,
}

impl Sys {
    /// For these shards, their memory and store, and the lines of the log that are not where they should be.
    pub(super) fn new(
        shared: Arc<Shared>,
        shards: Vec<ShardHandle>,
        (memory, store): (Rc<RefCell<Monitor>>, Store),
        (totals, lost): (Rc<Totals>, LostLines),
    ) -> Self {
        Sys {
            shared,
            shards,
            memory,
            store,
            lost,
            totals,
            last: HashMap::new(),
            queue: VecDeque::new(),
        }
    }

    /// What never changes.
    pub(super) fn set_constants(&mut self) {
        self.set(
            "version",
            format!("firehose version {}", env!("CARGO_PKG_VERSION")),
        );
    }

    /// Looks at how many clients are connected.
    pub(super) fn sample(&mut self) {
        self.totals.sample(&self.shared);
    }

    /// What changes, as it is now; `interval` after the last call.
    pub(super) fn set_values(&mut self, interval: Duration, times: &[(u8, Times)]) {
        self.sample();
        let snapshot = Snapshot::of_shards(&self.shared, times, &self.lost);
        let snapshot = snapshot.with(self.memory.borrow().samples());
        let store = self.store.look();
        let (of_store, state) = store.unzip();
        let snapshot = snapshot.with(of_store.into_iter().flatten());
        if let Some(state) = state {
            self.set("firehose/store/state", state.into());
        }
        for sample in snapshot.samples() {
            self.set(&name(sample), sample.value.to_string());
        }
        let rung = self.memory.borrow().rung();
        self.set("firehose/memory/rung", rung.name().into());
        let counters = snapshot.counters();
        let uptime = format!("{} seconds", self.totals.uptime_s());
        self.set("uptime", uptime);
        for (name, value) in self.totals.values(counters) {
            self.set(name, value.to_string());
        }
        for (name, average) in self.totals.loads(counters, interval) {
            self.set(&name, format!("{average:.2}"));
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
        Of::Store => format!("firehose/store/{name}"),
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
