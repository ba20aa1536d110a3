//! What a stream has of the storage thread: chunks go there, and empty chunks, durable positions and news come back.
//!
//! It is a mesh of two (`mesh`): nothing is seen before `flush`, which says whether the other side sleeps and has to be woken.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::chunk::Chunk;
use crate::ids::ShardId;
use crate::limits::STORE_LINE_SLOTS;
use crate::mesh::{Port, grid};

use super::super::intake::{Handed, HandedChunk};
use super::super::op::State;

const STREAM: ShardId = ShardId(0);
const STORE: ShardId = ShardId(1);

/// No ring yet, or no longer.
const NO_RING: RawFd = -1;

/// What goes over a line.
pub(super) enum Message {
    /// What the stream hands over.
    Handed(Handed),
    /// An answer.
    News(News),
}

/// What a stream is told.
pub enum News {
    /// So many of its chunks are durable.
    Told(u64),
    /// A chunk is on the disk, and can be filled again; it is empty.
    Free(Chunk),
    /// How the store is from now on.
    State(State),
    /// So many checkpoints of this run are in force.
    Checkpoints(u64),
    /// The next checkpoint should begin: told once, and again only when one more is in force.
    CheckpointDue,
}

/// The rings by which both sides are woken.
struct Rings([AtomicI32; 2]);

impl Rings {
    fn of(&self, side: ShardId) -> Option<RawFd> {
        let ring = self.0[side.index()].load(Ordering::Acquire);
        (ring != NO_RING).then_some(ring)
    }
}

/// One side.
struct Side {
    port: Port<Message>,
    rings: Arc<Rings>,
}

impl Side {
    fn other(&self) -> ShardId {
        if self.port.id() == STREAM {
            STORE
        } else {
            STREAM
        }
    }

    fn set_ring(&self, ring: RawFd) {
        self.rings.0[self.port.id().index()].store(ring, Ordering::Release);
    }

    fn flush(&mut self) -> Option<RawFd> {
        let wake = self.port.flush();
        let other = self.other();
        wake.contains(other).then(|| self.rings.of(other))?
    }
}

/// The two sides of a line.
pub(super) fn line() -> (Line, ThreadSide) {
    let rings = Arc::new(Rings([AtomicI32::new(NO_RING), AtomicI32::new(NO_RING)]));
    let mut sides = grid(2, STORE_LINE_SLOTS).into_iter().map(|port| Side {
        port,
        rings: Arc::clone(&rings),
    });
    // proved: a grid of two has two ports, in order.
    let (stream, store) = sides.next().zip(sides.next()).unwrap();
    (Line(stream), ThreadSide(store))
}

/// The side of a stream: it belongs to the thread that hands over its chunks.
pub struct Line(Side);

impl Line {
    /// By which ring the thread of the stream is woken. To be said before it sleeps for the first time.
    pub fn set_ring(&self, ring: RawFd) {
        self.0.set_ring(ring);
    }

    /// Hands over a chunk; with `begins` a checkpoint of the stream begins with it. It comes back where there is no slot: what is
    /// later has to wait as well then, and the thread is woken when there is one.
    ///
    /// `order` is its number over all streams: 0, 1, 2 and so on in a run, each given to one chunk. Chunks are written in that
    /// order, so that all streams wait for a number that was given and not handed over; each stream hands over in that order.
    #[must_use = "a chunk that comes back has not been handed over"]
    pub fn send(&mut self, chunk: Chunk, order: u64, begins: bool) -> Option<Chunk> {
        let handed = HandedChunk {
            chunk,
            order,
            begins,
        };
        match self.hand(Handed::Chunk(handed)) {
            Err(Message::Handed(Handed::Chunk(back))) => Some(back.chunk),
            _ => None,
        }
    }

    fn hand(&mut self, handed: Handed) -> Result<(), Message> {
        self.0.port.send(STORE, Message::Handed(handed))
    }

    /// The checkpoint that has begun is complete as far as this stream goes; it is complete when all streams have said so. A
    /// stream without a part in it says it too, and one that is through may begin the next. `false`: there is no slot, and it has to be said again.
    #[must_use = "what found no slot was not said"]
    pub fn complete(&mut self) -> bool {
        self.hand(Handed::Complete).is_ok()
    }

    /// Nothing more comes, and no number is left that was not handed over. When all streams have said so the run ends in order. `false`: there is no slot.
    #[must_use = "what found no slot was not said"]
    pub fn close(&mut self) -> bool {
        self.hand(Handed::Close).is_ok()
    }

    /// Makes what was said visible. Returns the ring of the storage thread if that has to be woken now (`uring::ops::wake`).
    #[must_use = "a thread that is not woken sleeps on what was said"]
    pub fn flush(&mut self) -> Option<RawFd> {
        self.0.flush()
    }

    /// The ring of the storage thread, while that runs: for who has to wake it once more.
    pub fn store_ring(&self) -> Option<RawFd> {
        self.0.rings.of(STORE)
    }

    /// Takes what has come back, in order; `flush` belongs behind it.
    pub fn receive(&mut self, mut take: impl FnMut(News)) {
        self.0.port.drain(STORE_LINE_SLOTS, |_, message| {
            if let Message::News(news) = message {
                take(news);
            }
        });
    }

    /// Whether the thread may sleep: everything that should wake it will. To be asked after `flush`.
    pub fn prepare_sleep(&mut self) -> bool {
        self.0.port.prepare_sleep()
    }

    /// The thread does not sleep any more.
    pub fn awake(&mut self) {
        self.0.port.awake();
    }
}

/// The side of the storage thread.
pub(super) struct ThreadSide(Side);

impl ThreadSide {
    pub(super) fn set_ring(&self, ring: Option<RawFd>) {
        self.0.set_ring(ring.unwrap_or(NO_RING));
    }

    /// Takes the next of what was handed over.
    pub(super) fn take(&mut self) -> Option<Handed> {
        let mut taken = None;
        self.0.port.drain(1, |_, message| {
            if let Message::Handed(handed) = message {
                taken = Some(handed);
            }
        });
        taken
    }

    /// Sends news, or gives them back.
    pub(super) fn send(&mut self, news: News) -> Result<(), News> {
        match self.0.port.send(STREAM, Message::News(news)) {
            Err(Message::News(news)) => Err(news),
            _ => Ok(()),
        }
    }

    pub(super) fn flush(&mut self) -> Option<RawFd> {
        self.0.flush()
    }

    /// Whether the thread may sleep, where it takes something only with `room`.
    pub(super) fn prepare_sleep(&mut self, room: bool) -> bool {
        self.0.port.prepare_sleep_on(|_| room)
    }

    pub(super) fn awake(&mut self) {
        self.0.port.awake();
    }
}
