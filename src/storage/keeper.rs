//! The files of a store beside its commits: segments made ready before they are needed, used again or removed when they are not
//! needed any more, and `STORE` replaced. One step at a time; what fails is tried again after a while.
//!
//! Invariants:
//! - a segment has its proper name only when its zeros and its header are on the disk, and is used only when its name is too;
//! - a segment is used again only when `STORE`, on the disk with its name, needs it no more;
//! - no segment is made before `STORE` says that this run has begun, so that no two runs have the same number;
//! - numbers of ready segments go upwards without a gap: one that could not be made ready is made again under its number.

use std::collections::{BTreeSet, VecDeque};

use crate::limits::{
    STORE_FILL_BYTES, STORE_RETRY_MS, STORE_SEGMENTS_MIN, STORE_SEGMENTS_READY,
    STORE_SEGMENTS_SPARE,
};

use super::canary::{Protection, has};
use super::format::{SegmentHeader, Store};
use super::op::{Failure, Step};

/// What a number of steps is for.
enum Task {
    Segment(u32),
    Store(Store),
    /// A segment without use is removed.
    Room(u32),
    /// One step, whose failure does no harm.
    Clear,
}

/// What was found of files in the directory, beside those that are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Leftovers {
    /// The next segment's number.
    pub(super) next_number: u32,
    /// Segments of runs that are not in force.
    pub(super) spare: Vec<u32>,
    /// Segments that never became ready.
    pub(super) unready: Vec<u32>,
}

pub(super) struct Keeper {
    /// What the headers of new segments have in common.
    header: SegmentHeader,
    segments_max: usize,
    task: Option<Task>,
    /// What is left of it; the first is under way while `busy`.
    steps: VecDeque<Step>,
    busy: bool,
    /// What `STORE` is to say, and does not yet.
    wanted: Option<Store>,
    /// `STORE` says that this run has begun.
    announced: bool,
    ready: VecDeque<u32>,
    /// Numbers of segments that are to be made ready.
    pending: BTreeSet<u32>,
    /// Those of them that may have their proper name on the disk.
    entered: BTreeSet<u32>,
    /// One of these that is to be removed before anything else is done.
    room: Option<u32>,
    files: Leftovers,
    /// Segments that have failed and are not needed.
    removed: Vec<u32>,
    /// Segments of this run.
    own: usize,
    /// Those of them that have failed.
    failed: usize,
    /// What came of the last attempt to make a segment ready.
    trouble: Option<Failure>,
    retry_segment_at: u64,
    retry_store_at: u64,
}

impl Keeper {
    /// One that begins by telling the disk of a new run.
    pub(super) fn new(
        header: SegmentHeader,
        segments_max: usize,
        store: Store,
        files: Leftovers,
    ) -> Keeper {
        Keeper {
            header,
            segments_max: segments_max.max(STORE_SEGMENTS_MIN),
            task: None,
            steps: VecDeque::new(),
            busy: false,
            wanted: Some(store).filter(|_| has(Protection::RunAnnounced)),
            announced: !has(Protection::RunAnnounced),
            ready: VecDeque::new(),
            pending: BTreeSet::new(),
            entered: BTreeSet::new(),
            room: None,
            files,
            removed: Vec::new(),
            own: 0,
            failed: 0,
            trouble: None,
            retry_segment_at: 0,
            retry_store_at: 0,
        }
    }

    /// Segments of this run at most, but for those that have failed.
    pub(super) fn segments_max(&self) -> usize {
        self.segments_max
    }

    /// Files of segments that are there, but for those of the run that is read.
    pub(super) fn files(&self) -> usize {
        let makes = matches!(self.task, Some(Task::Segment(_)));
        let needless = self.files.spare.len() + self.files.unready.len() + self.removed.len();
        self.own + needless + usize::from(makes)
    }

    /// Segments of this run.
    pub(super) fn own(&self) -> usize {
        self.own
    }

    /// Whether the next segment in order is ready.
    pub(super) fn has_ready(&self) -> bool {
        let waits = |next| self.pending.first().is_some_and(|number| number < next);
        self.ready.front().is_some_and(|next| !waits(next))
    }

    /// That segment.
    pub(super) fn take_ready(&mut self) -> Option<u32> {
        if self.has_ready() {
            self.ready.pop_front()
        } else {
            None
        }
    }

    /// Why segments cannot be had, when no more than the reserve is left.
    pub(super) fn trouble(&self) -> Option<Failure> {
        self.trouble
            .filter(|_| self.ready.len() < STORE_SEGMENTS_READY)
    }

    /// Replaces `STORE`.
    pub(super) fn want(&mut self, store: Store) {
        self.wanted = Some(store);
        self.retry_store_at = 0;
    }

    /// A segment of this run has failed. It does not count for the bound, else a disk that fails now and then would end at it.
    pub(super) fn on_failed(&mut self) {
        self.failed += 1;
    }

    /// Makes one of those anew, in which nothing is that counts.
    pub(super) fn make_again(&mut self, number: u32) {
        self.pending.insert(number);
        self.entered.insert(number);
        self.own = self.own.saturating_sub(1);
        self.failed = self.failed.saturating_sub(1);
    }

    /// A segment of this run is not needed any more.
    pub(super) fn release(&mut self, number: u32, failed: bool) {
        self.own = self.own.saturating_sub(1);
        if failed {
            self.failed = self.failed.saturating_sub(1);
            self.removed.push(number);
        } else {
            self.files.spare.push(number);
        }
    }

    /// Segments of an older run are not needed any more.
    pub(super) fn release_old(&mut self, numbers: Vec<u32>) {
        self.files.spare.extend(numbers);
    }

    /// When there is something to do that waits.
    pub(super) fn deadline(&self) -> Option<u64> {
        if self.busy {
            return None;
        }
        let store = self.wanted.is_some().then_some(self.retry_store_at);
        let wants = self.announced && self.wants_segment() && !self.is_bounded();
        let segment = wants.then_some(self.retry_segment_at);
        store.into_iter().chain(segment).min()
    }

    /// The next step, when none is under way.
    pub(super) fn poll(&mut self, now: u64) -> Option<Step> {
        if self.busy {
            return None;
        }
        if self.steps.is_empty() {
            self.begin(now);
        }
        self.busy = !self.steps.is_empty();
        self.steps.front().cloned()
    }

    /// Chooses what is done next.
    fn begin(&mut self, now: u64) {
        if let Some(number) = self.room.take() {
            self.steps.push_back(Step::Remove(number));
            self.steps.push_back(Step::SyncDirectory);
            self.task = Some(Task::Room(number));
        } else if let Some(number) = self.removed.pop() {
            self.clear(Step::Remove(number));
        } else if now >= self.retry_store_at
            && let Some(store) = self.wanted.take()
        {
            self.begin_store(store);
        } else if let Some(number) = self.files.unready.pop() {
            self.clear(Step::RemoveUnready(number));
        } else if self.files.spare.len() > STORE_SEGMENTS_SPARE
            && let Some(number) = self.files.spare.pop()
        {
            self.clear(Step::Remove(number));
        } else if self.announced && self.wants_segment() {
            if self.is_bounded() {
                self.trouble = Some(Failure::NoSpace);
            } else if now >= self.retry_segment_at {
                self.begin_segment();
            }
        }
    }

    fn wants_segment(&self) -> bool {
        !self.pending.is_empty() || self.ready.len() < STORE_SEGMENTS_READY
    }

    /// Whether there are as many segments as there may be.
    pub(super) fn is_bounded(&self) -> bool {
        self.own - self.failed.min(self.segments_max).min(self.own) >= self.segments_max
    }

    fn clear(&mut self, step: Step) {
        self.task = Some(Task::Clear);
        self.steps.push_back(step);
    }

    fn begin_store(&mut self, store: Store) {
        self.steps.push_back(Step::StoreWrite(store.encode()));
        self.steps.push_back(Step::StoreSync);
        // Else the rename could come to an older file of that name, whose sync had failed.
        self.steps.push_back(Step::SyncDirectory);
        self.steps.push_back(Step::StoreRename);
        if has(Protection::DirectorySynced) {
            self.steps.push_back(Step::SyncDirectory);
        }
        self.task = Some(Task::Store(store));
    }

    fn begin_segment(&mut self) {
        let number = match self.pending.first() {
            Some(number) => *number,
            None => {
                let number = self.files.next_number;
                self.files.next_number = number.saturating_add(1);
                self.pending.insert(number);
                number
            }
        };
        if let Some(from) = self.files.spare.pop() {
            self.steps.push_back(Step::Recycle { from, number });
        } else {
            self.steps.push_back(Step::Create(number));
            let mut offset = 0;
            while offset < self.header.bytes {
                let bytes = STORE_FILL_BYTES.min(self.header.bytes - offset);
                self.steps.push_back(Step::Fill {
                    number,
                    offset,
                    bytes,
                });
                offset += bytes;
            }
        }
        // Else its header could be that of another name than it has after a crash, and `Enter` could come to an older file.
        self.steps.push_back(Step::SyncDirectory);
        let page = SegmentHeader {
            number,
            ..self.header
        };
        self.steps.push_back(Step::Header {
            number,
            page: page.encode(),
        });
        if has(Protection::SegmentSyncedBeforeUse) {
            self.steps.push_back(Step::SyncUnready(number));
        }
        self.steps.push_back(Step::Enter(number));
        self.steps.push_back(Step::SyncDirectory);
        self.task = Some(Task::Segment(number));
    }

    /// What came of the step under way. Returns what `STORE` says now, if it has been replaced.
    pub(super) fn on_step(&mut self, result: Result<(), Failure>, now: u64) -> Option<Store> {
        self.busy = false;
        let step = self.steps.pop_front();
        if let Some(Step::Enter(number)) = step {
            self.entered.insert(number);
        }
        if let Err(failure) = result {
            self.steps.clear();
            self.on_failure(failure, now);
            return None;
        }
        if !self.steps.is_empty() {
            return None;
        }
        match self.task.take()? {
            Task::Segment(number) => {
                self.trouble = None;
                self.pending.remove(&number);
                self.entered.remove(&number);
                let at = self.ready.partition_point(|other| *other < number);
                self.ready.insert(at, number);
                self.own += 1;
                None
            }
            Task::Store(store) => {
                self.announced = true;
                Some(store)
            }
            Task::Room(number) => {
                self.entered.remove(&number);
                None
            }
            Task::Clear => None,
        }
    }

    /// Gives up a segment without use, for `STORE`: on a full disk nothing could be freed without it. Says whether there was one.
    /// Of the segments of this run it is the last: there is no gap in their numbers then, in whatever order names are lost.
    fn make_room(&mut self) -> bool {
        if let Some(number) = self.files.spare.pop() {
            self.removed.push(number);
            return true;
        }
        let entered = self.entered.last().copied();
        let last = entered.max(self.ready.back().copied());
        if self.ready.back().copied() == last && self.ready.pop_back().is_some() {
            self.own = self.own.saturating_sub(1);
        }
        self.pending.extend(last);
        self.entered.extend(last);
        self.room = last;
        last.is_some()
    }

    fn on_failure(&mut self, failure: Failure, now: u64) {
        match self.task.take() {
            Some(Task::Segment(number)) => {
                self.trouble = Some(failure);
                self.files.unready.push(number);
                self.retry_segment_at = now + STORE_RETRY_MS;
            }
            Some(Task::Store(store)) => {
                // A newer one may be wanted by now.
                self.wanted.get_or_insert(store);
                let again = failure == Failure::NoSpace && self.make_room();
                self.retry_store_at = now + if again { 0 } else { STORE_RETRY_MS };
            }
            Some(Task::Room(_)) => self.retry_store_at = now + STORE_RETRY_MS,
            Some(Task::Clear) | None => {}
        }
    }
}
