//! What every room writes on: the settings, what the world is asked to do, what is counted, and what is due.

use std::collections::VecDeque;
use std::sync::Arc;

use super::counters::Counters;
use super::effect::{CloseHow, Effect};
use super::lines::Lines;
use super::mesh_message::MeshMessage;
use super::settings::{LogKind, Settings};
use super::timers::Timers;
use crate::ids::{ConnId, ShardId};

/// See the module.
pub(super) struct Desk {
    pub settings: Arc<Settings>,
    /// Which shard this is.
    pub shard: ShardId,
    /// Of how many.
    pub shards: u8,
    pub counters: Counters,
    /// What the world is asked to do, in order.
    pub effects: VecDeque<Effect>,
    pub timers: Timers,
    /// Lines that are left out where there are too many.
    pub lines: Lines,
    /// Messages that other shards have been sent, by shard.
    pub mesh_sent: Box<[u64]>,
}

impl Desk {
    pub(super) fn new(settings: Arc<Settings>, shard: ShardId, shards: u8) -> Self {
        Desk {
            settings,
            shard,
            shards,
            counters: Counters::default(),
            effects: VecDeque::new(),
            timers: Timers::default(),
            lines: Lines::default(),
            mesh_sent: vec![0; usize::from(shards)].into(),
        }
    }

    /// Asks for a connection to be closed.
    pub(super) fn close(&mut self, conn: ConnId, how: CloseHow) {
        self.effects.push_back(Effect::Close { conn, how });
    }

    /// Sends to another shard.
    pub(super) fn mesh(&mut self, to: ShardId, message: MeshMessage) {
        debug_assert_ne!(to, self.shard);
        self.mesh_sent[to.index()] += 1;
        self.effects.push_back(Effect::Mesh { to, message });
    }

    /// Sends to all other shards.
    pub(super) fn mesh_all(&mut self, message: impl Fn() -> MeshMessage) {
        for index in 0..self.shards {
            if index != self.shard.0 {
                self.mesh(ShardId(index), message());
            }
        }
    }

    /// Says how many lines were left out, where that is due.
    pub(super) fn tell_left_out(&mut self, now_ms: u64) {
        let refusals = self.login_kind();
        for (kind, line) in self.lines.take(now_ms, refusals) {
            self.log(kind, || line);
        }
    }

    /// Failed logins are told whichever of these kinds of line is wanted: whoever leaves out notices does not mean them.
    pub(super) fn login_kind(&self) -> LogKind {
        let wanted = self.settings.log;
        match () {
            () if wanted.has(LogKind::Notice) => LogKind::Notice,
            () if wanted.has(LogKind::Warning) => LogKind::Warning,
            () => LogKind::Information,
        }
    }

    /// Writes a log line, if such lines are wanted.
    pub(super) fn log(&mut self, kind: LogKind, text: impl FnOnce() -> String) {
        if self.settings.log.has(kind) {
            let text = text();
            self.effects.push_back(Effect::Log { kind, text });
        }
    }
}
