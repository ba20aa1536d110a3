//! The state machine that writes a store: chunks and results go in, operations and durable positions come out.
//!
//! It has no clock and no file. Whoever has them calls `push`, carries out what `poll` gives, answers by `on_written`, `on_synced`
//! and `on_step`, and then looks at `told`, `take_free` and `state`. `deadline` says when `poll` is worth a call without a result.
//!
//! Invariants:
//! - one write is under way at a time, within one segment, and blocks lie one behind the other in order of their numbers;
//! - the next segment is written to only when all of this one is on the disk;
//! - a chunk is kept until it is on the disk, in every mode;
//! - a segment whose write or fdatasync has failed is never written or synced again: what was not on the disk is written
//!   to the next one, under new numbers, and the first block there says so (`RESUMES`);
//! - nothing is told durable before `STORE` names this run.

use std::collections::VecDeque;

use crate::chunk::Chunk;
use crate::limits::{
    STORE_COMMIT_BLOCKS_MAX, STORE_COMMIT_BYTES_MAX, STORE_IDLE_MS, STORE_QUEUE_BYTES_MAX,
    STORE_RETRY_MS, STORE_UNSYNCED_BYTES_MAX,
};

use super::canary::{Protection, has};
use super::commit::{Commit, Item, Write};
use super::due::{Due, Room};
use super::format::{BlockHeader, EMPTY, ENDS, Place, RESUMES, SegmentHeader, Store};
use super::keeper::Keeper;
use super::op::{Failure, Now, Op, Settings, State, SyncMode};
use super::recovery::Opened;
use super::segments::{Current, Segments};
use super::streams::Streams;

/// The last step of a run, and how far it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Asked,
    Queued,
    Closed,
}

/// Writes one run of a store.
pub struct Writer {
    settings: Settings,
    store: Store,
    run: u32,
    keeper: Keeper,
    streams: Streams,
    /// Not written.
    queue: VecDeque<Item>,
    queue_bytes: u64,
    /// Written, or being written, and not known to be on the disk, in order of their numbers.
    held: VecDeque<Item>,
    held_bytes: u64,
    commit: Commit,
    segments: Segments,
    /// Segments of the run that is read at a start until this one is in force.
    old: Vec<u32>,
    free: Vec<(u8, Chunk)>,
    end: End,
    checkpoint_under_way: bool,
    checkpoints: u64,
    due: Due,
}

impl Writer {
    /// One that begins a new run of a store.
    pub fn new(opened: Opened, settings: Settings) -> Writer {
        let mut store = opened.store;
        store.run_last = store.run_last.saturating_add(1);
        let run = store.run_last;
        let header = SegmentHeader {
            store: store.id,
            run,
            number: 0,
            bytes: settings.segment_bytes,
        };
        Writer {
            keeper: Keeper::new(
                header,
                settings.segments_max,
                store.clone(),
                opened.leftovers,
            ),
            streams: Streams::new(usize::from(settings.streams)),
            settings,
            store,
            run,
            queue: VecDeque::new(),
            queue_bytes: 0,
            held: VecDeque::new(),
            held_bytes: 0,
            commit: Commit::new(),
            segments: Segments::default(),
            old: opened.read,
            free: Vec::new(),
            end: End::Open,
            checkpoint_under_way: false,
            checkpoints: 0,
            due: Due::default(),
        }
    }

    /// Hands over a chunk. Returns its number in its stream, from 0; `None`, and the chunk is dropped, where there is no such
    /// stream, or after `close`. With `begins` a checkpoint of the stream begins with it; the first one of a run does anyhow.
    pub fn push(&mut self, stream: u8, chunk: Chunk, begins: bool, now: Now) -> Option<u64> {
        if self.end != End::Open {
            return None;
        }
        let sequence = self.streams.push(stream, begins, self.due.place())?;
        self.due.on_push(chunk.block_bytes());
        self.enqueue(Item {
            chunk,
            stream: Some((stream, sequence)),
            flags: 0,
            completes: false,
            number: 0,
        });
        self.commit.idle_since = now.ms;
        Some(sequence)
    }

    /// Whether there is room for more chunks. Whoever pushes them anyhow only holds more memory.
    pub fn has_room(&self) -> bool {
        self.queue_bytes < STORE_QUEUE_BYTES_MAX
    }

    /// A stream has handed over its part of the checkpoint that has begun; one without a part in it says so too. When all have,
    /// and everything is on the disk, reading begins there, and what lies before is not needed any more. A stream that has not
    /// begun it is read from where it was before, and keeps what lies there. The first one of a run puts the run in force. A
    /// stream that is through may begin the next one: it counts when the others are through with that as well.
    pub fn complete(&mut self, stream: u8) {
        self.streams.complete(stream);
        self.complete_checkpoint();
    }

    /// The parts of a checkpoint are whole, and none is under way.
    fn complete_checkpoint(&mut self) {
        if self.checkpoint_under_way || self.end != End::Open || !self.streams.is_complete() {
            return;
        }
        self.checkpoint_under_way = true;
        self.due.on_completing(self.streams.take_complete());
        self.enqueue(Item {
            completes: true,
            ..Item::empty(EMPTY)
        });
    }

    /// Ends the run in order: what was handed over is written, and a last block. Then `is_closed`.
    pub fn close(&mut self) {
        if self.end == End::Open {
            self.end = End::Asked;
        }
    }

    /// Whether the run has ended.
    pub fn is_closed(&self) -> bool {
        self.end == End::Closed
    }

    /// Checkpoints with which reading begins by now, or began before the last.
    pub fn checkpoints(&self) -> u64 {
        self.checkpoints
    }

    /// Whether the next checkpoint should begin, or has begun since that was so: until it is complete. Never before the first one.
    pub fn is_checkpoint_due(&mut self) -> bool {
        self.due.look(Room {
            segments: self.keeper.own(),
            segments_max: self.keeper.segments_max(),
            is_full: self.state() == State::Full,
        })
    }

    /// Whether everything that was handed over is on the disk.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.held.is_empty()
    }

    /// Chunks that were written.
    pub fn written(&self) -> u64 {
        self.streams.written()
    }

    /// Files of segments that are there, whatever for: each counts as large as those of this run.
    pub fn files(&self) -> usize {
        self.keeper.files() + self.old.len()
    }

    /// Segments of this run, those that are ready included: at `Settings::segments_max` there are no more.
    pub fn segments(&self) -> usize {
        self.keeper.own()
    }

    /// Chunks of a stream that are durable, in the sense of the mode.
    pub fn told(&self, stream: u8) -> u64 {
        let in_force = self.store.in_force == self.run || !has(Protection::InForceBeforeTold);
        let (written, synced) = self.streams.progress(stream);
        match self.settings.sync {
            _ if !in_force => 0,
            SyncMode::Group if has(Protection::SyncBeforeTold) => synced,
            _ => written,
        }
    }

    /// A chunk that is on the disk, for its stream to use again; it is still full.
    pub fn take_free(&mut self) -> Option<(u8, Chunk)> {
        self.free.pop()
    }

    /// How the store is.
    pub fn state(&self) -> State {
        match self.keeper.trouble() {
            _ if self.commit.failures >= 2 => State::Failed,
            Some(Failure::Io) => State::Failed,
            Some(Failure::NoSpace) => State::Full,
            None => State::Open,
        }
    }

    /// Whether there are as many segments as there may be.
    pub fn is_bounded(&self) -> bool {
        self.keeper.is_bounded()
    }

    /// When `poll` is worth a call although nothing has come in.
    pub fn deadline(&self) -> Option<u64> {
        let commit = &self.commit;
        let begins = !self.queue.is_empty() && self.held.is_empty() && self.keeper.has_ready();
        let retry = (commit.failures >= 2 && begins).then_some(commit.retry_at);
        let writes = commit.failing || (self.is_group() && commit.write.is_some());
        let unsynced = !writes && commit.sync.is_none() && commit.written > commit.synced;
        let interval = match self.settings.sync {
            SyncMode::Interval(ms) if unsynced => Some(commit.unsynced_since + ms),
            _ => None,
        };
        let waits = unsynced || (!commit.is_quiet && self.held.is_empty());
        let idle =
            (waits && self.queue.is_empty()).then_some(self.commit.idle_since + STORE_IDLE_MS);
        let all = [retry, interval, idle, self.keeper.deadline()];
        all.into_iter().flatten().min()
    }

    /// The next operation, until there is none.
    pub fn poll(&mut self, now: Now) -> Option<Op> {
        self.leave_failed(now);
        self.poll_write(now)
            .or_else(|| self.poll_sync(now))
            .or_else(|| self.keeper.poll(now.ms).map(Op::Step))
    }

    /// The blocks of the write under way, in order. They stay where they are until it is answered.
    pub fn under_way(&self) -> impl Iterator<Item = &[u8]> {
        let blocks = self.commit.write.as_ref().map_or(0, |write| write.blocks);
        let held = self.held.iter().skip(self.held.len() - blocks);
        held.map(|item| item.chunk.block())
    }

    fn enqueue(&mut self, item: Item) {
        self.queue_bytes += item.chunk.block_bytes() as u64;
        self.queue.push_back(item);
    }

    fn is_group(&self) -> bool {
        self.settings.sync == SyncMode::Group
    }

    /// A block that says what is on the disk, when there is nothing else to write, or the last one.
    fn enqueue_empty(&mut self, now: Now) {
        if !self.queue.is_empty() || !self.held.is_empty() {
            return;
        }
        if self.end == End::Asked && !self.checkpoint_under_way {
            self.end = End::Queued;
            self.enqueue(Item::empty(EMPTY | ENDS));
        } else if !self.commit.is_quiet && now.ms >= self.commit.idle_since + STORE_IDLE_MS {
            self.enqueue(Item::empty(EMPTY));
        }
    }

    fn poll_write(&mut self, now: Now) -> Option<Op> {
        if let Some(write) = &mut self.commit.write {
            return std::mem::take(&mut write.again).then(|| self.write_op())?;
        }
        let waits = self.is_group() && !self.held.is_empty();
        let much = self.held_bytes >= STORE_UNSYNCED_BYTES_MAX;
        let failed = self.commit.failures >= 2 && now.ms < self.commit.retry_at;
        if self.commit.failing || waits || much || failed {
            return None;
        }
        self.enqueue_empty(now);
        let first = self.queue.front()?.chunk.block_bytes() as u64;
        let full = |current: &Current| current.at + first > self.settings.segment_bytes;
        if self.segments.current.as_ref().is_some_and(full) {
            if !self.held.is_empty() {
                return None;
            }
            self.segments.retire(false, self.commit.synced);
        }
        if self.segments.current.is_none() {
            let number = self.keeper.take_ready()?;
            self.segments.begin(number, self.commit.next_number);
        }
        self.gather(now);
        self.write_op()
    }

    /// Moves what goes into the next commit from the queue to what is held, as blocks.
    fn gather(&mut self, now: Now) {
        let mut resumes = self.segments.resumes();
        let Some(current) = &mut self.segments.current else {
            return;
        };
        let offset = current.at;
        let most = STORE_COMMIT_BYTES_MAX.min(self.settings.segment_bytes - offset);
        let mut blocks = 0;
        while blocks < STORE_COMMIT_BLOCKS_MAX
            && let Some(item) = self.queue.front()
        {
            let bytes = item.chunk.block_bytes() as u64;
            if current.at + bytes - offset > most {
                break;
            }
            let Some(mut item) = self.queue.pop_front() else {
                break;
            };
            item.number = self.commit.next_number;
            item.flags &= !RESUMES;
            if std::mem::take(&mut resumes) && has(Protection::AbandonedTold) {
                item.flags |= RESUMES;
            }
            let place = Place {
                store: self.store.id,
                run: self.run,
                segment: current.number,
                offset: current.at,
            };
            let header = BlockHeader {
                length: item.chunk.len() as u32,
                stream: item.stream.map_or(u8::MAX, |(stream, _)| stream),
                flags: item.flags,
                number: item.number,
                synced: self.commit.synced,
                sequence: item.stream.map_or(0, |(_, sequence)| sequence),
                wall_ms: now.wall_ms,
            };
            header.seal(&place, item.chunk.finish());
            self.commit.next_number += 1;
            current.at += bytes;
            self.queue_bytes -= bytes;
            self.held_bytes += bytes;
            self.held.push_back(item);
            blocks += 1;
        }
        if self.commit.written == self.commit.synced {
            self.commit.unsynced_since = now.ms;
        }
        self.commit.write = Some(Write {
            blocks,
            offset,
            again: false,
            stuck: false,
        });
    }

    fn write_op(&self) -> Option<Op> {
        Some(Op::Write {
            segment: self.segments.current.as_ref()?.number,
            offset: self.commit.write.as_ref()?.offset,
            bytes: self.under_way().map(|block| block.len() as u64).sum(),
            then_sync: self.is_group(),
        })
    }

    fn poll_sync(&mut self, now: Now) -> Option<Op> {
        let commit = &self.commit;
        if commit.failing || commit.sync.is_some() || commit.written == commit.synced {
            return None;
        }
        let is_idle = self.queue.is_empty() && now.ms >= commit.idle_since + STORE_IDLE_MS;
        // Where nothing is being written although something waits, the segment is full, or much is not synced.
        let is_blocked = !self.queue.is_empty() && commit.write.is_none();
        let is_due = match self.settings.sync {
            SyncMode::Group => commit.write.is_none(),
            SyncMode::Interval(ms) => now.ms >= commit.unsynced_since + ms,
            SyncMode::None => false,
        };
        let ends = |item: &Item| item.completes || item.flags & ENDS != 0;
        let is_wanted = self.end != End::Open || self.held.iter().any(ends);
        if !(is_idle || is_blocked || is_due || is_wanted) {
            return None;
        }
        self.commit.sync = Some(self.commit.written);
        Some(Op::Sync {
            segment: self.segments.current.as_ref()?.number,
        })
    }

    /// What came of the write under way: bytes written.
    pub fn on_written(&mut self, result: Result<u64, Failure>, now: Now) {
        let Some(mut write) = self.commit.write.take() else {
            return;
        };
        let Ok(mut bytes) = result else {
            self.commit.failing = has(Protection::FailedSegmentLeft);
            write.again = !self.commit.failing;
            self.commit.write = Some(write).filter(|_| !self.commit.failing);
            return;
        };
        let before = write.blocks;
        while write.blocks > 0 {
            let item = &self.held[self.held.len() - write.blocks];
            let block = item.chunk.block_bytes() as u64;
            if block > bytes {
                break;
            }
            bytes -= block;
            write.offset += block;
            write.blocks -= 1;
            self.commit.written = item.number;
            if let Some((stream, sequence)) = item.stream {
                self.streams.on_written(stream, sequence);
            }
        }
        self.commit.idle_since = now.ms;
        if self.commit.failing {
            return;
        }
        if write.blocks == 0 {
            self.commit.sync = self
                .commit
                .sync
                .or(self.is_group().then_some(self.commit.written));
            return;
        }
        if write.stuck && write.blocks == before {
            self.commit.failing = true;
            return;
        }
        write.stuck = write.blocks == before;
        write.again = true;
        self.commit.write = Some(write);
    }

    /// What came of the fdatasync under way.
    pub fn on_synced(&mut self, result: Result<(), Failure>, now: Now) {
        let Some(last) = self.commit.sync.take() else {
            return;
        };
        if result.is_err() {
            self.commit.failing = has(Protection::FailedSegmentLeft);
            return;
        }
        self.commit.synced = last;
        self.commit.unsynced_since = now.ms;
        self.commit.idle_since = now.ms;
        self.commit.failures = 0;
        while self.held.front().is_some_and(|item| item.number <= last)
            && let Some(item) = self.held.pop_front()
        {
            self.on_item_synced(item);
        }
    }

    fn on_item_synced(&mut self, item: Item) {
        let Some(segment) = self.segments.current.as_ref().map(|current| current.number) else {
            return;
        };
        self.held_bytes -= item.chunk.block_bytes() as u64;
        self.commit.is_quiet = item.stream.is_none();
        if item.flags & ENDS != 0 {
            self.end = End::Closed;
        }
        if let Some((stream, sequence)) = item.stream {
            self.streams.on_synced(stream, sequence, segment);
            self.free.push((stream, item.chunk));
        }
        if item.completes {
            self.replace_store(segment, item.number);
        }
    }

    /// All chunks of a checkpoint are on the disk.
    fn replace_store(&mut self, segment: u32, synced_block: u64) {
        let mut store = Store {
            in_force: self.run,
            first_segment: segment,
            synced_block,
            ..self.store.clone()
        };
        self.streams.on_complete(&mut store);
        let first = store.first_segment;
        if let Some(block) = self.segments.first_block(first) {
            store.first_block = block;
        }
        if !has(Protection::RecycledAfterStore) {
            self.release(first);
        }
        self.keeper.want(store);
    }

    /// What came of the step under way.
    pub fn on_step(&mut self, result: Result<(), Failure>, now: Now) {
        let Some(store) = self.keeper.on_step(result, now.ms) else {
            return;
        };
        let completes = store.in_force == self.run;
        self.store = store;
        if completes {
            self.checkpoint_under_way = false;
            self.checkpoints += 1;
            self.due.on_complete();
            self.release(self.store.first_segment);
            self.complete_checkpoint();
        }
    }

    /// Segments before this one are not needed any more.
    fn release(&mut self, first: u32) {
        self.segments.release(first, &mut self.keeper);
        let old = std::mem::take(&mut self.old);
        self.keeper.release_old(old);
    }

    /// Leaves a segment that has failed, when nothing is under way there: what it was to hold goes to the next.
    fn leave_failed(&mut self, now: Now) {
        let commit = &mut self.commit;
        if !commit.failing || commit.write.is_some() || commit.sync.is_some() {
            return;
        }
        commit.failing = false;
        commit.failures += 1;
        commit.retry_at = now.ms + STORE_RETRY_MS;
        commit.written = commit.synced;
        self.segments.retire(true, commit.synced);
        self.keeper.on_failed();
        while let Some(item) = self.held.pop_back() {
            self.queue_bytes += item.chunk.block_bytes() as u64;
            self.queue.push_front(item);
        }
        self.held_bytes = 0;
        if self.commit.failures >= 2 {
            self.segments.make_void_again(&mut self.keeper);
        }
    }
}
