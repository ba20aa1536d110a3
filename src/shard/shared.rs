//! What all shards see: listening sockets, bounds on connections, the rings' descriptors, the counters, the clock.

use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::budget::Pool;
use crate::ids::ShardId;
use crate::transport;

use super::board::Board;
use super::log::LogRoom;
use super::sources::Sources;

/// A configured listener: its listening sockets (one per address), from which all shards accept.
pub(crate) struct Listener {
    /// Each shard that accepts from them holds them too; closed when the last of them lets go.
    sockets: RwLock<Arc<[OwnedFd]>>,
    open: Bounded,
    transport: RwLock<Arc<transport::Plan>>,
}

impl Listener {
    /// The sockets are bound and listen; what they are set to (TCP_NODELAY, buffer sizes), their connections inherit.
    pub(crate) fn new(
        sockets: impl IntoIterator<Item = impl Into<OwnedFd>>,
        max_connections: Option<u32>,
    ) -> Self {
        Listener {
            sockets: RwLock::new(sockets.into_iter().map(Into::into).collect()),
            open: Bounded::new(max_connections),
            transport: RwLock::default(),
        }
    }

    /// Sets what connections that come from here on speak below MQTT.
    pub(crate) fn set_transport(&self, plan: transport::Plan) {
        *self
            .transport
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(plan);
    }

    /// What new connections speak below MQTT. Asked once per connection.
    pub(crate) fn transport(&self) -> Arc<transport::Plan> {
        self.transport
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Connections open that came in by this listener.
    pub(crate) fn connections(&self) -> u32 {
        self.open.count.load(Ordering::Relaxed)
    }

    pub(super) fn sockets(&self) -> Arc<[OwnedFd]> {
        self.sockets
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Lets go of the sockets; what came in by them stays.
    pub(crate) fn close(&self) {
        *self.sockets.write().unwrap_or_else(PoisonError::into_inner) = Arc::new([]);
    }

    /// Changes the bound on connections; those that are open stay.
    pub(crate) fn set_max(&self, connections: Option<u32>) {
        self.open.set_max(connections);
    }
}

/// A count with an upper bound.
struct Bounded {
    count: AtomicU32,
    max: AtomicU32,
}

impl Bounded {
    fn new(max: Option<u32>) -> Self {
        Bounded {
            count: AtomicU32::new(0),
            max: AtomicU32::new(max.unwrap_or(u32::MAX)),
        }
    }

    /// Counts one more, if that is within the bound.
    fn enter(&self) -> bool {
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        let has_room = before < self.max.load(Ordering::Relaxed);
        if !has_room {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        has_room
    }

    fn set_max(&self, max: Option<u32>) {
        self.max.store(max.unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    fn leave(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Which bound on connections was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    Listener,
    Broker,
    Tls,
    Memory,
}

/// What all shards see.
pub(crate) struct Shared {
    listeners: RwLock<Vec<Arc<Listener>>>,
    open: Bounded,
    /// Of those, the ones that speak TLS.
    tls: Bounded,
    sources: Sources,
    pool: Arc<Pool>,
    log_room: LogRoom,
    /// By shard; -1 until the shard has been created.
    rings: Box<[AtomicI32]>,
    boards: Box<[Board]>,
    /// Shards that a drain has left with nothing to do.
    drained: AtomicU32,
    /// Shards that have not taken up yet what the run before has left.
    restoring: AtomicU32,
    /// The number of the next chunk that one of them writes.
    order: AtomicU64,
    epoch: Instant,
}

impl Shared {
    /// For `shards` shards, with so much memory. The clock starts here.
    pub(crate) fn new(
        shards: u8,
        listeners: Vec<Arc<Listener>>,
        connections_max: Option<u32>,
        pool: Arc<Pool>,
    ) -> Arc<Self> {
        Arc::new(Shared {
            listeners: RwLock::new(listeners),
            open: Bounded::new(connections_max),
            tls: Bounded::new(None),
            sources: Sources::default(),
            log_room: LogRoom::new(pool.clone()),
            pool,
            rings: (0..shards).map(|_| AtomicI32::new(-1)).collect(),
            boards: (0..shards).map(|_| Board::new()).collect(),
            drained: AtomicU32::new(0),
            restoring: AtomicU32::new(0),
            order: AtomicU64::new(0),
            epoch: Instant::now(),
        })
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> u8 {
        self.rings.len() as u8
    }

    /// Room for log lines that wait.
    pub(crate) fn log_room(&self) -> &LogRoom {
        &self.log_room
    }

    /// Connections open, on all shards together.
    pub(crate) fn connections(&self) -> u32 {
        self.open.count.load(Ordering::Relaxed)
    }

    /// The listening sockets; a connection's `Peer::listener` is an index into them.
    pub(crate) fn listeners(&self) -> Vec<Arc<Listener>> {
        self.listeners
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// One of them. Asked when a connection comes and goes.
    pub(super) fn listener(&self, index: u16) -> Option<Arc<Listener>> {
        let listeners = self
            .listeners
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.get(usize::from(index)).cloned()
    }

    /// Puts other listeners in the place of those that there are, each at its number. The shards accept from new ones, and
    /// no more from those that are closed, when they are told to listen.
    pub(crate) fn set_listeners(&self, listeners: Vec<Arc<Listener>>) {
        *self
            .listeners
            .write()
            .unwrap_or_else(PoisonError::into_inner) = listeners;
    }

    /// Changes the bound on all connections together; those that are open stay.
    pub(crate) fn set_max(&self, connections: Option<u32>) {
        self.open.set_max(connections);
    }

    /// Connections by source address; without bounds until they are set.
    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// What memory may be used for.
    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// One shard's figures. Panics when there is no such shard.
    pub(crate) fn board(&self, shard: ShardId) -> &Board {
        &self.boards[shard.index()]
    }

    /// What the first shard has counted, for those who show it.
    #[cfg(test)]
    pub(crate) fn publish_for_tests(&self, counters: &crate::broker::Counters) {
        self.boards[0].publish(counters, &super::metrics::Metrics::default());
    }

    /// The broker's clock: milliseconds since it was made, the same on all shards.
    #[inline]
    pub(crate) fn now_ms(&self) -> u64 {
        self.epoch.elapsed().as_millis() as u64
    }

    /// The broker's clock at a moment, in microseconds.
    #[inline]
    pub(super) fn us_at(&self, moment: Instant) -> u64 {
        moment.saturating_duration_since(self.epoch).as_micros() as u64
    }

    /// The broker's clock at a moment.
    #[inline]
    pub(super) fn ms_at(&self, moment: Instant) -> u64 {
        moment.saturating_duration_since(self.epoch).as_millis() as u64
    }

    /// How long it is until the clock shows `at_ms`.
    pub(super) fn until(&self, at_ms: u64) -> Duration {
        Duration::from_millis(at_ms).saturating_sub(self.epoch.elapsed())
    }

    pub(super) fn set_ring(&self, shard: ShardId, fd: RawFd) {
        if let Some(ring) = self.rings.get(shard.index()) {
            ring.store(fd, Ordering::Release);
        }
    }

    /// The ring of a shard; `None` while it has none.
    pub(super) fn ring(&self, shard: ShardId) -> Option<RawFd> {
        self.rings
            .get(shard.index())
            .map(|ring| ring.load(Ordering::Acquire))
            .filter(|fd| *fd >= 0)
    }

    /// Bounds the TLS connections, which cost more memory than others.
    pub(crate) fn set_tls_max(&self, connections: u32) {
        self.tls.set_max(Some(connections));
    }

    /// Counts a connection, if all bounds allow it.
    pub(super) fn admit(&self, listener: u16, tls: bool) -> Result<(), Full> {
        if tls && !self.tls.enter() {
            return Err(Full::Tls);
        }
        self.admit_plain(listener).inspect_err(|_| {
            if tls {
                self.tls.leave();
            }
        })
    }

    fn admit_plain(&self, listener: u16) -> Result<(), Full> {
        if !self.open.enter() {
            return Err(Full::Broker);
        }
        if !self
            .listener(listener)
            .is_some_and(|listener| listener.open.enter())
        {
            self.open.leave();
            return Err(Full::Listener);
        }
        Ok(())
    }

    /// Takes back what `admit` counted.
    pub(super) fn release(&self, listener: u16, tls: bool) {
        self.open.leave();
        if tls {
            self.tls.leave();
        }
        if let Some(listener) = self.listener(listener) {
            listener.open.leave();
        }
    }

    /// All shards are to take up something before the first client comes.
    pub(crate) fn begin_restoring(&self) {
        self.restoring
            .store(u32::from(self.shards()), Ordering::Release);
    }

    /// A shard has.
    pub(super) fn note_restored(&self) {
        self.restoring.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether all shards have.
    pub(crate) fn is_restored(&self) -> bool {
        self.restoring.load(Ordering::Acquire) == 0
    }

    /// The number of the next chunk among those of all shards. To be called before what the chunk says can be seen by others.
    pub(super) fn next_order(&self) -> u64 {
        self.order.fetch_add(1, Ordering::AcqRel)
    }

    pub(super) fn note_drained(&self) {
        self.drained.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn all_drained(&self) -> bool {
        self.drained.load(Ordering::Acquire) >= u32::from(self.shards())
    }
}
