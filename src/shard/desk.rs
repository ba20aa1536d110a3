//! What every part of a shard reads and writes: which shard it is, its clock, its figures, its log lines, how far its end has
//! come, and what it shares with the other shards. Knows neither a socket nor the brain.

use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Sender;
use hdrhistogram::{CreationError, Histogram};

use crate::broker::LogKind;
use crate::budget::Pool;
use crate::ids::ShardId;

use super::delivery_time::DeliveryTimes;
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
    delivery_times: DeliveryTimes,
    /// The clock as of the last wake-up.
    now_ms: u64,
    /// The same in microseconds, modulo 2^32.
    now_us: u32,
}

impl Desk {
    pub(super) fn new(
        id: ShardId,
        shared: Arc<Shared>,
        log: Sender<LogLine>,
    ) -> Result<Self, CreationError> {
        Ok(Desk {
            delivery_times: DeliveryTimes::new()?,
            now_us: 0,
            now_ms: shared.now_ms(),
            id,
            shared,
            log,
            metrics: Metrics::default(),
            drain: Drain::default(),
        })
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

    /// Microseconds modulo 2^32, as of the last wake-up.
    #[inline]
    pub(super) fn now_us(&self) -> u32 {
        self.now_us
    }

    /// The shard has woken at this moment.
    #[inline]
    pub(super) fn wake(&mut self, at: Instant) {
        let now_us = self.shared.us_at(at);
        self.now_us = now_us as u32;
        self.now_ms = now_us / 1000;
    }

    /// Counts.
    #[inline]
    pub(super) fn count(&mut self, metric: Metric, more: u64) {
        self.metrics.add(metric, more);
    }

    /// A send is over, whose oldest byte had waited for so many microseconds.
    #[inline]
    pub(super) fn note_delivery(&mut self, us: u32) {
        self.delivery_times.record(us);
    }

    /// For how long sends had waited, in microseconds.
    pub(super) fn delivery_us(&self) -> Histogram<u64> {
        self.delivery_times.histogram()
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

    /// How many connections there is room for.
    pub(super) fn set_connections_limit(&mut self, most: u32) {
        self.metrics.set_connections_limit(most.into());
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
