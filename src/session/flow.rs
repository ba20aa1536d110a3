//! Towards the client: what is in flight with QoS 1 and 2, and what waits its turn.
//!
//! Invariants: messages leave the queue in the order in which they came (MQTT-4.6.0-6); never more are in flight than
//! the receive maximum allows (MQTT-3.3.4-9); an identifier in use is not given to another message (MQTT-2.2.1-3).

mod dropped;
mod give_way;
mod replace;
mod stuck;
mod waiting;
mod windows;

use std::collections::VecDeque;
use std::sync::Arc;

use self::dropped::Dropped;
use self::stuck::Stuck;
use self::waiting::Waiting;
use self::windows::Windows;
use super::delivery::{Delivery, Origin};
use super::policy::SlowPolicy;
use super::window::{InFlight, Progress};
use crate::limits;
use crate::mqtt::QoS;
use crate::mqtt::message::Message;
use crate::routing::Grant;

/// What the configuration and the client allow.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Messages in flight: the smaller of the receive maximum and `max_inflight_messages`.
    pub in_flight: u16,
    /// Payload bytes in flight; 0 for no bound.
    pub in_flight_bytes: u64,
    /// Messages in the queue; 0 for no bound but the built-in one on bytes.
    pub queued: u32,
    /// Payload bytes in the queue; 0 for the built-in bound.
    pub queued_bytes: u64,
}

/// Whether a message found a place in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Queued {
    /// It did.
    Yes,
    /// It took the place of this older one of its topic.
    Replaced(Arc<Message>),
    /// A bound was reached.
    Full,
}

/// See the module.
#[derive(Default)]
pub struct Flow {
    windows: Windows,
    in_flight_bytes: u64,
    /// What the messages cost that wait or are kept in flight.
    held_bytes: u64,
    waiting: Waiting,
    /// Payload bytes of what waits, retained messages apart: those are references to what is kept anyway.
    queue_bytes: u64,
    /// In flight, but not yet sent again on this connection: there was no room for it so far.
    later: VecDeque<u16>,
    /// QoS 0 messages in the queue that are not retained ones: later ones wait behind them.
    waiting_qos0: u32,
    /// Bytes of memory that have been charged to the account.
    charged: usize,
    /// What is done when too much waits.
    policy: Option<SlowPolicy>,
    /// Messages that were dropped for want of room.
    dropped: Option<Box<Dropped>>,
    /// Whether the oldest message in flight is never acknowledged.
    stuck: Stuck,
    /// Frames up to this one were offered by other rules than hold now: the right to read is asked when one is sent again.
    doubted: u64,
}

impl Flow {
    /// How many messages are in flight.
    #[inline]
    pub fn in_flight(&self) -> usize {
        self.windows.len()
    }

    /// Whether QoS 0 messages have to wait: behind retained ones, or behind other QoS 0 messages that do.
    #[inline]
    pub fn holds_qos0(&self) -> bool {
        self.replaying() > 0 || self.waiting_qos0 > 0
    }

    /// Retained messages that wait: they do not count towards the bound on messages, because they are fetched a page at a time,
    /// and keep QoS 0 messages behind them.
    #[inline]
    pub fn replaying(&self) -> usize {
        self.waiting.replaying()
    }

    /// How many messages wait.
    pub fn queued(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes of memory, without the messages.
    #[inline]
    pub fn memory(&self) -> usize {
        size_of::<Self>()
            + self.windows.memory()
            + self.waiting.memory()
            + self.later.capacity() * size_of::<u16>()
            + self.dropped.as_ref().map_or(0, |_| size_of::<Dropped>())
    }

    /// Whether other memory is used than has been charged.
    #[inline]
    pub fn is_uncharged(&self) -> bool {
        self.memory() != self.charged
    }

    /// Notes that what is used now has been charged; returns what was before.
    pub fn charge(&mut self) -> usize {
        let memory = self.memory();
        std::mem::replace(&mut self.charged, memory)
    }

    /// What has been charged.
    pub fn charged(&self) -> usize {
        self.charged
    }

    /// Bytes that are held for the session: its messages, whoever else holds them, and what refers to them.
    #[inline]
    pub fn weight(&self) -> u64 {
        self.held_bytes + self.charged as u64
    }

    /// Payload bytes of the messages that wait, those of a replay apart.
    pub fn queued_bytes(&self) -> u64 {
        self.queue_bytes
    }

    /// Whether one more message with QoS above 0 may be sent.
    #[inline]
    pub fn has_room(&self, bounds: &Bounds) -> bool {
        self.later.is_empty()
            && self.in_flight() < usize::from(bounds.in_flight)
            && (bounds.in_flight_bytes == 0 || self.in_flight_bytes < bounds.in_flight_bytes)
    }

    /// Whether the shared identifier of this frame is free here.
    #[inline]
    pub fn admits_shared(&mut self, order: u64) -> bool {
        self.windows.admits_shared(order)
    }

    /// Whether a private identifier is free; those in use are left out.
    #[inline]
    pub fn has_id(&mut self) -> bool {
        self.windows.has_id()
    }

    /// The next private identifier, if one is free.
    pub fn next_id(&mut self) -> Option<u16> {
        self.windows.next_id()
    }

    /// A message has been sent with this identifier. `message` is kept where it may have to be sent again.
    #[inline]
    pub fn sent(
        &mut self,
        id: u16,
        order: u64,
        grant: Grant,
        origin: Origin,
        message: Option<Arc<Message>>,
    ) {
        if let Some(message) = &message {
            self.note_copy(message);
        }
        let progress = if grant.qos() == QoS::AtLeastOnce {
            Progress::Puback
        } else {
            Progress::Pubrec
        };
        self.windows.of(id).push(InFlight {
            order,
            message,
            origin,
            grant,
            id,
            progress,
        });
    }

    /// The client is done with this identifier (PUBACK, PUBCOMP, PUBREC with an error).
    #[inline]
    pub fn complete(&mut self, id: u16) -> Option<InFlight> {
        let entry = self.windows.of(id).remove(id)?;
        if let Some(message) = &entry.message {
            self.note_copy_gone(message);
        }
        Some(entry)
    }

    /// A copy of a message in flight is kept.
    #[inline]
    fn note_copy(&mut self, message: &Message) {
        self.in_flight_bytes += message.payload.len() as u64;
        self.held_bytes += message.cost() as u64;
    }

    /// A copy of a message in flight is kept no longer.
    #[inline]
    fn note_copy_gone(&mut self, message: &Message) {
        self.in_flight_bytes -= message.payload.len() as u64;
        self.held_bytes -= message.cost() as u64;
    }

    /// What this identifier waits for.
    #[inline]
    pub fn progress(&mut self, id: u16) -> Option<Progress> {
        self.windows.of(id).get_mut(id).map(|entry| entry.progress)
    }

    /// PUBREC has come: the message is the client's, PUBREL follows. Returns the message, if it was kept.
    pub fn received(&mut self, id: u16) -> Option<Arc<Message>> {
        let entry = self.windows.of(id).get_mut(id)?;
        entry.progress = Progress::Pubcomp;
        let message = entry.message.take();
        if let Some(message) = &message {
            self.note_copy_gone(message);
        }
        message
    }

    /// From here on messages that wait are dealt with like this.
    pub fn set_policy(&mut self, policy: Option<SlowPolicy>) {
        self.policy = policy;
        self.waiting.set_latest(policy == Some(SlowPolicy::Latest));
    }

    /// What is done when too much waits.
    pub fn policy(&self) -> Option<SlowPolicy> {
        self.policy
    }

    /// Puts a message behind the others, or in the place of an older one, if the bounds allow it.
    pub fn enqueue(&mut self, delivery: Delivery, bounds: &Bounds) -> Queued {
        let bytes = delivery.message.payload.len() as u64;
        if delivery.origin != Origin::RETAINED {
            let older = self.waiting.older(&delivery);
            if let Some(place) = older
                && self.may_replace(place, bytes, bounds)
            {
                return self.replace(place, delivery);
            }
            // One that is too large for the place of its older one needs room as any other.
            if older.is_some() || self.is_full(bytes, bounds) {
                return Queued::Full;
            }
        }
        self.note_put(&delivery);
        self.waiting.push(delivery);
        Queued::Yes
    }

    /// Whether a message of so many bytes does not find a place.
    pub fn is_full(&self, bytes: u64, bounds: &Bounds) -> bool {
        let waiting = self.waiting.kept();
        let is_full = bounds.queued > 0 && waiting >= bounds.queued as usize;
        is_full || (self.queue_bytes + bytes > bytes_max(bounds) && waiting > 0)
    }

    /// Other rules hold from here on than those by which all of this was offered. `order` is the last frame's.
    pub fn doubt(&mut self, order: u64) {
        self.doubted = order;
        self.waiting.doubt();
    }

    /// Whether what is next in the queue was offered by other rules.
    #[inline]
    pub fn has_doubted(&self) -> bool {
        self.waiting.is_front_doubted()
    }

    /// Whether a message in flight was offered by other rules.
    pub fn is_doubted(&self, order: u64) -> bool {
        order <= self.doubted
    }

    /// What is next in the queue.
    #[inline]
    pub fn front(&self) -> Option<&Delivery> {
        self.waiting.front()
    }

    /// Takes what is next in the queue.
    pub fn pop(&mut self) -> Option<Delivery> {
        let delivery = self.waiting.pop()?;
        self.note_taken(&delivery);
        Some(delivery)
    }

    /// A message waits.
    fn note_put(&mut self, delivery: &Delivery) {
        self.held_bytes += delivery.message.cost() as u64;
        if delivery.origin != Origin::RETAINED {
            self.waiting_qos0 += u32::from(delivery.grant.is_qos0());
            self.queue_bytes += delivery.message.payload.len() as u64;
        }
    }

    /// A message no longer waits.
    fn note_taken(&mut self, delivery: &Delivery) {
        self.held_bytes -= delivery.message.cost() as u64;
        if delivery.origin != Origin::RETAINED {
            self.waiting_qos0 -= u32::from(delivery.grant.is_qos0());
            self.queue_bytes -= delivery.message.payload.len() as u64;
        }
    }

    /// A new connection: what is in flight is to be sent again, in the order in which it was first sent (MQTT-4.4.0-1,
    /// MQTT-4.6.0-1), by `next_later`. Nothing else with QoS above 0 may be sent before.
    pub fn resend(&mut self) {
        let in_flight = self.windows.iter();
        let mut all: Vec<(u64, u16)> = in_flight.map(|entry| (entry.order, entry.id)).collect();
        all.sort_unstable();
        self.stuck.forget();
        self.later = all.into_iter().map(|(_, id)| id).collect();
    }

    /// Whether something is still to be sent again.
    #[inline]
    pub fn is_resending(&self) -> bool {
        !self.later.is_empty()
    }

    /// The next message to be sent again, as far as the receive maximum of the new connection allows; to be asked for
    /// until there is none, and again whenever one in flight is done.
    pub fn next_later(&mut self, bounds: &Bounds) -> Option<InFlight> {
        while self.in_flight().saturating_sub(self.later.len()) < usize::from(bounds.in_flight) {
            let id = self.later.pop_front()?;
            // It is gone if the client knew it from the last connection and has acknowledged it already.
            if let Some(entry) = self.windows.of(id).get_mut(id) {
                return Some(entry.clone());
            }
        }
        None
    }

    /// Takes out what is in flight with QoS 1 and not acknowledged, for other members of a shared subscription, in the order
    /// in which it was sent: if the session ends, since MQTT-4.8.2-4 keeps it for a client that may return. QoS 2 in flight
    /// stays the client's (MQTT-4.8.2-5).
    pub fn take_shared_in_flight(&mut self) -> Vec<InFlight> {
        let is_others = |entry: &&InFlight| {
            entry.progress == Progress::Puback && entry.origin.group().is_some()
        };
        let others = self.windows.iter().filter(is_others);
        let mut ids: Vec<(u64, u16)> = others.map(|entry| (entry.order, entry.id)).collect();
        ids.sort_unstable();
        let taken = ids.into_iter().filter_map(|(_, id)| self.complete(id));
        taken.collect()
    }

    /// Takes out what waits, with any QoS, for other members of a shared subscription.
    pub fn take_shared_waiting(&mut self) -> Vec<Delivery> {
        let is_others = |delivery: &Delivery| delivery.origin.group().is_some();
        let taken = self.waiting.take_all(is_others);
        for delivery in &taken {
            self.note_taken(delivery);
        }
        taken
    }

    /// Messages that are held here, in flight or waiting.
    pub fn held(&self) -> impl Iterator<Item = &Arc<Message>> {
        let in_flight = self.windows.iter();
        let in_flight = in_flight.filter_map(|entry| entry.message.as_ref());
        in_flight.chain(self.waiting.iter().map(|delivery| &delivery.message))
    }

    /// What is in flight, for checks.
    #[cfg(test)]
    pub fn all_in_flight(&self) -> impl Iterator<Item = &InFlight> {
        self.windows.iter()
    }

    /// What waits, in no order, for checks.
    #[cfg(test)]
    pub fn all_waiting(&self) -> impl Iterator<Item = &Delivery> {
        self.waiting.iter()
    }

    /// Places that the windows have.
    #[cfg(test)]
    pub fn places(&self) -> usize {
        self.windows.places()
    }

    /// Identifiers in flight, for checks.
    pub fn ids(&self) -> impl Iterator<Item = u16> + '_ {
        self.windows.iter().map(|entry| entry.id)
    }

    /// For how many seconds the oldest message in flight is known to have been the oldest: since it was first looked.
    pub fn stuck_for(&mut self, now_s: u32) -> u32 {
        self.stuck.seconds(self.windows.first_order(), now_s)
    }

    /// Whether it is to be said now that it is not acknowledged: once for each.
    pub fn says_stuck(&mut self) -> bool {
        self.stuck.says()
    }

    /// A message has been dropped for want of room.
    #[cold]
    pub fn note_dropped(&mut self, message: &Message) {
        if message.sent.id != 0 {
            self.dropped.get_or_insert_default().note(message);
        }
    }

    /// Whether this message, which is sent again, was dropped.
    pub fn has_dropped(&self, message: &Message) -> bool {
        let dropped = self.dropped.as_ref();
        dropped.is_some_and(|dropped| dropped.has(message))
    }
}

/// Payload bytes that may wait.
fn bytes_max(bounds: &Bounds) -> u64 {
    match bounds.queued_bytes {
        0 => limits::QUEUED_BYTES_MAX,
        max => max,
    }
}
