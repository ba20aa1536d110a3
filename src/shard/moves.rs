//! Connections on their way from shard to shard: those that leave, and the halves of those that come.
//!
//! Invariant: a ticket pairs at most two halves, and what was paired is forgotten.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::broker::Handover;
use crate::ids::{ConnId, ShardId};
use crate::transport::Transport;

/// A connection that moves away.
enum Departure {
    /// Until nothing of it is in flight.
    Waiting(ShardId, Box<Handover>),
    /// Its `Adopt` is sent, and its socket is under way.
    UnderWay(ShardId, u32),
}

/// What is known of an arriving connection.
pub(super) struct Known {
    /// By the brain that gives it.
    pub handover: Box<Handover>,
    /// What lies between its socket and MQTT.
    pub transport: Option<Box<Transport>>,
}

/// The half of an arriving connection that came first.
enum Half {
    /// The socket's slot.
    Slot(u32),
    /// What is known of it.
    Known(Known),
}

/// What has become of a half that has come.
pub(super) enum Met {
    /// It waits for the other one.
    Waits,
    /// The other one was there: the socket's slot, and what is known.
    Both(u32, Known),
    /// One like it was there, by a fault of the giver: a slot, if it was one.
    Stray(Option<u32>),
}

/// By whom a connection is given, and its ticket there.
pub(super) type Ticket = (ShardId, u32);

/// See the module.
#[derive(Default)]
pub(super) struct Moves {
    giving: HashMap<ConnId, Departure>,
    adoptions: HashMap<Ticket, Half>,
    /// The next ticket of a connection that moves away.
    next_ticket: u32,
}

impl Moves {
    /// Whether no connection leaves or comes.
    pub(super) fn are_none(&self) -> bool {
        self.giving.is_empty() && self.adoptions.is_empty()
    }

    /// Whether half of a connection has come.
    pub(super) fn awaits_halves(&self) -> bool {
        !self.adoptions.is_empty()
    }

    /// A connection is to move away when nothing of it is in flight any more.
    pub(super) fn give(&mut self, conn: ConnId, to: ShardId, handover: Box<Handover>) {
        self.giving.insert(conn, Departure::Waiting(to, handover));
    }

    /// Where bytes go that are still received from a connection that is to move away.
    pub(super) fn received(&mut self, conn: ConnId) -> Option<&mut Vec<u8>> {
        match self.giving.get_mut(&conn)? {
            Departure::Waiting(_, handover) => Some(&mut handover.received),
            Departure::UnderWay(..) => None,
        }
    }

    /// A connection goes now: to whom, and with what.
    pub(super) fn leave(&mut self, conn: ConnId) -> Option<(ShardId, Box<Handover>)> {
        match self.giving.remove(&conn)? {
            Departure::Waiting(to, handover) => Some((to, handover)),
            Departure::UnderWay(..) => None,
        }
    }

    /// It is under way. Returns its ticket.
    pub(super) fn go(&mut self, conn: ConnId, to: ShardId) -> u32 {
        let ticket = self.next_ticket;
        self.next_ticket = ticket.wrapping_add(1);
        self.giving.insert(conn, Departure::UnderWay(to, ticket));
        ticket
    }

    /// It is under way no longer: it has arrived, or cannot. Returns where it was to go, and its ticket.
    pub(super) fn end(&mut self, conn: ConnId) -> Option<Ticket> {
        match self.giving.remove(&conn)? {
            Departure::UnderWay(to, ticket) => Some((to, ticket)),
            Departure::Waiting(..) => None,
        }
    }

    /// The socket of an arriving connection has come.
    pub(super) fn slot_came(&mut self, ticket: Ticket, slot: u32) -> Met {
        match self.adoptions.entry(ticket) {
            Entry::Occupied(half) => match half.remove() {
                Half::Known(known) => Met::Both(slot, known),
                Half::Slot(other) => Met::Stray(Some(other)),
            },
            Entry::Vacant(place) => {
                place.insert(Half::Slot(slot));
                Met::Waits
            }
        }
    }

    /// What is known of an arriving connection has come.
    pub(super) fn known_came(&mut self, ticket: Ticket, known: Known) -> Met {
        match self.adoptions.entry(ticket) {
            Entry::Occupied(half) => match half.remove() {
                Half::Slot(slot) => Met::Both(slot, known),
                Half::Known(_) => Met::Stray(None),
            },
            Entry::Vacant(place) => {
                place.insert(Half::Known(known));
                Met::Waits
            }
        }
    }

    /// The socket will not come. Returns its slot if it has.
    pub(super) fn cancel(&mut self, ticket: Ticket) -> Option<u32> {
        match self.adoptions.remove(&ticket)? {
            Half::Slot(slot) => Some(slot),
            Half::Known(_) => None,
        }
    }
}
