//! The shard's side of the mesh: what finds a ring full waits here, in order, until there is room (the mesh wakes the
//! shard for that).

use std::collections::VecDeque;
use std::time::Instant;

use crate::ids::ShardId;
use crate::limits;
use crate::mesh::{Port, ShardSet};

use super::brain::Brain;
use super::message::ShardMessage;
use super::overload::Overload;

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
    /// What came besides the brains' messages.
    arrivals: Vec<(ShardId, ShardMessage)>,
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
            arrivals: Vec::new(),
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
    pub(super) fn send(&mut self, to: ShardId, message: ShardMessage) -> bool {
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

    /// Hands the brain what has arrived from other shards, a slice of each at a time, for as long as a turn may work. Who was not
    /// heard for want of time, or because the turn was full, is heard first in the next turn.
    pub(super) fn drain<B: Brain>(&mut self, now_ms: u64, brain: &mut B, overload: &mut Overload) {
        brain.begin_mesh();
        let shards = self.waiting.len();
        let (mut unlooked, mut is_timed) = (0, false);
        for _ in 0..limits::MESH_DRAIN_MAX / limits::MESH_DRAIN_SLICE {
            let (first, mut count) = (usize::from(self.first), 0);
            for step in 0..shards {
                let from = ShardId(((first + step) % shards) as u8);
                let taken = self.hear(from, now_ms, brain);
                (count, unlooked) = (count + taken, unlooked + taken);
                if unlooked < limits::MESH_DRAIN_SLICE {
                    continue;
                }
                unlooked = 0;
                if !std::mem::replace(&mut is_timed, true) {
                    overload.begin(Instant::now());
                } else if overload.look() {
                    overload.leave();
                    return self.begin_behind(from);
                }
            }
            if count < limits::MESH_DRAIN_SLICE {
                return;
            }
        }
    }

    /// Hands the brain a slice of what has arrived from one shard, as far as it takes it. Returns how many messages that was.
    #[inline]
    fn hear<B: Brain>(&mut self, from: ShardId, now_ms: u64, brain: &mut B) -> usize {
        if !brain.takes_from(from) {
            return 0;
        }
        let MeshSide { port, arrivals, .. } = self;
        let taken = port.drain_from(from, limits::MESH_DRAIN_SLICE, |message| {
            let bytes = message.bytes();
            match message {
                ShardMessage::Mesh(message) => brain.on_mesh(now_ms, from, message),
                other => arrivals.push((from, other)),
            }
            (bytes, brain.takes_from(from))
        });
        if taken > 0 && !brain.takes_from(from) {
            self.begin_behind(from);
        }
        taken
    }

    /// The next turn begins with the shard behind this one.
    fn begin_behind(&mut self, shard: ShardId) {
        self.first = ((shard.index() + 1) % self.waiting.len()) as u8;
    }

    /// Takes what came besides the brains' messages; given back when it has been handled.
    pub(super) fn take_arrivals(&mut self) -> Vec<(ShardId, ShardMessage)> {
        std::mem::take(&mut self.arrivals)
    }

    /// Gives the empty list back.
    pub(super) fn keep_arrivals(&mut self, empty: Vec<(ShardId, ShardMessage)>) {
        self.arrivals = empty;
    }

    /// Publishes what was sent, and what waits as far as there is room. Returns who is to be woken.
    pub(super) fn flush(&mut self, now_ms: u64) -> (ShardSet, ShardSet) {
        self.retry();
        self.look();
        let sleeping = self.port.flush();
        let is_due = self.owed_at_ms().is_some_and(|at_ms| at_ms <= now_ms);
        let owed = match is_due {
            true => std::mem::take(&mut self.owed),
            false => ShardSet::EMPTY,
        };
        (sleeping, owed)
    }

    /// A wake-up has failed, and is tried again then.
    #[cold]
    pub(super) fn owe(&mut self, to: ShardId, at_ms: u64) {
        self.owed.insert(to);
        self.owed_at_ms = at_ms;
    }
}
