//! One client's state (MQTT 5, 4.1): its subscriptions, what is in flight in both directions, what waits, its will.
//!
//! Knows neither sockets nor other clients; never sends anything itself. One shard's thread runs it.

mod alias;
mod delivery;
mod filters;
mod flow;
mod inbound;
mod latest;
mod policy;
mod replay;
#[cfg(test)]
mod tests;
mod window;

pub use alias::{Aliases, InboundAliases, OutboundAliases};
pub use delivery::{Delivery, Origin};
pub use filters::Filters;
pub use flow::{Bounds, Flow, Queued};
pub use inbound::Inbound;
pub use policy::SlowPolicy;
pub use replay::{Replay, Replays, Rest};
pub use window::{InFlight, Progress, SHARED_ID_BIT, SHARED_IDS, Window};

use std::sync::Arc;

use crate::mqtt::message::Message;

/// An expiry interval that never ends (MQTT 5, 3.1.2.11.2).
pub const EXPIRY_NEVER: u32 = u32::MAX;

/// A will (MQTT 5, 3.1.2.5), as CONNECT brought it.
#[derive(Clone, Debug)]
pub struct Will {
    /// What to publish; its expiry counts from when it is published.
    pub message: Arc<Message>,
    /// Seconds that it waits after the connection is lost.
    pub delay_s: u32,
    /// When it is due, in milliseconds; meaningful while the client is away.
    pub due_ms: u64,
    /// Its message expiry interval in seconds.
    pub expiry_s: Option<u32>,
}

impl Will {
    /// Bytes of memory, its own included.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.message.cost()
    }
}

/// A shared subscription of a session.
#[derive(Clone, Debug)]
pub struct SharedSubscription {
    /// The share name.
    pub group: Box<str>,
    /// The filter behind it, with the mount point.
    pub filter: Box<str>,
    /// Nodes by which it made it more what a topic can lead to, when it was subscribed to.
    pub reach: u32,
}

/// What few sessions have, out of the way of those that have not.
#[derive(Default)]
pub struct Rare {
    /// Its shared subscriptions.
    pub shared: Vec<SharedSubscription>,
    /// Whether it has ever left one: then a message may be under way to it that it no longer wants.
    pub has_left: bool,
    /// QoS 2 from the client.
    pub inbound: Inbound,
    /// Subscriptions whose retained messages are still to be fetched; those that have been begun are in front.
    pub replays: Replays,
    /// Bytes of the names and filters of the shared subscriptions.
    pub text_bytes: usize,
}

impl Rare {
    /// Takes the shared subscriptions out.
    pub fn take_shared(&mut self) -> Vec<SharedSubscription> {
        let shared = std::mem::take(&mut self.shared);
        let text = |one: &SharedSubscription| one.group.len() + one.filter.len();
        self.text_bytes -= shared.iter().map(text).sum::<usize>();
        shared
    }

    /// Bytes of memory, its own included.
    pub fn memory(&self) -> usize {
        size_of::<Self>()
            + self.shared.capacity() * size_of::<SharedSubscription>()
            + self.inbound.memory()
            + self.replays.memory()
            + self.text_bytes
    }
}

/// The state of one client.
pub struct Session {
    /// The client identifier.
    pub client_id: Box<str>,
    /// Unique over all shards and sessions of this process: who published, for No Local, and which incarnation of a
    /// session number is meant.
    pub serial: u64,
    /// Seconds that the session outlives its connection; `EXPIRY_NEVER` without end.
    pub expiry_s: u32,
    /// When the client's absence ends the session, in milliseconds; meaningful while it is away.
    pub ends_at_ms: u64,
    /// What it is subscribed to, but for shared subscriptions.
    pub subscriptions: Filters,
    /// What few sessions have; absent while never used.
    pub rare: Option<Box<Rare>>,
    /// QoS 1 and 2 towards the client, and what waits; absent while never used.
    pub flow: Option<Box<Flow>>,
    /// Published unless the client says goodbye.
    pub will: Option<Box<Will>>,
    /// The deadline in the timer heap that is meant for this session, in ticks; 0 for none.
    pub timer_at: u32,
}

impl Session {
    /// A session without any state.
    pub fn new(client_id: Box<str>, serial: u64) -> Self {
        Session {
            client_id,
            serial,
            expiry_s: 0,
            ends_at_ms: u64::MAX,
            subscriptions: Filters::default(),
            rare: None,
            flow: None,
            will: None,
            timer_at: 0,
        }
    }

    /// Bytes of memory beside itself, but for what waits and is in flight.
    pub fn memory(&self) -> usize {
        let will = self.will.as_ref();
        self.client_id.len()
            + self.subscriptions.memory()
            + self.rare.as_ref().map_or(0, |rare| rare.memory())
            + will.map_or(0, |will| will.memory())
    }

    /// Whether it outlives its connection, so that what is in flight has to be kept for another one.
    pub fn is_durable(&self) -> bool {
        self.expiry_s > 0
    }

    /// Whether retained messages are still to be fetched for it.
    #[inline]
    pub fn has_replays(&self) -> bool {
        let rare = self.rare.as_ref();
        rare.is_some_and(|rare| !rare.replays.is_empty())
    }

    /// What few sessions have, made on its first use.
    pub fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// When something is due while the client is away: its will, or the end of the session.
    pub fn next_deadline_ms(&self) -> u64 {
        let will_ms = self.will.as_ref().map_or(u64::MAX, |will| will.due_ms);
        self.ends_at_ms.min(will_ms)
    }
}
