//! Another shard says something.

use crate::broker::Broker;
use crate::broker::delivery::outgoing::Outgoing;
use crate::broker::mesh_message::MeshMessage;
use crate::ids::ShardId;

impl Broker {
    /// A message from another shard is to be handled.
    pub(in crate::broker) fn on_mesh_message(
        &mut self,
        now_ms: u64,
        from: ShardId,
        message: MeshMessage,
    ) {
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
                wanted,
                ticket,
            } => self.on_interest(from, &filter, wanted, ticket),
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
            MeshMessage::PassedOn { count, sent } => self.on_passed_on(from, count, &sent),
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
            MeshMessage::Draining { relayed } => self.on_draining(now_ms, relayed),
        }
    }
}
