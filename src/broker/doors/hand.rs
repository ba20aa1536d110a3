//! A message goes to another shard, where something durable may be for it: that is written down before it goes, so that what was on its
//! way when the process ended is done at the next start (`on_restore`).
//!
//! The place of a message is its number among all that the other shard was sent; that shard writes up to which place it has handled them
//! (`on_durable::end_turn`).

use std::sync::Arc;

use crate::broker::clients::Clients;
use crate::ids::ShardId;
use crate::journal::{Errand, Protection, has};
use crate::mqtt::QoS;
use crate::mqtt::message::Message;

impl Clients {
    /// This message was sent to another shard last, and must not be lost.
    #[inline]
    pub(in crate::broker) fn note_handed(
        &mut self,
        to: ShardId,
        errand: Errand,
        message: &Arc<Message>,
    ) {
        let at = self.desk.mesh_sent[to.index()];
        self.note_handed_at((to, at), errand, message);
    }

    /// The same of one that is kept here to be gone on with, where `to` is this shard; with its place.
    pub(in crate::broker) fn note_handed_at(
        &mut self,
        (to, at): (ShardId, u64),
        errand: Errand,
        message: &Arc<Message>,
    ) {
        let is_written = self.sessions.facts().are_written() && has(Protection::HandedWritten);
        if is_written && message.qos != QoS::AtMostOnce {
            self.sessions.tell_handed((to.0, at), errand, message);
        }
    }
}
