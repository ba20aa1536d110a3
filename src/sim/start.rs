//! What the brokers of a run begin with.

use std::sync::Arc;

use super::log::Log;
use super::plan::Plan;
use crate::broker::{Broker, Settings, UnixMs};
use crate::budget::Pool;
use crate::chunk::Chunk;
use crate::journal::{Legacy, Scribe};

/// See the module.
pub(super) struct Start<'a> {
    pub plan: &'a Plan,
    pub shards: u8,
    pub settings: &'a Arc<Settings>,
    pub pool: &'a Arc<Pool>,
    pub now_ms: u64,
    pub unix: UnixMs,
}

impl Start<'_> {
    /// A shard that has taken up nothing yet.
    pub(super) fn broker(&self, shard: u8) -> Broker {
        let mut broker = (self.plan).broker(shard, self.shards, self.settings, self.pool);
        broker.on_wall_clock(self.now_ms, self.unix);
        broker.write_down(Scribe::new(self.plan.seed));
        broker
    }

    /// A shard takes up what others have left, and writes it anew.
    pub(super) fn take_up(
        &self,
        broker: &mut Broker,
        legacy: &Legacy,
        (shard, log): (u8, &mut Log),
    ) {
        let mut written = |chunk: Chunk| log.write(shard, &chunk, false);
        broker.on_restore(self.now_ms, legacy, &mut written);
    }
}
