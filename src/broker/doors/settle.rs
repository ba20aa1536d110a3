//! The end of an event, and of a turn: what is told by its level is brought to its account, and what is short is dealt with.

use crate::broker::Broker;
use crate::broker::effect::CloseHow;
use crate::broker::groups::message::Refusal;
use crate::budget::Account;

impl Broker {
    /// The end of an event: connections that do not take their answers are closed, memory that nobody refers to is free.
    #[inline]
    pub(in crate::broker) fn end_event(&mut self, now_ms: u64) {
        while let Some(conn) = self.clients.peers.overflowing.pop() {
            if self.clients.peers.is_established(conn) {
                self.clients.desk.counters.stalled += 1;
                self.clients
                    .log_end(now_ms, conn, "it does not take its answers");
                self.detach(now_ms, conn, true);
                self.shut(now_ms, conn, CloseHow::Now);
            }
        }
        // Whom a message is offered to next may pass it over as well; it goes around once.
        while !self.clients.passed_over.is_empty() {
            for (session, origin, message) in std::mem::take(&mut self.clients.passed_over) {
                self.return_shared(now_ms, origin, session, message, Refusal::NoRight);
            }
        }
        self.clients.out.settle();
        self.clients.sessions.facts().take_promised();
    }

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
        // A message that is written down has a place in the list even if it does not wait.
        let clients = &mut self.clients;
        clients
            .memory
            .settle_backlog(clients.sessions.backlog_mut());
        let dropped = self.clients.out.take_dropped();
        self.clients.desk.counters.publish_dropped += dropped.messages;
        let outbound = self.clients.out.memory() as u64;
        let tables = self.clients.tables()
            + self.waits.memory()
            + self.held.memory()
            + self.checkpoint.memory()
            + self.interests.memory()
            + self.looks.memory()
            + self.clients.traces.memory()
            + self.ordering.memory();
        self.clients.memory.lease.set(Account::Outbound, outbound);
        if self.clients.sessions.facts().are_written() {
            let room = self.clients.memory.lease.room(Account::Journal);
            self.held.set_pressed(room == 0);
        }
        let before = self.pressure.set_tables(tables);
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
            Account::Journal => self.clients.sessions.journal_bytes() as u64,
            _ => 0,
        };
        self.clients.memory.lease.set(account, level + more);
    }
}
