//! The thread of a shard: its ring, its connections' sockets and its brain, turn by turn.
//!
//! Owns the sockets (as direct descriptors), what is in flight for each, and the clock. Decides nothing about MQTT:
//! bytes and completions go to the brain as events, and what the brain wants done comes back as effects. Runs on one
//! pinned thread and is created there; it shares nothing with other threads but rings of the mesh, the counters it
//! publishes, and the bounds on connections.
//!
//! Invariants:
//! - a connection has at most one receive and one send in flight; every operation in flight is counted, and its number
//!   given back to the brain (`on_closed`), only when that count is zero and its slot is closed. The slot may be closed in front of
//!   the end of a receive that is cancelled with it: that holds the socket itself;
//! - memory that the brain lends for a send is untouched from `gather` until `on_sent`;
//! - until the brain has let a client in, receives are single, so that a connection can move to another shard without
//!   a byte being left behind;
//! - between two shards messages keep their order and none is lost: what finds the mesh full waits here.

mod accept;
mod acceptor;
mod arena;
mod batch;
mod board;
mod brain;
mod command;
mod connections;
mod delivery_time;
mod desk;
mod drain;
mod error;
mod fair;
mod handshake;
mod helpers;
mod inherited;
mod log;
mod memory;
mod mesh_side;
mod message;
mod metrics;
mod moves;
mod orders;
mod overload;
mod receive;
mod receiving;
mod reply;
mod roads;
mod send;
mod shared;
mod sockets;
mod sources;
mod store_side;
mod traffic;
mod transports;
mod turn;
mod unready;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Sender;

use crate::broker::Broker;
use crate::budget::Account;
use crate::ids::ShardId;
use crate::journal::Legacy;
use crate::limits;
use crate::mesh::Port;
use crate::storage::Line;
use crate::uring::{BufferPlan, Completion, IdleRing, ReceiveBuffers, Sizes};

pub(crate) use brain::Brain;
pub(crate) use command::{ShardCommand, ShardHandle, ShardInbox, ShardReport, commands};
pub(crate) use error::ShardError;
pub(crate) use fair::{Entrance, Exit, Taken, fair};
pub(crate) use helpers::{Check, Checks, Handshake, Handshakes};
pub(crate) use inherited::inherited;
pub(crate) use log::LogLine;
pub(crate) use memory::give_free_memory_back;
pub(crate) use message::ShardMessage;
pub(crate) use metrics::{Metric, Metrics};
pub(crate) use reply::{Awaited, Owed, ReplyTo, reply};
pub(crate) use shared::{Listener, Shared};
pub(crate) use store_side::unix_now;

use acceptor::Acceptor;
use arena::SendArena;
use batch::Batch;
use command::CommandReader;
use desk::Desk;
use helpers::Helpers;
use mesh_side::MeshSide;
use overload::Overload;
use receiving::Receiving;
use roads::Roads;
use sockets::Sockets;
use store_side::StoreSide;
use traffic::Traffic;
use transports::Transports;

/// What a shard is made of, besides its brain.
pub(crate) struct ShardConfig {
    /// Which one it is.
    pub id: ShardId,
    /// What it shares with the others.
    pub shared: Arc<Shared>,
    /// Its corner of the mesh.
    pub port: Port<ShardMessage>,
    /// Where commands come from.
    pub inbox: ShardInbox,
    /// Where log lines go; never waited for.
    pub log: Sender<LogLine>,
    /// Connections that the shard is to have room for; clipped to the limit on open files.
    pub descriptors: u32,
    /// Where passwords are checked; without it whoever has one is refused.
    pub checks: Option<Checks>,
    /// Where TLS handshakes are worked on; without it, on the shard.
    pub handshakes: Option<Handshakes>,
    /// Its ring, if there is one for it already.
    pub ring: Option<IdleRing>,
    /// Where what is written down goes.
    pub store: Option<Kept>,
}

/// What a shard has of the store.
pub(crate) struct Kept {
    /// To the storage thread.
    pub line: Line,
    /// What the run before has left.
    pub legacy: Arc<Legacy>,
    /// Where that goes when it is taken up: to drop what there was of a million messages takes long.
    pub taken_up: Sender<Arc<Legacy>>,
}

/// A ring for a shard that is to have room for so many connections.
///
/// # Errors
/// The kernel does not give it.
pub(crate) fn idle_ring(descriptors: u32) -> Result<IdleRing, ShardError> {
    Ok(IdleRing::new(Sizes {
        submissions: limits::RING_SUBMISSIONS,
        completions: limits::RING_COMPLETIONS,
        files: descriptors.clamp(1, open_files_max()),
        workers: limits::RING_WORKERS_MAX,
    })?)
}

/// A shard. To be created in the thread that runs it.
pub(crate) struct Shard<B: Brain> {
    // Dropped first: it has the ring, to which the memory below belongs until then.
    traffic: Traffic<B>,
    acceptor: Acceptor,
    commands: CommandReader,
    batch: Batch,
    /// How long the turns take.
    overload: Overload,
    /// When the counters were last published.
    published_ms: u64,
    /// What is to be taken up before the first client comes.
    legacy: Option<(Arc<Legacy>, Sender<Arc<Legacy>>)>,
    /// That is under way, on this shard or on others.
    is_restoring: bool,
}

/// The group number of the receive buffers.
const RECEIVE_GROUP: u16 = 0;

impl<B: Brain> Shard<B> {
    /// Sets up the ring, its buffers and its file table. Nothing is accepted before `run`.
    pub(crate) fn new(config: ShardConfig, brain: B) -> Result<Self, ShardError> {
        let ShardConfig {
            id,
            shared,
            port,
            inbox,
            log,
            descriptors,
            checks,
            handshakes,
            ring,
            store,
        } = config;
        let (line, legacy) = store
            .map(|kept| (kept.line, (kept.legacy, kept.taken_up)))
            .unzip();
        let ring = match ring {
            Some(ring) => ring,
            None => idle_ring(descriptors)?,
        };
        let ring = ring.enable()?;
        let plan = receive_buffer_plan(ring.has_ordered_buffers());
        let buffers = ReceiveBuffers::register(&ring, RECEIVE_GROUP, plan)?;
        let overload = Overload::new(Instant::now()).map_err(|_| ShardError::Histogram)?;
        let mut desk = Desk::new(id, shared.clone(), log).map_err(|_| ShardError::Histogram)?;
        desk.set_connections_limit(ring.files());
        shared.set_ring(id, ring.fd());
        let mesh = MeshSide::new(port, shared.shards(), mesh_bytes_max(&shared));
        let acceptor = Acceptor::new(&shared);
        let store = StoreSide::new(line, ring.fd());
        let traffic = Traffic {
            sockets: Sockets::new(ring),
            receiving: Receiving::new(buffers),
            transports: Transports::new(),
            roads: Roads::new(mesh),
            helpers: Helpers::new(checks, handshakes),
            store,
            brain,
            desk,
        };
        Ok(Shard {
            traffic,
            acceptor,
            commands: CommandReader::new(inbox),
            batch: Batch::new(),
            overload,
            published_ms: 0,
            is_restoring: legacy.is_some(),
            legacy,
        })
    }

    /// Runs until a drain has finished on all shards, or until the ring fails.
    pub(crate) fn run(mut self) -> Result<(), ShardError> {
        self.commands.arm(self.traffic.sockets.ring())?;
        self.restore()?;
        self.acceptor.resume(&mut self.traffic)?;
        let mut since = Instant::now();
        while !self.finished() {
            since = self.turn(since)?;
        }
        self.publish();
        let Traffic { store, sockets, .. } = &mut self.traffic;
        store.close(sockets)?;
        // Nobody is to wake what has ended.
        let desk = &self.traffic.desk;
        desk.shared().set_ring(desk.id(), -1);
        Ok(())
    }
}

impl<B: Brain> Shard<B> {
    /// Takes up what the run before has left, and waits until all shards have: no client comes, and nothing that is due is done.
    fn restore(&mut self) -> Result<(), ShardError> {
        let Some((legacy, taken_up)) = self.legacy.take() else {
            return Ok(());
        };
        let Traffic {
            store,
            brain,
            sockets,
            desk,
            ..
        } = &mut self.traffic;
        store.restore(&legacy, brain, sockets, desk)?;
        // If nobody takes it, it is dropped here.
        let _ = taken_up.send(legacy);
        drop(taken_up);
        // A turn begins with a sleep: what others have to be told goes out before.
        self.traffic.run_effects()?;
        self.traffic.flush_roads()?;
        self.traffic.sockets.ring().poll()?;
        let (mut since, mut is_told) = (Instant::now(), false);
        while !self.traffic.desk.shared().is_restored() {
            let traffic = &mut self.traffic;
            if !is_told
                && !traffic.brain.is_restoring()
                && traffic.store.complete(&mut traffic.sockets)?
            {
                is_told = true;
                // Who waits for it looks at what was dropped.
                self.publish();
                self.traffic.desk.shared().note_restored();
                self.traffic.wake_others()?;
                continue;
            }
            since = self.turn(since)?;
        }
        self.is_restoring = false;
        Ok(())
    }
}

/// Buffers that receives share where the kernel can do that, whole ones where it cannot.
fn receive_buffer_plan(incremental: bool) -> BufferPlan {
    let (count, bytes) = match incremental {
        true => (limits::RECV_BUFFERS, limits::RECV_BUFFER_BYTES),
        false => (limits::RECV_BUFFERS_WHOLE, limits::RECV_BUFFER_WHOLE_BYTES),
    };
    BufferPlan {
        count,
        bytes,
        incremental,
    }
}

/// Bytes on their way to other shards from which on a shard takes no more input: its part of the account.
fn mesh_bytes_max(shared: &Shared) -> u64 {
    let part = shared.pool().limit(Account::Mesh) / u64::from(shared.shards());
    part.clamp(
        limits::MESH_WAITING_BYTES_MIN,
        limits::MESH_WAITING_BYTES_MAX,
    )
}

/// Bytes of what a shard has from the start, its own and the kernel's: ring and file table, receive buffers (few where
/// receives share them), places of sends and completions, and of the busiest topics.
pub(crate) fn fixed_bytes(descriptors: u32, few_buffers: bool) -> u64 {
    // io_uring_sqe with its index, io_uring_cqe, a pointer in the file table (linux/io_uring.h, io_uring/rsrc.c).
    let ring = 68 * u64::from(limits::RING_SUBMISSIONS)
        + 16 * u64::from(limits::RING_COMPLETIONS)
        + 8 * u64::from(descriptors);
    let plan = receive_buffer_plan(few_buffers);
    let buffers = (plan.bytes + 16) * usize::from(plan.count);
    let completions = limits::COMPLETIONS_PER_TURN_MAX * size_of::<Completion>();
    ring + (buffers + completions + SendArena::BYTES) as u64 + Broker::TOPICS_BYTES
}

/// The limit on open files, which bounds the file table too.
fn open_files_max() -> u32 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid place for the answer.
    match unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } {
        0 => u32::try_from(limit.rlim_cur)
            .unwrap_or(u32::MAX)
            .clamp(1, limits::DIRECT_DESCRIPTORS_MAX),
        _ => 1024,
    }
}
