//! What a shard hears from the others and tells them: messages of the brain, connections that come, wake-ups.

use crate::ids::ShardId;
use crate::limits;
use crate::uring::{Op, UserData, ops};

use super::message::ShardMessage;
use super::moves::Known;
use super::{Brain, Metric, Shard, ShardError};

impl<B: Brain> Shard<B> {
    /// Sends to another shard; it goes out with the next `flush_mesh`.
    #[inline]
    pub(super) fn send_mesh(&mut self, to: ShardId, message: ShardMessage) {
        if self.mesh.send(to, message) {
            self.metrics.add(Metric::MeshOverflowed, 1);
        }
    }

    /// Handles what has arrived from other shards, for as long as a turn may work. Connections are few beside messages and need all
    /// of the shard: they come after the drain.
    pub(super) fn drain_mesh(&mut self) -> Result<(), ShardError> {
        let mesh = &mut self.mesh;
        mesh.drain(self.now_ms, &mut self.brain, &mut self.overload);
        let mut arrivals = mesh.take_arrivals();
        for (from, message) in arrivals.drain(..) {
            match message {
                ShardMessage::Mesh(message) => self.brain.on_mesh(self.now_ms, from, message),
                ShardMessage::Adopt {
                    ticket,
                    handover,
                    transport,
                } => {
                    let known = Known {
                        handover,
                        transport,
                    };
                    self.on_adopt(from, ticket, known)?;
                }
                ShardMessage::AdoptFailed { ticket } => self.on_adopt_failed(from, ticket)?,
            }
        }
        self.mesh.keep_arrivals(arrivals);
        Ok(())
    }

    /// Publishes what was sent and wakes the shards that sleep.
    pub(super) fn flush_mesh(&mut self) -> Result<(), ShardError> {
        let (sleeping, owed) = self.mesh.flush(self.now_ms);
        for to in sleeping.into_iter().chain(owed) {
            self.wake(to)?;
        }
        Ok(())
    }

    /// A wake-up could not be posted, for want of memory as a rule (io_uring allocates an entry in the target's ring for it). Who
    /// claimed a sleeper is the only one to wake it: this is tried until it succeeds, or the sleeper has ended and has no ring.
    #[cold]
    pub(super) fn on_wake_failed(&mut self, to: ShardId) {
        self.metrics.add(Metric::WakesFailed, 1);
        self.mesh.owe(to, self.now_ms + limits::MESH_POLL_MS);
    }

    fn wake(&mut self, to: ShardId) -> Result<(), ShardError> {
        if let Some(ring) = self.shared.ring(to) {
            self.metrics.add(Metric::Wakes, 1);
            let ours = UserData::new(Op::WakeFailed, 0, u32::from(to.0));
            // SAFETY: names no memory.
            unsafe {
                self.ring
                    .push(&ops::wake(ring, UserData::new(Op::Wake, 0, 0), ours))?
            };
        }
        Ok(())
    }
}
