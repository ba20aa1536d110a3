//! What this shard holds, brought to its accounts: some when it changes, the rest once a turn.
//!
//! A message that waits for many sessions, or is in flight to them, is charged once, with the first of them. Of those that wait the
//! shard's list knows what is to be charged (`session/backlog.rs`); what each session needs to refer to them is charged with its
//! queue.

use std::sync::Arc;

#[cfg(test)]
use crate::broker::Broker;
use crate::broker::clients::Clients;
use crate::broker::counters::Counters;
use crate::broker::sessions::change::Change;
use crate::budget::{Account, Lease};
use crate::ids::SessionId;
use crate::mqtt::message::Message;
use crate::session::{Origin, Queue, Session};

/// A session keeps a message in flight from here on.
#[inline]
pub fn store(lease: &mut Lease, counters: &mut Counters, message: &Message) {
    let cost = message.cost() as u64;
    counters.stored_messages += 1;
    counters.stored_bytes += cost;
    if message.holders.enter() {
        lease.force(Account::Backlog, cost);
    }
}

impl Clients {
    /// A session no longer keeps a message in flight.
    pub fn unstore(&mut self, message: &Message) {
        let cost = message.cost() as u64;
        self.desk.counters.stored_messages -= 1;
        self.desk.counters.stored_bytes -= cost;
        if message.holders.leave() {
            self.memory.lease.give(Account::Backlog, cost);
        }
    }

    /// One more message waits for a session.
    #[inline]
    pub fn note_waits(&mut self, message: &Message) {
        self.desk.counters.stored_messages += 1;
        self.desk.counters.stored_bytes += message.cost() as u64;
        self.settle_backlog();
    }

    /// A message no longer waits for a session.
    pub fn note_waits_no_longer(&mut self, message: &Message) {
        self.desk.counters.stored_messages -= 1;
        self.desk.counters.stored_bytes -= message.cost() as u64;
        self.settle_backlog();
    }

    /// Charges what the list of messages that wait has come to since the last time.
    #[inline]
    fn settle_backlog(&mut self) {
        match self.sessions.backlog_mut().take_owed() {
            0 => {}
            more @ 1.. => self.memory.lease.force(Account::Backlog, more as u64),
            less => (self.memory.lease).give(Account::Backlog, less.unsigned_abs()),
        }
    }

    /// Takes out what a session has for other members of its shared subscriptions: what waits, and if it `ends` what is in flight
    /// with QoS 1.
    pub fn take_shared(&mut self, session: SessionId, ends: bool) -> Vec<(Origin, Arc<Message>)> {
        let mut taken = Vec::new();
        let entry = self.sessions.change(session).filter(|_| ends);
        let in_flight = entry.map(|mut entry| entry.take_shared_in_flight());
        for one in in_flight.unwrap_or_default() {
            if let Some(message) = one.message {
                self.unstore(&message);
                taken.push((one.origin, message));
            }
        }
        let entry = self.sessions.change(session);
        let waiting = entry.map(|mut entry| entry.take_shared_waiting());
        for one in waiting.unwrap_or_default() {
            self.note_waits_no_longer(&one.message);
            taken.push((one.origin, one.message));
        }
        self.charge_flow_of(session);
        taken
    }

    /// A session is no more: what it held is held for it no longer.
    pub fn release(&mut self, session: &Session, queue: Option<Box<Queue>>) {
        let mut charged = 0;
        if let Some(flow) = session.flow() {
            for message in flow.held() {
                self.unstore(message);
            }
            charged += flow.charged();
        }
        if let Some(mut queue) = queue {
            while let Some(one) = queue.pop(self.sessions.backlog_mut()) {
                self.note_waits_no_longer(&one.message);
            }
            charged += queue.charged();
        }
        self.memory.lease.give(Account::Backlog, charged as u64);
    }

    /// Charges what a session's windows and queue take now.
    pub fn charge_flow_of(&mut self, session: SessionId) {
        if let Some(mut entry) = self.sessions.change(session) {
            entry.charge(&mut self.memory.lease);
        }
    }

    /// Changes what a session holds besides messages, and charges the difference.
    pub fn change_session<R>(
        &mut self,
        session: SessionId,
        change: impl FnOnce(&mut Change<'_>) -> R,
    ) -> Option<R> {
        let mut entry = self.sessions.change(session)?;
        let before = entry.memory();
        let result = change(&mut entry);
        let after = entry.memory();
        self.memory
            .lease
            .change(Account::Connections, before, after);
        Some(result)
    }

    /// Bytes of the tables of connections and sessions.
    pub fn tables(&self) -> usize {
        self.peers.memory()
            + self.sessions.memory()
            + self.desk.timers.memory()
            + self.memory.shares.memory()
    }
}

/// What this shard holds, counted anew: for checks against the accounts. The messages that sessions hold are listed, since
/// each is charged once whoever holds it.
#[cfg(test)]
pub struct Audit {
    /// By account; what the thread beside the brain holds is not known here.
    pub held: [i64; Account::COUNT],
    /// What the accounts say.
    pub charged: [i64; Account::COUNT],
    /// Where the messages lie that sessions hold, and what they cost.
    pub messages: Vec<(usize, i64)>,
}

#[cfg(test)]
impl Broker {
    pub fn audit(&self) -> Audit {
        let clients = &self.clients;
        let mut held = [0; Account::COUNT];
        let mut messages = Vec::new();
        let backlog = clients.sessions.backlog();
        let mut references = std::collections::BTreeMap::new();
        let mut add = |account: Account, bytes: usize| held[account as usize] += bytes as i64;
        for conn in clients.peers.conns.iter() {
            add(
                Account::Packets,
                conn.partial.as_ref().map_or(0, |partial| partial.memory()),
            );
            add(
                Account::Connections,
                conn.aliases.as_ref().map_or(0, |aliases| aliases.memory()),
            );
        }
        add(Account::Packets, self.waits.held(Account::Packets));
        for (id, session) in clients.sessions.iter() {
            add(Account::Connections, session.memory());
            let place =
                |message: &Arc<Message>| (Arc::as_ptr(message) as usize, message.cost() as i64);
            if let Some(flow) = session.flow() {
                add(Account::Backlog, flow.memory());
                messages.extend(flow.held().map(place));
            }
            if let Some(queue) = clients.sessions.queue(id) {
                add(Account::Backlog, queue.memory());
                messages.extend(queue.iter(backlog).map(place));
                for position in queue.positions() {
                    *references.entry(position).or_default() += 1;
                }
            }
        }
        assert!(
            backlog.references().eq(references),
            "what waits is referred to"
        );
        add(Account::Backlog, backlog.counted());
        add(Account::Connections, self.waits.held(Account::Connections));
        add(
            Account::Connections,
            clients.tables()
                + self.waits.memory()
                + self.held.memory()
                + self.interests.memory()
                + self.looks.memory()
                + self.ordering.memory(),
        );
        add(Account::Outbound, clients.out.memory());
        add(
            Account::Subscriptions,
            self.routing.subscriptions.memory()
                + self.routing.groups.memory()
                + self.routing.guests.memory(),
        );
        add(
            Account::Retained,
            self.routing.retained.memory() + self.routing.retained.bytes(),
        );
        Audit {
            held,
            charged: Account::ALL.map(|account| clients.memory.lease.held(account)),
            messages,
        }
    }
}
