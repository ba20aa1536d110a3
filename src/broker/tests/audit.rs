//! What a shard holds, counted anew, beside what its accounts say.

use std::sync::Arc;

use crate::broker::Broker;
use crate::budget::Account;
use crate::mqtt::message::Message;

/// What this shard holds, counted anew: for checks against the accounts. The messages that sessions hold are listed, since
/// each is charged once whoever holds it.
pub struct Audit {
    /// By account; what the thread beside the brain holds is not known here.
    pub held: [i64; Account::COUNT],
    /// What the accounts say.
    pub charged: [i64; Account::COUNT],
    /// Where the messages lie that sessions hold, and what they cost.
    pub messages: Vec<(usize, i64)>,
}

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
                + self.checkpoint.memory()
                + self.interests.memory()
                + self.looks.memory()
                + clients.traces.memory()
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
