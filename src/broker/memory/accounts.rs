//! What this shard holds, brought to its accounts: some when it changes, the rest once a turn.
//!
//! A message that waits for many sessions is charged once, with the first of them; what each of them needs to refer to it is
//! charged with its queue.

#[cfg(test)]
use crate::broker::Broker;
use crate::broker::clients::Clients;
use crate::broker::counters::Counters;
use crate::broker::sessions::change::Change;
use crate::budget::{Account, Lease};
use crate::ids::SessionId;
use crate::mqtt::message::Message;

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
