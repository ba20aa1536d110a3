//! The shard's side of the store: what the brain has written down goes to the storage thread, turn by turn, and the brain hears what is
//! durable.
//!
//! The order: a turn's chunks get their numbers among those of all shards before anything that the turn says to other shards can be
//! seen there (`Traffic::flush_roads`). So what others write of it stands behind it on the disk. A chunk that finds no slot waits here with
//! its number; the storage thread waits for it.

use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use crate::broker::UnixMs;
use crate::budget::Account;
use crate::chunk::Chunk;
use crate::ids::ShardId;
use crate::journal::Legacy;
use crate::limits;
use crate::storage::{Line, News, State, unix_ms};
use crate::uring::RingError;

use super::brain::Brain;
use super::desk::Desk;
use super::shared::Shared;
use super::sockets::Sockets;

/// The number of the storage thread among those that a shard wakes: that of no shard.
const STORE: ShardId = ShardId(u8::MAX);

/// A chunk that waits for a slot.
struct Closed {
    chunk: Chunk,
    /// Its number among those of all shards.
    order: u64,
    /// A checkpoint of the shard begins with it.
    begins: bool,
}

/// What a shard has of the store.
struct Keeping {
    line: Line,
    waiting: VecDeque<Closed>,
    /// Chunks that the storage thread has.
    given: u64,
    /// The start is written whole, and it has been said.
    is_complete: bool,
    /// The number of the last checkpoint that was said to be complete.
    complete: u64,
    /// The storage thread sleeps on something, because a wake-up of ours has failed.
    is_owed: bool,
    heard: Heard,
}

/// What has come back and the brain has not heard yet.
#[derive(Default)]
struct Heard {
    durable: Option<u64>,
    state: Option<State>,
    /// A checkpoint is due.
    is_due: bool,
}

/// See the module.
#[derive(Default)]
pub(super) struct StoreSide {
    keeping: Option<Box<Keeping>>,
}

impl StoreSide {
    /// With a line to the storage thread, if there is a store; `ring` is the shard's.
    pub(super) fn new(line: Option<Line>, ring: RawFd) -> StoreSide {
        let keeping = line.map(|line| {
            line.set_ring(ring);
            Box::new(Keeping {
                line,
                waiting: VecDeque::new(),
                given: 0,
                is_complete: false,
                complete: 0,
                is_owed: false,
                heard: Heard::default(),
            })
        });
        StoreSide { keeping }
    }

    /// A turn ends as far as what is written down goes: to be called before others can see what it says.
    #[inline]
    pub(super) fn end_turn<B: Brain>(
        &mut self,
        brain: &mut B,
        sockets: &mut Sockets,
        desk: &mut Desk,
    ) -> Result<(), RingError> {
        let Some(keeping) = &mut self.keeping else {
            return Ok(());
        };
        // While the broker ends nothing is kept back.
        let kept_back_ms = match desk.ends_at_ms() {
            Some(_) => limits::JOURNAL_ACKS_MS,
            None => 0,
        };
        brain.end_turn(desk.now_ms() + kept_back_ms);
        while let Some((chunk, begins)) = brain.next_chunk() {
            keeping.close(chunk, begins, desk.shared());
        }
        keeping.hand_over();
        keeping.say_complete(brain.complete_checkpoint());
        keeping.flush(sockets)
    }

    /// Takes what has come back from the storage thread.
    #[inline]
    pub(super) fn hear<B: Brain>(&mut self, now_ms: u64, brain: &mut B) {
        let Some(keeping) = &mut self.keeping else {
            return;
        };
        keeping.receive(|chunk| brain.give_chunk_back(chunk));
        let heard = std::mem::take(&mut keeping.heard);
        if let Some(state) = heard.state {
            brain.on_store(state == State::Open);
        }
        if heard.is_due {
            brain.begin_checkpoint(now_ms);
        }
        if let Some(chunks) = heard.durable {
            brain.on_durable(now_ms, chunks);
        }
    }

    /// Takes up what the run before has left, and hands it over as it is written anew.
    pub(super) fn restore<B: Brain>(
        &mut self,
        legacy: &Legacy,
        brain: &mut B,
        sockets: &mut Sockets,
        desk: &mut Desk,
    ) -> Result<(), RingError> {
        let Some(keeping) = &mut self.keeping else {
            return Ok(());
        };
        let (now_ms, most) = (desk.now_ms(), chunks_max(desk.shared()));
        let mut result = Ok(());
        brain.on_restore(now_ms, legacy, &mut |chunk| {
            keeping.close(chunk, false, desk.shared());
            if result.is_ok() {
                result = keeping.hand_over_slowly(sockets, most);
            }
        });
        result
    }

    /// What was taken up is written: says so, once. False as long as it could not be said.
    pub(super) fn complete(&mut self, sockets: &mut Sockets) -> Result<bool, RingError> {
        let Some(keeping) = &mut self.keeping else {
            return Ok(true);
        };
        if !keeping.is_complete && keeping.waiting.is_empty() {
            keeping.is_complete = keeping.line.complete();
            keeping.flush(sockets)?;
        }
        Ok(keeping.is_complete)
    }

    /// Charges what waits for the disk.
    #[inline]
    pub(super) fn charge<B: Brain>(&self, brain: &mut B) {
        if let Some(keeping) = &self.keeping {
            let chunks = keeping.waiting.len() as u64 + keeping.given;
            brain.charge(
                Account::Journal,
                chunks * limits::STORE_BLOCK_BYTES_MAX as u64,
            );
        }
    }

    /// Whether the thread may sleep; to be asked with `mesh_side`'s.
    #[inline]
    pub(super) fn prepare_sleep(&mut self) -> bool {
        let keeping = self.keeping.as_mut();
        keeping.is_none_or(|keeping| !keeping.is_owed && keeping.line.prepare_sleep())
    }

    /// The thread does not sleep any more.
    #[inline]
    pub(super) fn awake(&mut self) {
        if let Some(keeping) = &mut self.keeping {
            keeping.line.awake();
        }
    }

    /// A wake-up of the storage thread could not be posted: it is tried again in the next turn.
    #[cold]
    pub(super) fn on_wake_failed(&mut self) {
        if let Some(keeping) = &mut self.keeping {
            keeping.is_owed = true;
        }
    }

    /// Whether a wake-up that failed was for the storage thread.
    pub(super) fn is_it(to: ShardId) -> bool {
        to == STORE
    }

    /// Whether all that was written down is durable.
    pub(super) fn is_idle<B: Brain>(&self, brain: &mut B) -> bool {
        let keeping = self.keeping.as_ref();
        keeping.is_none_or(|keeping| keeping.waiting.is_empty() && brain.is_all_durable())
    }

    /// Tells the brain how the wall clock stands, which may be set at any time.
    pub(super) fn tell_wall_clock<B: Brain>(&self, brain: &mut B, desk: &Desk) {
        if self.keeping.is_some() {
            brain.on_wall_clock(desk.shared().now_ms(), unix_now());
        }
    }

    /// The shard ends: nothing more comes.
    pub(super) fn close(&mut self, sockets: &mut Sockets) -> Result<(), RingError> {
        let Some(keeping) = &mut self.keeping else {
            return Ok(());
        };
        let until = Instant::now() + Duration::from_millis(limits::STORE_CLOSE_MS_MAX);
        let mut is_closed = false;
        while !is_closed && Instant::now() < until {
            keeping.receive(drop);
            keeping.hand_over();
            is_closed = keeping.waiting.is_empty() && keeping.line.close();
            keeping.flush(sockets)?;
            sockets.ring().poll()?;
            if !is_closed {
                std::thread::sleep(Duration::from_millis(limits::STORE_HAND_OVER_LOOK_MS));
            }
        }
        Ok(())
    }
}

impl Keeping {
    /// A chunk is to be written.
    fn close(&mut self, chunk: Chunk, begins: bool, shared: &Shared) {
        let order = shared.next_order();
        self.waiting.push_back(Closed {
            chunk,
            order,
            begins,
        });
    }

    /// Hands over what waits, as far as there are slots.
    fn hand_over(&mut self) {
        while let Some(closed) = self.waiting.pop_front() {
            let Closed { order, begins, .. } = closed;
            if let Some(chunk) = self.line.send(closed.chunk, order, begins) {
                return self.waiting.push_front(Closed {
                    chunk,
                    order,
                    begins,
                });
            }
            self.given += 1;
        }
    }

    /// Says once of each checkpoint that it is complete: behind all chunks of its turns.
    #[inline]
    fn say_complete(&mut self, number: u64) {
        if number > self.complete && self.waiting.is_empty() && self.line.complete() {
            self.complete = number;
        }
    }

    /// The same at a start, where there may be much more than memory has room for: it waits for the disk when that has `most` chunks.
    fn hand_over_slowly(&mut self, sockets: &mut Sockets, most: u64) -> Result<(), RingError> {
        loop {
            self.receive(drop);
            if self.given < most {
                self.hand_over();
            }
            self.flush(sockets)?;
            if self.waiting.is_empty() {
                return Ok(());
            }
            sockets.ring().poll()?;
            std::thread::sleep(Duration::from_millis(limits::STORE_HAND_OVER_LOOK_MS));
        }
    }

    /// Takes what has come back; what the brain is to hear is kept until `hear`.
    #[inline]
    fn receive(&mut self, mut free: impl FnMut(Chunk)) {
        let (heard, given) = (&mut self.heard, &mut self.given);
        self.line.receive(|news| match news {
            News::Told(chunks) => heard.durable = Some(chunks),
            News::Free(chunk) => {
                *given -= 1;
                free(chunk);
            }
            News::State(state) => heard.state = Some(state),
            News::CheckpointDue => heard.is_due = true,
            News::Checkpoints(_) => {}
        });
    }

    fn flush(&mut self, sockets: &mut Sockets) -> Result<(), RingError> {
        let owed = std::mem::take(&mut self.is_owed).then(|| self.line.store_ring());
        if let Some(ring) = self.line.flush().or_else(|| owed.flatten()) {
            sockets.wake(ring, STORE)?;
        }
        Ok(())
    }
}

/// Chunks of a shard that may wait for the disk: its part of their account. Those of all shards are written in one order, so that one at
/// least of each has to be on its way.
fn chunks_max(shared: &Shared) -> u64 {
    let part = shared.pool().limit(Account::Journal) / u64::from(shared.shards());
    (part / limits::STORE_BLOCK_BYTES_MAX as u64).max(1)
}

/// What the wall clock says.
pub(crate) fn unix_now() -> UnixMs {
    UnixMs(unix_ms())
}
