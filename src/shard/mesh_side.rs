//! The shard's side of the mesh: what finds a ring full waits here, in order, until there is room (the mesh wakes the
//! shard for that).

use std::collections::VecDeque;
use std::time::Instant;

use crate::ids::ShardId;
use crate::limits;
use crate::mesh::{Port, ShardSet};
use crate::uring::{Op, UserData, ops};

use super::handover::ShardMessage;
use super::{Brain, Metric, Shard, ShardError};

/// The port and what waits in front of it.
pub(super) struct MeshSide {
    port: Port<ShardMessage>,
    /// By target.
    waiting: Box<[VecDeque<ShardMessage>]>,
    /// Over all targets.
    waiting_len: usize,
    /// Bytes of the messages that wait.
    waiting_bytes: usize,
    /// Bytes of those in the rings that nobody has taken, as of the last look, and of those sent since.
    ring_bytes: usize,
    /// Bytes of both from which on no more input should be taken.
    bytes_max: u64,
    /// Shards that sleep on messages because a wake-up of theirs has failed: nobody else wakes them.
    owed: ShardSet,
    /// When that is tried again.
    owed_at_ms: u64,
    /// Whose messages are taken first in the next turn.
    first: u8,
}

impl MeshSide {
    pub(super) fn new(port: Port<ShardMessage>, shards: u8, bytes_max: u64) -> Self {
        MeshSide {
            port,
            waiting: (0..shards).map(|_| VecDeque::new()).collect(),
            waiting_len: 0,
            waiting_bytes: 0,
            ring_bytes: 0,
            bytes_max,
            owed: ShardSet::EMPTY,
            owed_at_ms: 0,
            first: 0,
        }
    }

    /// Messages that wait, over all targets.
    pub(super) fn waiting(&self) -> usize {
        self.waiting_len
    }

    /// Whether so much waits that no more input should be taken.
    #[inline]
    pub(super) fn congested(&self) -> bool {
        self.waiting_len > limits::MESH_WAITING_MAX || self.bytes() > self.bytes_max
    }

    /// Bytes of messages on their way to other shards: in front of the rings and in them.
    #[inline]
    pub(super) fn bytes(&self) -> u64 {
        (self.waiting_bytes + self.ring_bytes) as u64
    }

    /// Looks what the others have taken.
    #[inline]
    fn look(&mut self) {
        if self.ring_bytes > 0 {
            self.ring_bytes = self.port.bytes();
        }
    }

    /// Sends, or lets wait; true when it has to wait.
    #[inline]
    fn send(&mut self, to: ShardId, message: ShardMessage) -> bool {
        let bytes = message.bytes();
        let waiting = &mut self.waiting[to.index()];
        let message = match waiting.is_empty() {
            true => match self.port.send_bytes(to, message, bytes) {
                Ok(()) => {
                    self.ring_bytes += bytes;
                    return false;
                }
                Err(message) => message,
            },
            false => message,
        };
        waiting.push_back(message);
        self.waiting_len += 1;
        self.waiting_bytes += bytes;
        true
    }

    /// Sends what waits, as far as there is room.
    fn retry(&mut self) {
        if self.waiting_len == 0 {
            return;
        }
        for (index, waiting) in self.waiting.iter_mut().enumerate() {
            while let Some(message) = waiting.pop_front() {
                let bytes = message.bytes();
                let to = ShardId(index as u8);
                if let Err(message) = self.port.send_bytes(to, message, bytes) {
                    waiting.push_front(message);
                    break;
                }
                self.waiting_len -= 1;
                self.waiting_bytes -= bytes;
                self.ring_bytes += bytes;
            }
        }
    }

    /// Gives back the memory of a queue that was long.
    pub(super) fn shrink(&mut self) {
        for waiting in &mut self.waiting {
            waiting.shrink_to_fit();
        }
    }

    /// When a wake-up that has failed is to be tried again.
    pub(super) fn owed_at_ms(&self) -> Option<u64> {
        (!self.owed.is_empty()).then_some(self.owed_at_ms)
    }

    /// Announces that the shard is about to sleep; false when it must not, because something has arrived from a shard that it
    /// takes something of.
    pub(super) fn prepare_sleep(&mut self, takes_from: impl Fn(ShardId) -> bool) -> bool {
        self.port.prepare_sleep_on(takes_from)
    }

    /// Takes the announcement back.
    pub(super) fn awake(&mut self) {
        self.port.awake();
    }
}

impl<B: Brain> Shard<B> {
    /// Sends to another shard; it goes out with the next `flush_mesh`.
    #[inline]
    pub(super) fn send_mesh(&mut self, to: ShardId, message: ShardMessage) {
        if self.mesh.send(to, message) {
            self.metrics.add(Metric::MeshOverflowed, 1);
        }
    }

    /// Handles what has arrived from other shards, a slice of each at a time, for as long as a turn may work. Who was not heard
    /// for want of time, or because the turn was full, is heard first in the next turn.
    pub(super) fn drain_mesh(&mut self) -> Result<(), ShardError> {
        let now_ms = self.now_ms;
        let brain = &mut self.brain;
        brain.begin_mesh();
        // Connections are few beside messages and need all of `self`: they are kept for after the drain.
        let arrivals = &mut self.arrivals;
        let mesh = &mut self.mesh;
        let shards = mesh.waiting.len();
        let (mut unlooked, mut is_timed) = (0, false);
        'turn: for _ in 0..limits::MESH_DRAIN_MAX / limits::MESH_DRAIN_SLICE {
            let (first, mut count) = (usize::from(mesh.first), 0);
            for step in 0..shards {
                let from = ShardId(((first + step) % shards) as u8);
                if !brain.takes_from(from) {
                    continue;
                }
                let taken = mesh
                    .port
                    .drain_from(from, limits::MESH_DRAIN_SLICE, |message| {
                        let bytes = message.bytes();
                        match message {
                            ShardMessage::Mesh(message) => brain.on_mesh(now_ms, from, message),
                            other => arrivals.push((from, other)),
                        }
                        (bytes, brain.takes_from(from))
                    });
                (count, unlooked) = (count + taken, unlooked + taken);
                if taken > 0 && !brain.takes_from(from) {
                    mesh.first = ((usize::from(from.0) + 1) % shards) as u8;
                }
                if unlooked < limits::MESH_DRAIN_SLICE {
                    continue;
                }
                unlooked = 0;
                if !std::mem::replace(&mut is_timed, true) {
                    self.overload.begin(Instant::now());
                } else if self.overload.look() {
                    self.overload.leave();
                    mesh.first = ((usize::from(from.0) + 1) % shards) as u8;
                    break 'turn;
                }
            }
            if count < limits::MESH_DRAIN_SLICE {
                break;
            }
        }
        if self.arrivals.is_empty() {
            return Ok(());
        }
        let mut arrivals = std::mem::take(&mut self.arrivals);
        for (from, message) in arrivals.drain(..) {
            match message {
                ShardMessage::Mesh(message) => self.brain.on_mesh(self.now_ms, from, message),
                ShardMessage::Adopt {
                    ticket,
                    handover,
                    transport,
                } => self.on_adopt(from, ticket, handover, transport)?,
                ShardMessage::AdoptFailed { ticket } => self.on_adopt_failed(from, ticket)?,
            }
        }
        self.arrivals = arrivals;
        Ok(())
    }

    /// Publishes what was sent and wakes the shards that sleep.
    pub(super) fn flush_mesh(&mut self) -> Result<(), ShardError> {
        self.mesh.retry();
        self.mesh.look();
        for to in self.mesh.port.flush() {
            self.wake(to)?;
        }
        if self
            .mesh
            .owed_at_ms()
            .is_some_and(|at_ms| at_ms <= self.now_ms)
        {
            for to in std::mem::take(&mut self.mesh.owed) {
                self.wake(to)?;
            }
        }
        Ok(())
    }

    /// A wake-up could not be posted, for want of memory as a rule (io_uring allocates an entry in the target's ring for it). Who
    /// claimed a sleeper is the only one to wake it: this is tried until it succeeds, or the sleeper has ended and has no ring.
    #[cold]
    pub(super) fn on_wake_failed(&mut self, to: ShardId) {
        self.metrics.add(Metric::WakesFailed, 1);
        self.mesh.owed.insert(to);
        self.mesh.owed_at_ms = self.now_ms + limits::MESH_POLL_MS;
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
