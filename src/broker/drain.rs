//! How far the end of the broker is.
//!
//! A shard says goodbye to its clients only when every other shard has said that its wills are out (`Draining`, which
//! follows them in order), and then that those are out which it has passed on for others (`ordered`), so that a will
//! reaches subscribers on all shards.

use super::desk::Desk;
use super::mesh_message::MeshMessage;

/// See the module.
#[derive(Default)]
pub(super) struct Drain {
    /// This shard publishes its wills, or has.
    has_begun: bool,
    /// How many other shards have.
    others: u8,
    /// This shard has passed on all that others had published by then.
    has_relayed: bool,
    /// How many other shards have.
    others_relayed: u8,
    /// Goodbyes have been said.
    is_over: bool,
}

impl Drain {
    /// It begins; false if it had before.
    pub(super) fn begin(&mut self) -> bool {
        !std::mem::replace(&mut self.has_begun, true)
    }

    /// Whether it has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Another shard has published its wills, or `relayed` those of all others.
    pub(super) fn note(&mut self, relayed: bool) {
        match relayed {
            false => self.others += 1,
            true => self.others_relayed += 1,
        }
    }

    /// Tells the others what this shard has done, as far as it has. Returns whether goodbyes are to be said now, once.
    pub(super) fn go_on(&mut self, desk: &mut Desk) -> bool {
        let others = desk.shards - 1;
        if !self.has_begun || self.others < others || self.is_over {
            return false;
        }
        if !std::mem::replace(&mut self.has_relayed, true) {
            desk.mesh_all(|| MeshMessage::Draining { relayed: true });
        }
        self.is_over = self.others_relayed >= others;
        self.is_over
    }

    /// Whether goodbyes have been said.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }
}
