//! Towards the client: what is in flight with QoS 1 and 2.
//!
//! Invariants: never more are in flight than the receive maximum allows (MQTT-3.3.4-9); an identifier in use is not given to another
//! message (MQTT-2.2.1-3).

mod give_way;
mod stuck;
mod windows;

use std::collections::VecDeque;
use std::sync::Arc;

use self::stuck::Stuck;
use self::windows::Windows;
use super::bounds::Bounds;
use super::delivery::Origin;
use super::window::{InFlight, Progress};
use crate::mqtt::QoS;
use crate::mqtt::message::Message;
use crate::routing::Grant;

/// See the module.
#[derive(Default)]
pub(crate) struct Flow {
    windows: Windows,
    in_flight_bytes: u64,
    /// What the messages cost that are kept in flight.
    held_bytes: u64,
    /// In flight, but not yet sent again on this connection: there was no room for it so far.
    later: VecDeque<u16>,
    /// Bytes of memory that have been charged to the account.
    charged: usize,
    /// Whether the oldest message in flight is never acknowledged.
    stuck: Stuck,
    /// Frames up to this one were offered by other rules than hold now: the right to read is asked when one is sent again.
    doubted: u64,
}

impl Flow {
    /// How many messages are in flight.
    #[inline]
    pub(crate) fn in_flight(&self) -> usize {
        self.windows.len()
    }

    /// Bytes of memory, without the messages.
    #[inline]
    pub(crate) fn memory(&self) -> usize {
        size_of::<Self>() + self.windows.memory() + self.later.capacity() * size_of::<u16>()
    }

    /// Whether other memory is used than has been charged.
    #[inline]
    pub(crate) fn is_uncharged(&self) -> bool {
        self.memory() != self.charged
    }

    /// Notes that what is used now has been charged; returns what was before.
    pub(crate) fn charge(&mut self) -> usize {
        let memory = self.memory();
        std::mem::replace(&mut self.charged, memory)
    }

    /// What has been charged.
    pub(crate) fn charged(&self) -> usize {
        self.charged
    }

    /// Bytes that are held for the session here: messages, whoever else holds them, and what refers to them.
    #[inline]
    pub(crate) fn weight(&self) -> u64 {
        self.held_bytes + self.charged as u64
    }

    /// Whether one more message with QoS above 0 may be sent.
    #[inline]
    pub(crate) fn has_room(&self, bounds: &Bounds) -> bool {
        self.later.is_empty()
            && self.in_flight() < usize::from(bounds.in_flight)
            && (bounds.in_flight_bytes == 0 || self.in_flight_bytes < bounds.in_flight_bytes)
    }

    /// Whether the shared identifier of this frame is free here.
    #[inline]
    pub(crate) fn admits_shared(&mut self, order: u64) -> bool {
        self.windows.admits_shared(order)
    }

    /// Whether a private identifier is free; those in use are left out.
    #[inline]
    pub(crate) fn has_id(&mut self) -> bool {
        self.windows.has_id()
    }

    /// The next private identifier, if one is free.
    pub(crate) fn next_id(&mut self) -> Option<u16> {
        self.windows.next_id()
    }

    /// Whether what was in flight in another run can be taken up under its identifier; to be asked in the order in which it was
    /// sent.
    pub(crate) fn takes_up(&mut self, id: u16, order: u64) -> bool {
        self.windows.takes_up(id, order)
    }

    /// A message has been sent with this identifier. `message` is kept where it may have to be sent again. Returns whether other
    /// memory is used than has been charged.
    #[inline]
    pub(crate) fn sent(
        &mut self,
        id: u16,
        order: u64,
        grant: Grant,
        origin: Origin,
        message: Option<Arc<Message>>,
    ) -> bool {
        if let Some(message) = &message {
            self.note_copy(message);
        }
        let progress = if grant.qos() == QoS::AtLeastOnce {
            Progress::Puback
        } else {
            Progress::Pubrec
        };
        let window = self.windows.of(id);
        let before = window.memory();
        window.push(InFlight {
            order,
            message,
            origin,
            grant,
            id,
            progress,
        });
        // What else there is was charged by whoever changed it: of a flow that is new nothing has been.
        window.memory() != before || self.charged == 0
    }

    /// An identifier is acknowledged in this way (PUBACK, PUBCOMP, PUBREC with an error). Returns what was in flight, and
    /// whether other memory is used than before. The error is what the identifier waits for instead, if it is in flight.
    #[inline]
    pub(crate) fn acknowledge(
        &mut self,
        id: u16,
        due: Progress,
    ) -> Result<(InFlight, bool), Option<Progress>> {
        let window = self.windows.of(id);
        let before = window.memory();
        let entry = window.take(id, due)?;
        let is_other = window.memory() != before;
        if let Some(message) = &entry.message {
            self.note_copy_gone(message);
        }
        Ok((entry, is_other))
    }

    /// The client is done with this identifier (PUBACK, PUBCOMP, PUBREC with an error).
    #[inline]
    pub(crate) fn complete(&mut self, id: u16) -> Option<InFlight> {
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
    pub(crate) fn progress(&mut self, id: u16) -> Option<Progress> {
        self.windows.of(id).get_mut(id).map(|entry| entry.progress)
    }

    /// PUBREC has come: the message is the client's, PUBREL follows. Returns the order of its frame, and the message, if it was
    /// kept.
    pub(crate) fn received(&mut self, id: u16) -> Option<(u64, Option<Arc<Message>>)> {
        let entry = self.windows.of(id).get_mut(id)?;
        entry.progress = Progress::Pubcomp;
        let order = entry.order;
        let message = entry.message.take();
        if let Some(message) = &message {
            self.note_copy_gone(message);
        }
        Some((order, message))
    }

    /// Other rules hold from here on than those by which all of this was offered. `order` is the last frame's.
    pub(crate) fn doubt(&mut self, order: u64) {
        self.doubted = order;
    }

    /// Whether a message in flight was offered by other rules.
    pub(crate) fn is_doubted(&self, order: u64) -> bool {
        order <= self.doubted
    }

    /// A new connection: what is in flight is to be sent again, in the order in which it was first sent (MQTT-4.4.0-1,
    /// MQTT-4.6.0-1), by `next_later`. Nothing else with QoS above 0 may be sent before.
    pub(crate) fn resend(&mut self) {
        let in_flight = self.windows.iter();
        let mut all: Vec<(u64, u16)> = in_flight.map(|entry| (entry.order, entry.id)).collect();
        all.sort_unstable();
        self.stuck.forget();
        self.later = all.into_iter().map(|(_, id)| id).collect();
    }

    /// Whether something is still to be sent again.
    #[inline]
    pub(crate) fn is_resending(&self) -> bool {
        !self.later.is_empty()
    }

    /// The next message to be sent again, as far as the receive maximum of the new connection allows; to be asked for
    /// until there is none, and again whenever one in flight is done.
    pub(crate) fn next_later(&mut self, bounds: &Bounds) -> Option<InFlight> {
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
    pub(crate) fn take_shared_in_flight(&mut self) -> Vec<InFlight> {
        let is_others = |entry: &&InFlight| {
            entry.progress == Progress::Puback && entry.origin.group().is_some()
        };
        let others = self.windows.iter().filter(is_others);
        let mut ids: Vec<(u64, u16)> = others.map(|entry| (entry.order, entry.id)).collect();
        ids.sort_unstable();
        let taken = ids.into_iter().filter_map(|(_, id)| self.complete(id));
        taken.collect()
    }

    /// Messages that are held here.
    pub(crate) fn held(&self) -> impl Iterator<Item = &Arc<Message>> {
        let in_flight = self.windows.iter();
        in_flight.filter_map(|entry| entry.message.as_ref())
    }

    /// What is in flight.
    pub(crate) fn all_in_flight(&self) -> impl Iterator<Item = &InFlight> {
        self.windows.iter()
    }

    /// Places that the windows have.
    #[cfg(test)]
    pub(crate) fn places(&self) -> usize {
        self.windows.places()
    }

    /// Identifiers in flight, for checks.
    #[cfg(test)]
    pub(crate) fn ids(&self) -> impl Iterator<Item = u16> + '_ {
        self.windows.iter().map(|entry| entry.id)
    }

    /// For how many seconds the oldest message in flight is known to have been the oldest: since it was first looked.
    pub(crate) fn stuck_for(&mut self, now_s: u32) -> u32 {
        self.stuck.seconds(self.windows.first_order(), now_s)
    }

    /// The same without a look: as far as it was looked before.
    pub(crate) fn known_stuck_for(&self, now_s: u32) -> u32 {
        self.stuck.known_seconds(self.windows.first_order(), now_s)
    }

    /// Whether it is to be said now that it is not acknowledged: once for each.
    pub(crate) fn says_stuck(&mut self) -> bool {
        self.stuck.says()
    }
}
