//! What goes through the mesh from shard to shard.

use crate::broker::{Handover, MeshMessage};
use crate::transport::Transport;

/// What goes through the mesh.
#[derive(Debug)]
pub(crate) enum ShardMessage {
    /// From brain to brain.
    Mesh(MeshMessage),
    /// A connection comes; its socket follows or was before.
    Adopt {
        /// Pairs it with its socket.
        ticket: u32,
        /// What is known of it.
        handover: Box<Handover>,
        /// What lies between its socket and MQTT.
        transport: Option<Box<Transport>>,
    },
    /// The socket will not come.
    AdoptFailed {
        /// Of the `Adopt` that was.
        ticket: u32,
    },
}

impl ShardMessage {
    /// Bytes that it holds on its way; the same at both ends. What is small counts for nothing.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        match self {
            ShardMessage::Mesh(message) => message.bytes(),
            ShardMessage::Adopt { handover, .. } => handover.received.len(),
            ShardMessage::AdoptFailed { .. } => 0,
        }
    }
}
