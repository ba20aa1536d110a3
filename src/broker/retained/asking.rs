//! A message that is to be retained on another shard, while there is little room for such messages: its publisher is told
//! that there is none (0x97), or that the message is kept, so the owner of the topic is asked first.
//!
//! The PUBLISH is not handled until the answer is there: its connection is held (`quotas`), and what came of it is kept.
//! Then it is decoded again, finds the verdict and goes on. While there is room nobody asks.
//!
//! Invariants: a connection asks for one message at a time, the first of what is kept of it. After every grant exactly
//! one store with `promised`, or one release, goes to the owner: so what it has promised is what is under way.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::broker::doors::on_publish::is_broker_topic;
use crate::broker::effect::{MeshMessage, RetainAsk};
use crate::broker::outcome::Until;
use crate::broker::retained::replay::topic_hash;
use crate::broker::timers::TICK_MS;
use crate::broker::{Broker, owner_of_topic};
use crate::budget::{Account, Rung};
use crate::ids::{ConnId, ShardId};
use crate::limits;
use crate::mqtt::{Publish, QoS, Version};

/// A question of a connection.
struct Ask {
    ticket: u32,
    /// Tells the message that it is about.
    topic: u64,
    owner: ShardId,
    /// Without an answer until then the message is refused.
    due_ms: u64,
    /// The answer: bytes that were promised, 0 for none.
    promised: Option<u32>,
}

/// See the module.
pub struct Asking {
    by_conn: HashMap<u32, Ask, FixedState>,
    tickets: u32,
    /// Bytes that were promised for the message that is being handled; 0 if nobody was asked about it.
    granted: u32,
    /// Bytes that this shard has promised as an owner.
    promised: u64,
}

impl Default for Asking {
    fn default() -> Self {
        Asking {
            by_conn: HashMap::with_hasher(FixedState::with_seed(0)),
            tickets: 0,
            granted: 0,
            promised: 0,
        }
    }
}

impl Asking {
    /// Bytes that were promised for the message that is being handled, once.
    pub fn take_granted(&mut self) -> u32 {
        std::mem::take(&mut self.granted)
    }

    /// Bytes that others have been promised here.
    pub fn promised(&self) -> u64 {
        self.promised
    }

    /// A promise is kept, or not needed any more.
    pub fn settle(&mut self, promised: u32) {
        self.promised = self.promised.saturating_sub(promised.into());
    }

    /// Whether a connection waits to go on with an answer.
    pub fn is_answered(&self, conn: ConnId) -> bool {
        let ask = self.by_conn.get(&conn.0);
        ask.is_some_and(|ask| ask.promised.is_some())
    }

    /// Whether a connection has asked.
    #[cfg(test)]
    pub fn knows(&self, conn: ConnId) -> bool {
        self.by_conn.contains_key(&conn.0)
    }

    /// Answers have so much longer.
    pub fn put_off(&mut self, ms: u64) {
        for ask in self.by_conn.values_mut() {
            ask.due_ms += ms;
        }
    }

    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        self.by_conn.allocation_size()
    }

    /// Gives memory back after many questions.
    pub fn trim(&mut self) {
        self.by_conn.shrink_to_fit();
    }
}

/// Whether a publisher can be told that its message is not retained, so that it is refused instead of passed on.
pub fn can_be_told(version: Version, publish: &Publish<'_>) -> bool {
    publish.packet_id.is_some() && !publish.payload.is_empty() && version == Version::V5
}

impl Broker {
    /// Until when a message has to wait for what the owner of its topic says, if it has.
    pub(in crate::broker) fn waits_for_owner(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        publish: &Publish<'_>,
        topic: &str,
    ) -> Option<Until> {
        let owner = owner_of_topic(topic, self.clients.desk.shards);
        let version = self.clients.peers.conns[conn.index()].version;
        if owner == self.clients.desk.shard || !can_be_told(version, publish) {
            return None;
        }
        let due_ms = match self.asking.by_conn.get_mut(&conn.0) {
            Some(ask) if ask.topic == topic_hash(topic) => match ask.promised {
                Some(_) => return None,
                None if now_ms >= ask.due_ms => {
                    ask.promised = Some(0);
                    return None;
                }
                None => ask.due_ms,
            },
            // Another one would be of a message that is not routed after all: rights have changed meanwhile.
            _ => {
                self.end_asking(conn, true);
                let cost = self.retained_cost(conn, topic, publish);
                if !self.is_retaining_tight(cost) || !self.is_new_and_allowed(conn, publish, topic)
                {
                    return None;
                }
                self.ask_owner(now_ms, conn, owner, topic, cost)
            }
        };
        Some(Until::Ms(due_ms.max(now_ms + TICK_MS)))
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
    ) -> u64 {
        self.asking.tickets = self.asking.tickets.wrapping_add(1);
        let (ticket, due_ms) = (self.asking.tickets, now_ms + limits::RETAIN_ASK_MS);
        let ask = Ask {
            ticket,
            topic: topic_hash(topic),
            owner,
            due_ms,
            promised: None,
        };
        self.asking.by_conn.insert(conn.0, ask);
        self.clients.desk.counters.retained_asked += 1;
        let question = RetainAsk {
            ticket,
            conn,
            topic: topic.into(),
            cost,
        };
        self.clients
            .desk
            .mesh(owner, MeshMessage::RetainAsk(Box::new(question)));
        due_ms
    }

    /// What the owner has said about the message that is being handled: whether it is refused. `None` if nobody was asked.
    pub(in crate::broker) fn is_refused_by_owner(
        &mut self,
        conn: ConnId,
        topic: &str,
    ) -> Option<bool> {
        if self.asking.by_conn.is_empty() {
            return None;
        }
        let is_it = |ask: &Ask| ask.topic == topic_hash(topic);
        let ask = (self.asking.by_conn.get(&conn.0).is_some_and(is_it))
            .then(|| self.asking.by_conn.remove(&conn.0))
            .flatten()?;
        let promised = ask.promised.unwrap_or(0);
        self.asking.granted = promised;
        Some(promised == 0)
    }

    /// A connection has gone on, or is no more: what was promised for it and is not needed is released.
    pub(in crate::broker) fn end_asking(&mut self, conn: ConnId, is_gone: bool) {
        let is_over = |ask: &Ask| is_gone || ask.promised.is_some();
        if self.asking.by_conn.get(&conn.0).is_some_and(is_over)
            && let Some(ask) = self.asking.by_conn.remove(&conn.0)
        {
            self.release(ask.owner, ask.promised.unwrap_or(0));
        }
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
            conn,
            topic,
            cost,
        } = ask;
        let promised = match self.retained_room(&topic, cost) {
            Some(more) => u32::try_from(more.max(1)).unwrap_or(u32::MAX),
            None => 0,
        };
        self.asking.promised += u64::from(promised);
        let answer = MeshMessage::RetainAnswer {
            ticket,
            conn,
            promised,
        };
        self.clients.desk.mesh(from, answer);
    }

    /// The owner has answered.
    pub(in crate::broker) fn on_retain_answer(
        &mut self,
        now_ms: u64,
        owner: ShardId,
        ticket: u32,
        conn: ConnId,
        promised: u32,
    ) {
        let ask = self.asking.by_conn.get_mut(&conn.0);
        let Some(ask) = ask.filter(|ask| ask.ticket == ticket && ask.promised.is_none()) else {
            // Too late, or its client has gone.
            return self.release(owner, promised);
        };
        ask.promised = Some(promised);
        if self.is_held(conn) {
            self.catch_up(now_ms, conn);
        }
    }
}
