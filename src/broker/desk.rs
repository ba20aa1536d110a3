//! What every room writes on: the settings, what the world is asked to do, what is counted, and what is due.

use std::collections::VecDeque;
use std::sync::Arc;

use super::counters::Counters;
use super::effect::{CloseHow, Effect, MeshMessage};
use super::settings::{LogKind, Settings};
use super::timers::Timers;
use crate::ids::{ConnId, ShardId};

/// See the module.
pub struct Desk {
    pub settings: Arc<Settings>,
    /// Which shard this is.
    pub shard: ShardId,
    /// Of how many.
    pub shards: u8,
    pub counters: Counters,
    /// What the world is asked to do, in order.
    pub effects: VecDeque<Effect>,
    pub timers: Timers,
    /// Messages that other shards have been sent, by shard.
    pub mesh_sent: Box<[u64]>,
}

impl Desk {
    pub fn new(settings: Arc<Settings>, shard: ShardId, shards: u8) -> Self {
        Desk {
            settings,
            shard,
            shards,
            counters: Counters::default(),
            effects: VecDeque::new(),
            timers: Timers::default(),
            mesh_sent: vec![0; usize::from(shards)].into(),
        }
    }

    /// Asks for a connection to be closed.
    pub fn close(&mut self, conn: ConnId, how: CloseHow) {
        self.effects.push_back(Effect::Close { conn, how });
    }

    /// Sends to another shard.
    pub fn mesh(&mut self, to: ShardId, message: MeshMessage) {
        debug_assert_ne!(to, self.shard);
        self.mesh_sent[to.index()] += 1;
        self.effects.push_back(Effect::Mesh { to, message });
    }

    /// Sends to all other shards.
    pub fn mesh_all(&mut self, message: impl Fn() -> MeshMessage) {
        for index in 0..self.shards {
            if index != self.shard.0 {
                self.mesh(ShardId(index), message());
            }
        }
    }

    /// Writes a log line, if such lines are wanted.
    pub fn log(&mut self, kind: LogKind, text: impl FnOnce() -> String) {
        if self.settings.log.has(kind) {
            let text = text();
            self.effects.push_back(Effect::Log { kind, text });
        }
    }
}
