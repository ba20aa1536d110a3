//! One client's state (MQTT 5, 4.1): its subscriptions, what is in flight in both directions, what waits, its will.
//!
//! Knows neither sockets nor other clients; never sends anything itself. One shard's thread runs it.

mod alias;
mod backlog;
mod bounds;
mod delivery;
mod filters;
mod flow;
mod inbound;
mod policy;
mod presence;
mod queue;
mod rare;
mod replay;
#[cfg(test)]
mod tests;
mod will;
mod window;

pub(crate) use alias::Aliases;
pub(crate) use backlog::Backlog;
pub(crate) use bounds::Bounds;
pub(crate) use delivery::{Delivery, Origin, Way};
pub(crate) use filters::Filters;
pub(crate) use flow::Flow;
pub(crate) use inbound::Inbound;
pub(crate) use policy::SlowPolicy;
pub(crate) use queue::{Queue, Queued, Waiting};
pub(crate) use rare::SharedSubscription;
pub(crate) use replay::{Replay, Rest};
pub(crate) use will::Will;
pub(crate) use window::{InFlight, Progress, SHARED_ID_BIT, SHARED_IDS, shared_id};

use self::presence::Presence;
use self::rare::Rare;
use crate::routing::FilterId;

/// An expiry interval that never ends (MQTT 5, 3.1.2.11.2).
pub(crate) const EXPIRY_NEVER: u32 = u32::MAX;

/// The state of one client, but for what waits for it, which few have ([`Queue`]).
pub(crate) struct Session {
    client_id: Box<str>,
    serial: u64,
    expiry_s: u32,
    presence: Presence,
    subscriptions: Filters,
    /// Absent while never used.
    rare: Option<Box<Rare>>,
    /// Absent while never used.
    flow: Option<Box<Flow>>,
    will: Option<Box<Will>>,
    timer_at: u32,
}

impl Session {
    /// A session without any state. The serial is unique over all shards and sessions of this process: who published, for
    /// No Local, and which incarnation of a session number is meant.
    pub(crate) fn new(client_id: Box<str>, serial: u64) -> Self {
        Session {
            client_id,
            serial,
            expiry_s: 0,
            presence: Presence::away(u64::MAX),
            subscriptions: Filters::default(),
            rare: None,
            flow: None,
            will: None,
            timer_at: 0,
        }
    }

    /// The client identifier.
    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// What no other session of this process has had.
    #[inline]
    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }

    /// Bytes of memory beside itself, but for what waits and is in flight.
    pub(crate) fn memory(&self) -> usize {
        let will = self.will.as_ref();
        self.client_id.len()
            + self.subscriptions.memory()
            + self.rare.as_ref().map_or(0, |rare| rare.memory())
            + will.map_or(0, |will| will.memory())
    }

    /// Seconds that the session outlives its connection; `EXPIRY_NEVER` without end.
    pub(crate) fn expiry_s(&self) -> u32 {
        self.expiry_s
    }

    /// Whether it outlives its connection, so that what is in flight has to be kept for another one.
    #[inline]
    pub(crate) fn is_durable(&self) -> bool {
        self.expiry_s > 0
    }

    /// From here on the session outlives its connection by so many seconds.
    pub(crate) fn set_expiry(&mut self, expiry_s: u32) {
        self.expiry_s = expiry_s;
    }

    /// When the client's absence ends the session, in milliseconds; `u64::MAX` for never, and while the client is there.
    pub(crate) fn ends_at_ms(&self) -> u64 {
        self.presence.ends_at_ms()
    }

    /// Since when its client is there, in milliseconds; `None` while it is away.
    pub(crate) fn since_ms(&self) -> Option<u64> {
        self.presence.since_ms()
    }

    /// The client is there from this moment on, in milliseconds: nothing ends the session.
    pub(crate) fn begin_presence(&mut self, now_ms: u64) {
        self.presence = Presence::here(now_ms);
    }

    /// The client is away: when that ends the session, and when its will is due, in milliseconds.
    pub(crate) fn begin_absence(&mut self, ends_at_ms: u64, will_due_ms: u64) {
        self.presence = Presence::away(ends_at_ms);
        if let Some(will) = &mut self.will {
            will.due_ms = will_due_ms;
        }
    }

    /// When something is due while the client is away: its will, or the end of the session.
    pub(crate) fn next_deadline_ms(&self) -> u64 {
        let will_ms = self.will.as_ref().map_or(u64::MAX, |will| will.due_ms);
        self.ends_at_ms().min(will_ms)
    }

    /// The deadline in the timer heap that is meant for this session, in ticks; 0 for none.
    pub(crate) fn timer_at(&self) -> u32 {
        self.timer_at
    }

    /// Another deadline in the timer heap is meant.
    pub(crate) fn set_timer(&mut self, at: u32) {
        self.timer_at = at;
    }

    /// Published unless the client says goodbye.
    pub(crate) fn will(&self) -> Option<&Will> {
        self.will.as_deref()
    }

    /// The will that CONNECT brought, in the place of another.
    pub(crate) fn set_will(&mut self, will: Box<Will>) {
        self.will = Some(will);
    }

    /// Takes the will out.
    pub(crate) fn take_will(&mut self) -> Option<Box<Will>> {
        self.will.take()
    }

    /// What it is subscribed to, but for shared subscriptions.
    pub(crate) fn subscriptions(&self) -> &[FilterId] {
        self.subscriptions.as_slice()
    }

    /// It has subscribed to one more filter.
    pub(crate) fn subscribe(&mut self, filter: FilterId) {
        self.subscriptions.push(filter);
    }

    /// It has unsubscribed from a filter, which is this text: what has been begun of its replay ends (MQTT-3.10.4-2).
    pub(crate) fn unsubscribe(&mut self, filter: FilterId, text: &str) {
        self.subscriptions.remove(filter);
        if let Some(rare) = &mut self.rare {
            rare.replays.end(text);
        }
    }

    /// Its shared subscriptions.
    pub(crate) fn shared(&self) -> &[SharedSubscription] {
        self.rare.as_ref().map_or(&[], |rare| rare.shared())
    }

    /// Whether it has ever left a shared subscription: then a message may be under way to it that it no longer wants.
    pub(crate) fn has_left_shared(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.has_left())
    }

    /// It has joined a shared subscription; false if it is a member.
    pub(crate) fn join_shared(&mut self, subscription: SharedSubscription) -> bool {
        self.rare.get_or_insert_default().join(subscription)
    }

    /// It leaves the shared subscription of which this holds.
    pub(crate) fn leave_shared(
        &mut self,
        is_it: impl FnMut(&SharedSubscription) -> bool,
    ) -> Option<SharedSubscription> {
        self.rare.as_mut()?.leave(is_it)
    }

    /// It leaves all its shared subscriptions.
    pub(crate) fn leave_all_shared(&mut self) -> Vec<SharedSubscription> {
        let rare = self.rare.as_mut();
        rare.map(|rare| rare.leave_all()).unwrap_or_default()
    }

    /// QoS 2 from the client; `None` while never used.
    pub(crate) fn inbound(&self) -> Option<&Inbound> {
        self.rare.as_ref().map(|rare| &rare.inbound)
    }

    /// The identifier of a QoS 2 message is kept until PUBREL; returns how many bytes of memory that takes.
    pub(crate) fn store_inbound(&mut self, id: u16) -> usize {
        let before = match &self.rare {
            Some(rare) => rare.inbound.memory(),
            None => 0,
        };
        let made = match self.rare {
            Some(_) => 0,
            None => size_of::<Rare>(),
        };
        let inbound = &mut self.rare.get_or_insert_default().inbound;
        inbound.insert(id);
        made + inbound.memory() - before
    }

    /// PUBREL has come: forgets the identifier; false if it was not there.
    pub(crate) fn release_inbound(&mut self, id: u16) -> bool {
        let rare = self.rare.as_mut();
        rare.is_some_and(|rare| rare.inbound.remove(id))
    }

    /// How many subscriptions wait for their retained messages.
    #[inline]
    pub(crate) fn replays(&self) -> usize {
        self.rare.as_ref().map_or(0, |rare| rare.replays.len())
    }

    /// Whether retained messages are still to be fetched for it.
    #[inline]
    pub(crate) fn has_replays(&self) -> bool {
        self.replays() > 0
    }

    /// Whether the next replay has been begun.
    pub(crate) fn has_begun_replay(&self) -> bool {
        let rare = self.rare.as_ref();
        rare.is_some_and(|rare| rare.replays.is_begun())
    }

    /// One more subscription waits for its retained messages: behind the others, or, if it has been begun, before them.
    pub(crate) fn await_replay(&mut self, replay: Replay) {
        let replays = &mut self.rare.get_or_insert_default().replays;
        match replay.rest {
            None => replays.push(replay),
            Some(_) => replays.push_begun(replay),
        }
    }

    /// Takes the next subscription that waits for its retained messages.
    pub(crate) fn next_replay(&mut self) -> Option<Replay> {
        self.rare.as_mut()?.replays.pop()
    }

    /// QoS 1 and 2 towards the client; `None` while never used.
    #[inline]
    pub(crate) fn flow(&self) -> Option<&Flow> {
        self.flow.as_deref()
    }

    /// The same, to be changed.
    #[inline]
    pub(crate) fn flow_mut(&mut self) -> Option<&mut Flow> {
        self.flow.as_deref_mut()
    }

    /// The same, made on its first use.
    #[inline]
    pub(crate) fn flow_made(&mut self) -> &mut Flow {
        self.flow.get_or_insert_default()
    }

    /// What is done when too much waits.
    pub(crate) fn policy(&self) -> Option<SlowPolicy> {
        self.rare.as_ref()?.policy
    }

    /// From here on messages that wait are dealt with like this.
    pub(crate) fn set_policy(&mut self, policy: Option<SlowPolicy>) {
        if policy != self.policy() {
            self.rare.get_or_insert_default().policy = policy;
        }
    }
}
