//! What this shard holds, brought to its accounts: some when it changes, the rest once a turn.
//!
//! A message that waits for many sessions is charged once, with the first of them; what each of them needs to refer to it is
//! charged with its queue.

use crate::broker::clients::Clients;
use crate::broker::counters::Counters;
use crate::broker::doors::on_subscribe::is_plain;
use crate::broker::interest::requested::RequestedFilter;
use crate::broker::retained::asking::can_be_told;
use crate::broker::sessions::change::Change;
use crate::broker::{Broker, owner_of_topic};
use crate::budget::{Account, Lease, Party, Rung};
use crate::ids::{ConnId, SessionId};
use crate::limits;
use crate::mqtt::message::Message;
use crate::mqtt::{Connect, Publish};

/// A session holds a message from here on.
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
    /// A session no longer holds a message.
    pub fn unstore(&mut self, message: &Message) {
        let cost = message.cost() as u64;
        self.desk.counters.stored_messages -= 1;
        self.desk.counters.stored_bytes -= cost;
        if message.holders.leave() {
            self.memory.lease.give(Account::Backlog, cost);
        }
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

impl Broker {
    /// The end of a turn: what is told by its level is brought to its account, and what is short is dealt with. True if
    /// free memory is to be given back to the system now.
    pub fn settle(&mut self, now_ms: u64) -> bool {
        self.charge_levels();
        self.begin_turn();
        let rung = self.clients.memory.lease.rung();
        match rung != self.pressure.rung() || now_ms >= self.pressure.next_look_ms() {
            true => self.look(now_ms, rung),
            false => false,
        }
    }

    /// Brings levels to their accounts.
    pub(in crate::broker) fn charge_levels(&mut self) {
        let dropped = self.clients.out.take_dropped();
        self.clients.desk.counters.publish_dropped += dropped.messages;
        let outbound = self.clients.out.memory() as u64;
        let tables = self.clients.tables()
            + self.waits.memory()
            + self.held.memory()
            + self.interests.memory()
            + self.looks.memory()
            + self.ordering.memory();
        self.clients.memory.lease.set(Account::Outbound, outbound);
        let before = std::mem::replace(&mut self.pressure.tables, tables);
        self.clients
            .memory
            .lease
            .change(Account::Connections, before, tables);
        self.charge_subscriptions();
        self.charge_retained();
    }

    /// To be called when they have changed and the answer matters at once.
    pub(in crate::broker) fn charge_subscriptions(&mut self) {
        let level = self.routing.subscriptions.memory()
            + self.routing.groups.memory()
            + self.routing.guests.memory();
        self.clients
            .memory
            .lease
            .set(Account::Subscriptions, level as u64);
    }

    /// To be called when they have changed and the answer matters at once.
    pub(in crate::broker) fn charge_retained(&mut self) {
        let level = self.routing.retained.memory() + self.routing.retained.bytes();
        self.clients
            .memory
            .lease
            .set(Account::Retained, level as u64);
    }

    /// Somebody beside the brain holds so many bytes of an account now, on this shard.
    pub fn charge(&mut self, account: Account, level: u64) {
        // What has come from other shards and waits here is on its way still.
        let more = match account {
            Account::Mesh => self.ordering.held_bytes() + self.offers.bytes(),
            _ => 0,
        };
        self.clients.memory.lease.set(account, level + more);
    }

    /// Whether memory is too short for a client that wants to come in.
    pub(in crate::broker) fn is_short_for_connect(&self, connect: &Connect<'_>) -> bool {
        let will = connect.will.as_ref();
        let will_bytes = will.map_or(0, |will| will.topic.len() + will.payload.len());
        let bytes = (connect.client_id.len() + will_bytes) as u64 + limits::CONNECTION_BYTES;
        let lease = &self.clients.memory.lease;
        lease.rung() >= Rung::Refuse
            || !lease.has_room(Account::Connections, bytes)
            || !lease.has_room(Account::Sockets, limits::SOCKET_BYTES)
    }

    /// Whether a message is not accepted because there is no memory to retain it. Only who can be told is refused: the
    /// messages of others are passed on, and not retained. Where another shard owns the topic, it decides (`asking`).
    pub(in crate::broker) fn is_short_to_retain(
        &self,
        conn: ConnId,
        publish: &Publish<'_>,
        topic: &str,
    ) -> bool {
        let cost = self.retained_cost(conn, topic, publish);
        can_be_told(self.clients.peers.conns[conn.index()].version, publish)
            && owner_of_topic(topic, self.clients.desk.shards) == self.clients.desk.shard
            && self.retained_room(topic, cost).is_none()
    }

    /// Whether memory is too short for a new filter of a session. What is left at the end is for plain filters of those who have
    /// few, and the last of it for users who have proved their name: strangers, however many, leave that.
    pub(in crate::broker) fn is_short_for_filter(
        &mut self,
        session: SessionId,
        requested: &RequestedFilter<'_>,
    ) -> bool {
        let filter = requested.text();
        let (own, shared) = self.subscriptions_of(session);
        let is_modest = is_plain(filter) && own + shared < limits::MATCH_RESERVE_SUBSCRIPTIONS;
        let is_user = matches!(self.clients.memory.shares.party(session), Party::User(_));
        let lease = &self.clients.memory.lease;
        let part = lease.pool().limit(Account::Subscriptions) / limits::SUBSCRIPTIONS_PART_DIVISOR;
        let left = part * (u64::from(!is_modest) + u64::from(!is_user));
        let bytes = 2 * filter.len() as u64 + limits::SUBSCRIPTION_BYTES + left;
        lease.rung() >= Rung::Refuse || !lease.has_room(Account::Subscriptions, bytes)
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
        for (_, session) in clients.sessions.iter() {
            add(Account::Connections, session.memory());
            let Some(flow) = session.flow() else { continue };
            add(Account::Backlog, flow.memory());
            let place =
                |message: &std::sync::Arc<Message>| std::sync::Arc::as_ptr(message) as usize;
            messages.extend(
                flow.held()
                    .map(|message| (place(message), message.cost() as i64)),
            );
        }
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
