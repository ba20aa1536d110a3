//! Room for a retained message on another shard: asked for, promised there, taken or given back (`retained::asking`).

use crate::broker::Broker;
use crate::broker::mesh_message::{MeshMessage, RetainAsk};
use crate::broker::outcome::Outcome;
use crate::broker::placement::{is_broker_topic, owner_of_topic, topic_number};
use crate::broker::retained::asking::{RoomAsked, can_be_told};
use crate::broker::waits::{Then, WaitOf};
use crate::budget::{Account, Rung};
use crate::ids::{ConnId, ShardId};
use crate::limits;
use crate::mqtt::{Publish, QoS};

impl Broker {
    /// Whether a message has to wait for what the owner of its topic says.
    pub(in crate::broker) fn waits_for_owner(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        publish: &Publish<'_>,
        topic: &str,
    ) -> Option<Outcome> {
        let owner = owner_of_topic(topic, self.clients.desk.shards);
        let version = self.clients.peers.conns[conn.index()].version();
        if owner == self.clients.desk.shard || !can_be_told(version, publish) {
            return None;
        }
        if let Some((ticket, Then::Publish(asked))) = self.waits.of_conn(conn) {
            if asked.topic == topic_number(topic) {
                return match asked.promised {
                    Some(_) => None,
                    None => Some(Outcome::Wait(ticket)),
                };
            }
            // It was of a message that is not routed after all: rights have changed meanwhile.
            self.free_from_wait(conn);
        }
        let cost = self.retained_cost(conn, topic, publish);
        if !self.is_retaining_tight(cost) || !self.is_new_and_allowed(conn, publish, topic) {
            return None;
        }
        let ticket = self.ask_owner(now_ms, conn, owner, topic, cost);
        Some(Outcome::Wait(ticket))
    }

    /// Whether an owner may have no room for a message: what is free is little beside what may be under way.
    fn is_retaining_tight(&self, cost: usize) -> bool {
        let lease = &self.clients.memory.lease;
        let margin = lease.pool().limit(Account::Retained) / limits::RETAIN_ASK_DIVISOR;
        let free = lease.pool().free(Account::Retained);
        lease.rung() >= Rung::Refuse || free < (margin + cost as u64) as i64
    }

    /// Whether a message would be routed if it were handled now.
    fn is_new_and_allowed(&mut self, conn: ConnId, publish: &Publish<'_>, topic: &str) -> bool {
        let Some(session) = self.clients.peers.session_of(conn) else {
            return false;
        };
        let entry = self.clients.sessions.get(session);
        let inbound = entry.and_then(|entry| entry.inbound());
        let is_known = publish.qos == QoS::ExactlyOnce
            && inbound
                .zip(publish.packet_id)
                .is_some_and(|(inbound, id)| inbound.contains(id.get()));
        !is_known && !is_broker_topic(topic) && self.clients.sessions.may_write(session, topic)
    }

    fn ask_owner(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        owner: ShardId,
        topic: &str,
        cost: usize,
    ) -> u32 {
        let asked = RoomAsked {
            topic: topic_number(topic),
            owner,
            promised: None,
        };
        let ticket = self.waits.open(WaitOf::Conn(conn), Then::Publish(asked));
        self.waits.end_at(ticket, now_ms + limits::RETAIN_ASK_MS);
        self.clients.desk.counters.retained_asked += 1;
        let topic = topic.into();
        let question = RetainAsk {
            ticket,
            topic,
            cost,
        };
        self.clients
            .desk
            .mesh(owner, MeshMessage::RetainAsk(Box::new(question)));
        ticket
    }

    /// Whether the message that a connection waits with has been answered for.
    pub(in crate::broker) fn has_verdict(&mut self, conn: ConnId) -> bool {
        match self.waits.of_conn(conn) {
            Some((_, Then::Publish(asked))) => asked.promised.is_some(),
            _ => false,
        }
    }

    /// What the owner has said about the message that is being handled: whether it is refused. `None` if nobody was asked.
    pub(in crate::broker) fn is_refused_by_owner(
        &mut self,
        conn: ConnId,
        topic: &str,
    ) -> Option<bool> {
        match self.waits.of_conn(conn)? {
            (_, Then::Publish(asked)) if asked.topic == topic_number(topic) => {}
            _ => return None,
        }
        let asked = self.waits.free(&mut self.clients.memory.lease, conn);
        let promised = match asked {
            Some(Then::Publish(asked)) => asked.promised.unwrap_or(0),
            _ => 0,
        };
        self.promises.grant(promised);
        Some(promised == 0)
    }

    /// A connection has gone on: what was promised for it and is not needed is released.
    pub(in crate::broker) fn end_verdict(&mut self, conn: ConnId) {
        if self.has_verdict(conn) {
            self.free_from_wait(conn);
        }
    }

    /// What was asked is not needed any more; a promise that is still to come finds nobody.
    pub(in crate::broker) fn release_room(&mut self, asked: RoomAsked) {
        self.release(asked.owner, asked.promised.unwrap_or(0));
    }

    fn release(&mut self, owner: ShardId, promised: u32) {
        if promised > 0 {
            self.clients
                .desk
                .mesh(owner, MeshMessage::RetainRelease { promised });
        }
    }

    /// Another shard asks whether there is room for a message. What is granted is promised until it comes.
    pub(in crate::broker) fn on_retain_ask(&mut self, from: ShardId, ask: RetainAsk) {
        let RetainAsk {
            ticket,
            topic,
            cost,
        } = ask;
        let promised = match self.retained_room(&topic, cost) {
            Some(more) => u32::try_from(more.max(1)).unwrap_or(u32::MAX),
            None => 0,
        };
        self.promises.promise(promised);
        let answer = MeshMessage::RetainAnswer { ticket, promised };
        self.clients.desk.mesh(from, answer);
    }

    /// The owner has answered.
    pub(in crate::broker) fn on_retain_answer(
        &mut self,
        now_ms: u64,
        owner: ShardId,
        ticket: u32,
        promised: u32,
    ) {
        match (self.waits.conn_of(ticket), self.waits.then(ticket)) {
            (Some(conn), Some(Then::Publish(asked))) if asked.promised.is_none() => {
                asked.promised = Some(promised);
                self.go_on_waiting(now_ms, conn);
            }
            // Too late, or its client has gone.
            _ => self.release(owner, promised),
        }
    }
}
