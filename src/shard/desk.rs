//! What every part of a shard reads and writes: which shard it is, its clock, its figures, its log lines, how far its end has
//! come, and what it shares with the other shards. Knows neither a socket nor the brain.

use std::sync::Arc;

use crossbeam_channel::Sender;

use crate::broker::LogKind;
use crate::budget::Pool;
use crate::ids::ShardId;

use super::drain::Drain;
use super::log::LogLine;
use super::metrics::{Metric, Metrics};
use super::shared::Shared;

/// See the module.
pub(super) struct Desk {
    id: ShardId,
    shared: Arc<Shared>,
    log: Sender<LogLine>,
    metrics: Metrics,
    drain: Drain,
    /// The clock as of the last wake-up.
    now_ms: u64,
}

impl Desk {
    pub(super) fn new(id: ShardId, shared: Arc<Shared>, log: Sender<LogLine>) -> Self {
        Desk {
            now_ms: shared.now_ms(),
            id,
            shared,
            log,
            metrics: Metrics::default(),
            drain: Drain::default(),
        }
    }

    /// Which shard it is.
    pub(super) fn id(&self) -> ShardId {
        self.id
    }

    /// What it shares with the others.
    #[inline]
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// How much memory there is.
    #[inline]
    pub(super) fn pool(&self) -> &Pool {
        self.shared.pool()
    }

    /// Milliseconds, as of the last wake-up.
    #[inline]
    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The shard has woken.
    #[inline]
    pub(super) fn set_now_ms(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
    }

    /// Counts.
    #[inline]
    pub(super) fn count(&mut self, metric: Metric, more: u64) {
        self.metrics.add(metric, more);
    }

    /// A completion belongs to nothing.
    #[cold]
    pub(super) fn count_stray(&mut self) {
        self.count(Metric::Stray, 1);
    }

    /// What was counted.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// How much there is now.
    pub(super) fn set_levels(&mut self, connections: usize, mesh_waiting: usize) {
        self.metrics.set_connections(connections as u64);
        self.metrics.set_mesh_waiting(mesh_waiting as u64);
    }

    /// Whether the shard is ending: nobody is let in any more.
    pub(super) fn is_ending(&self) -> bool {
        self.drain.has_begun()
    }

    /// How far its end has come.
    pub(super) fn drain(&mut self) -> &mut Drain {
        &mut self.drain
    }

    /// When the end has to be over, if it has begun.
    pub(super) fn ends_at_ms(&self) -> Option<u64> {
        self.drain.until_ms()
    }

    /// Sends a log line, unless the writer is so far behind that it has to be dropped.
    pub(super) fn log(&mut self, kind: LogKind, text: String) {
        let line = self.shared.log_room().line(kind, text);
        if line.is_none_or(|line| self.log.try_send(line).is_err()) {
            self.count(Metric::LogDropped, 1);
        }
    }
}
