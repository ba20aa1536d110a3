//! Another shard says something.

use crate::broker::Broker;
use crate::broker::delivery::outgoing::Outgoing;
use crate::broker::mesh_message::MeshMessage;
use crate::ids::ShardId;

impl Broker {
    /// Whether a message of another shard is to be taken now. Else it stays where it is, and so do all behind it: the one
    /// before it has to wait for those of others, or the turn is full.
    #[inline]
    pub fn takes_from(&self, from: ShardId) -> bool {
        !self.is_turn_full() && self.ordering.is_open_to(from)
    }

    /// Whether much waits in front of the mesh on this shard.
    #[inline]
    pub fn on_congestion(&mut self, is_congested: bool) {
        self.ordering.set_congested(is_congested);
    }

    /// A message from another shard has come: handled when its turn is.
    pub fn on_mesh(&mut self, now_ms: u64, from: ShardId, message: MeshMessage) {
        let own = self.clients.desk.shard;
        if let Some(message) = self.ordering.admit(from, own, message) {
            self.on_mesh_message(now_ms, from, message);
            self.ordering.note_handled(from);
        }
        if self.ordering.holds() {
            self.release_held(now_ms);
        }
        self.end_event(now_ms);
    }

    /// What need not wait any more is handled, until the turn is full.
    fn release_held(&mut self, now_ms: u64) {
        let own = self.clients.desk.shard;
        while let Some((from, message)) = self.ordering.release(own, self.is_turn_full()) {
            self.on_mesh_message(now_ms, from, message);
            self.ordering.note_handled(from);
        }
    }

    /// Messages that the last turn was too full for.
    pub(in crate::broker) fn release_in_turn(&mut self, now_ms: u64) {
        if self.ordering.is_cut() {
            self.begin_mesh();
            self.release_held(now_ms);
        }
    }

    fn on_mesh_message(&mut self, now_ms: u64, from: ShardId, message: MeshMessage) {
        match message {
            MeshMessage::Publish {
                message,
                retain_seq,
            } => {
                if message.retain {
                    self.note_remote_retained(from, &message.topic, retain_seq);
                }
                self.route(now_ms, &mut Outgoing::shared(&message, now_ms), Some(from));
            }
            MeshMessage::Interest {
                filter,
                wanted: true,
                durable,
                ticket,
            } => self.on_interest(from, &filter, durable, ticket),
            MeshMessage::Interest { filter, .. } => self.on_disinterest(from, &filter),
            MeshMessage::InterestAck { ticket, stored } => {
                self.on_interest_ack(now_ms, from, ticket, &stored)
            }
            MeshMessage::RetainStore {
                message,
                seq,
                promised,
            } => self.on_retain_store(now_ms, from, message, seq, promised),
            MeshMessage::Ordered(ordered) => self.on_ordered(now_ms, from, ordered),
            MeshMessage::Relayed(ordered) => self.on_relayed(now_ms, from, &ordered),
            MeshMessage::PassedOn { count, sent } => {
                let (desk, peers) = (&mut self.clients.desk, &mut self.clients.peers);
                let passed_on = (count, &*sent);
                (self.ordering).on_passed_on(desk, &mut peers.next_turn, from, passed_on);
            }
            MeshMessage::After { .. } => {}
            MeshMessage::RetainAsk(ask) => self.on_retain_ask(from, *ask),
            MeshMessage::RetainAnswer { ticket, promised } => {
                self.on_retain_answer(now_ms, from, ticket, promised)
            }
            MeshMessage::RetainRelease { promised } => self.promises.settle(promised),
            MeshMessage::RetainQuery(query) => self.on_retain_query(now_ms, from, *query),
            MeshMessage::RetainReply(reply) => self.on_retain_reply(now_ms, from, *reply),
            MeshMessage::Shared(message) => self.on_shared(now_ms, from, *message),
            MeshMessage::Shares(message) => self.on_shares(now_ms, from, *message),
            MeshMessage::Look { ticket } => self.looks.note_asker(now_ms, from, ticket),
            MeshMessage::Looked { ticket } => self.looks.note_answer(now_ms, from, ticket),
            MeshMessage::CheckpointMarker { number } => self.on_checkpoint_marker(from, number),
            MeshMessage::Draining { relayed } => self.on_draining(now_ms, relayed),
        }
    }
}
