//! What can still be read of a store that a start refuses, and what is lost.
//!
//! The files are gone through twice: first for what was on the disk for sure, as whole blocks say it of those before them, then for
//! the chunks. A block that was on the disk and is not there is a hole; reading goes on with the next block that is right. What lies
//! behind a missing chunk of a stream is given too, with the gap in its numbers: who reads it knows what it is worth. At the end, what
//! nobody says was on the disk is cut off, as by a start.
//!
//! Where `STORE` cannot be trusted, the newest run is taken of which the beginning is there.

use std::collections::BTreeMap;

use crate::chunk::block_bytes;
use crate::limits::{STORE_MISSING_NAMED_MAX, STORE_PAGE_BYTES, STORE_READ_BYTES};

use super::format::{
    BlockHeader, EMPTY, ENDS, FIRST_BLOCK_AT, FormatError, Place, RESUMES, SegmentHeader, Store,
    segment_number,
};
use super::recovery::{Fault, Found, FoundSegment, Recovered};

/// A file that is gone through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SalvageFile {
    /// Its name.
    pub(super) name: String,
    /// The number of its segment.
    pub(super) number: u32,
    /// Its bytes.
    pub(super) bytes: u64,
    /// It had more once.
    is_cut: bool,
}

/// Which files are gone through, and what is wrong before any of them is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SalvagePlan {
    id: u64,
    /// The run that is read; 0: none.
    pub(super) run: u32,
    first_block: u64,
    synced_block: u64,
    starts: Option<Vec<u64>>,
    /// In order of their numbers.
    pub(super) files: Vec<SalvageFile>,
    /// What is wrong.
    pub(super) faults: Vec<Fault>,
    /// All runs of which there are segments.
    pub(super) runs: Vec<u32>,
}

/// Which segments there are, by run and number.
type Known = BTreeMap<(u32, u32), SalvageFile>;

/// Looks at what was found. `run` is the run that is wanted whatever `STORE` says; `None`: the one in force.
///
/// # Errors
/// It is of a newer version.
pub(super) fn plan(found: &Found, run: Option<u32>) -> Result<SalvagePlan, Fault> {
    let mut faults = Vec::new();
    let store = match found.store.as_deref().map(Store::decode) {
        Some(Ok(store)) => Some(store),
        Some(Err(error @ FormatError::Newer(_))) => return Err(Fault::Store(error)),
        Some(Err(error)) => {
            faults.push(Fault::Store(error));
            None
        }
        None => {
            let numbers = found.segments.iter().filter_map(ready);
            faults.extend(numbers.min().map(Fault::NoStore));
            None
        }
    };
    let id = store
        .as_ref()
        .map_or_else(|| likely_id(found), |store| store.id);
    let (known, nameless) = files(found, id, &mut faults)?;
    let mut runs: Vec<u32> = known.keys().map(|(run, _)| *run).collect();
    runs.dedup();
    let newest = runs.last().copied().unwrap_or(0);
    let told = store.filter(|store| match newest > store.run_last {
        true => {
            let first = known.keys().find(|(run, _)| *run > store.run_last);
            faults.extend(first.map(|(_, number)| Fault::StoreTooOld(*number)));
            false
        }
        false => run.is_none_or(|run| run == store.in_force),
    });
    let mut plan = SalvagePlan {
        id,
        run: run
            .or(told.as_ref().map(|told| told.in_force))
            .unwrap_or(newest),
        first_block: told.as_ref().map_or(1, |told| told.first_block),
        synced_block: told.as_ref().map_or(0, |told| told.synced_block),
        starts: told.as_ref().map(|told| told.starts.clone()),
        files: Vec::new(),
        faults,
        runs,
    };
    plan.choose(known, nameless, told.map(|told| told.first_segment));
    Ok(plan)
}

/// The number of a segment that is ready.
fn ready(segment: &FoundSegment) -> Option<u32> {
    let (number, is_ready) = segment_number(&segment.name)?;
    is_ready.then_some(number)
}

/// The store that most segments are of.
fn likely_id(found: &Found) -> u64 {
    let mut counts = BTreeMap::<u64, usize>::new();
    for segment in &found.segments {
        if let Ok(header) = SegmentHeader::decode(&segment.start) {
            *counts.entry(header.store).or_default() += 1;
        }
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.map_or(0, |(id, _)| id)
}

/// Files by what their headers say, and those without one.
fn files(
    found: &Found,
    id: u64,
    faults: &mut Vec<Fault>,
) -> Result<(Known, Vec<(SalvageFile, Fault)>), Fault> {
    let (mut known, mut nameless) = (Known::new(), Vec::new());
    for segment in &found.segments {
        let Some(number) = ready(segment) else {
            continue;
        };
        let mut file = SalvageFile {
            name: segment.name.clone(),
            number,
            bytes: segment.bytes,
            is_cut: false,
        };
        match SegmentHeader::decode(&segment.start) {
            Err(error @ FormatError::Newer(_)) => return Err(Fault::Segment(number, error)),
            Err(error) => nameless.push((file, Fault::Segment(number, error))),
            Ok(header) if header.store != id => faults.push(Fault::Foreign(number)),
            Ok(header) => {
                file.is_cut = header.bytes > segment.bytes;
                if header.number != number {
                    file.number = header.number;
                    let header = header.number;
                    faults.push(Fault::Misnamed { number, header });
                }
                // Of two that say the same, the one whose name says so too.
                let key = (header.run, file.number);
                if header.number == number || !known.contains_key(&key) {
                    known.insert(key, file);
                }
            }
        }
    }
    Ok((known, nameless))
}

impl SalvagePlan {
    /// The files of its run. One whose header is not right is taken for what its name says: blocks say themselves whether they belong there.
    fn choose(&mut self, known: Known, nameless: Vec<(SalvageFile, Fault)>, first: Option<u32>) {
        let run = self.run;
        let of_run = known
            .into_iter()
            .filter(|((of, _), _)| *of == run && run != 0);
        let of_run = of_run.filter(|((_, number), _)| first.is_none_or(|first| *number >= first));
        let mut files: BTreeMap<u32, SalvageFile> =
            of_run.map(|((_, number), file)| (number, file)).collect();
        let from = first.or(files.keys().next().copied());
        for (file, fault) in nameless {
            let may_be = run != 0 && from.is_some_and(|from| file.number >= from);
            if may_be && !files.contains_key(&file.number) {
                if file.bytes >= STORE_PAGE_BYTES as u64 {
                    self.faults.push(fault);
                }
                files.insert(file.number, file);
            }
        }
        if let Some(from) = from.filter(|_| run != 0) {
            let last = files.keys().next_back().map_or(from, |last| *last);
            let missing = (from..=last).filter(|number| !files.contains_key(number));
            let named = missing.take(STORE_MISSING_NAMED_MAX);
            self.faults.extend(named.map(Fault::Missing));
        }
        self.files = files.into_values().collect();
    }
}

/// What is to be read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SalvageRequest {
    /// Index of the file in the plan.
    pub(super) file: usize,
    /// The first byte.
    pub(super) offset: u64,
    /// How many.
    pub(super) bytes: usize,
}

/// Blocks that were on the disk and cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// Segment and byte where the first of them should lie.
    pub from: (u32, u64),
    /// Segment and byte where reading goes on; `None`: nowhere.
    pub to: Option<(u32, u64)>,
    /// The numbers of the first of them, and of the one behind the last.
    pub blocks: (u64, u64),
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// What is missing.
    pub holes: Vec<Hole>,
    /// By stream: whether the chunk is there with which reading it begins.
    pub begins: Vec<bool>,
    /// Where a crash has cut off what was being written.
    pub torn: Option<(u32, u64)>,
    /// When the last block was written that is whole, in milliseconds since 1970.
    pub wall_ms: u64,
    /// The run had ended in order.
    pub ended: bool,
}

/// Goes through the files of a plan.
pub(super) struct Salvage {
    plan: SalvagePlan,
    /// The second time.
    gives: bool,
    at: (usize, u64),
    /// The last block that was on the disk.
    synced: u64,
    expected: u64,
    /// By stream: the number behind that of the last chunk that there was.
    next: Vec<u64>,
    /// Where what is expected is not.
    gap: Option<(u32, u64)>,
    is_over: bool,
    salvaged: Salvaged,
}

impl Salvage {
    /// At the beginning.
    pub(super) fn new(plan: SalvagePlan) -> Salvage {
        let next = plan.starts.clone().unwrap_or_default();
        Salvage {
            gives: false,
            at: (0, FIRST_BLOCK_AT),
            synced: plan.synced_block,
            expected: plan.first_block,
            salvaged: Salvaged {
                begins: vec![false; next.len()],
                ..Salvaged::default()
            },
            next,
            gap: None,
            is_over: false,
            plan,
        }
    }

    /// What is to be read next; `None`: everything was.
    pub(super) fn next_read(&mut self) -> Option<SalvageRequest> {
        while !self.is_over {
            let Some(file) = self.plan.files.get(self.at.0) else {
                self.is_over = self.gives;
                self.gives = true;
                self.at = (0, FIRST_BLOCK_AT);
                continue;
            };
            let left = file.bytes.saturating_sub(self.at.1);
            if left < STORE_PAGE_BYTES as u64 && file.is_cut && self.gives {
                self.gap.get_or_insert((file.number, self.at.1));
            }
            if left >= STORE_PAGE_BYTES as u64 {
                return Some(SalvageRequest {
                    file: self.at.0,
                    offset: self.at.1,
                    bytes: left.min(STORE_READ_BYTES as u64) as usize,
                });
            }
            self.at = (self.at.0 + 1, FIRST_BLOCK_AT);
        }
        None
    }

    /// What was asked for, or less where the file ends.
    pub(super) fn take(&mut self, bytes: &[u8], give: &mut dyn FnMut(Recovered<'_>)) {
        let Some(request) = self.next_read() else {
            return;
        };
        let mut at = 0;
        while !self.is_over {
            let rest = bytes.get(at..).unwrap_or_default();
            if rest.len() < STORE_PAGE_BYTES {
                break;
            }
            let wanted = BlockHeader::peek(self.plan.run, rest).unwrap_or(0);
            if wanted > rest.len() && at > 0 {
                break;
            }
            at += self.take_page(rest, give);
            self.at.1 = request.offset + at as u64;
        }
        if bytes.len() < request.bytes {
            self.at = (self.at.0 + 1, FIRST_BLOCK_AT);
        }
    }

    fn place(&self) -> Place {
        Place {
            store: self.plan.id,
            run: self.plan.run,
            segment: self.plan.files.get(self.at.0).map_or(0, |file| file.number),
            offset: self.at.1,
        }
    }

    fn take_page(&mut self, bytes: &[u8], give: &mut dyn FnMut(Recovered<'_>)) -> usize {
        let place = self.place();
        let here = (place.segment, place.offset);
        let Some((block, content)) = BlockHeader::decode(&place, bytes) else {
            if self.gives {
                self.gap.get_or_insert(here);
                let is_begun = BlockHeader::peek(place.run, bytes).is_some();
                if is_begun && self.expected > self.synced {
                    self.salvaged.torn.get_or_insert(here);
                }
            }
            return STORE_PAGE_BYTES;
        };
        match self.gives {
            true => self.take_block(here, &block, content, give),
            false => self.synced = self.synced.max(block.synced),
        }
        block_bytes(content.len())
    }

    fn take_block(
        &mut self,
        here: (u32, u64),
        block: &BlockHeader,
        content: &[u8],
        give: &mut dyn FnMut(Recovered<'_>),
    ) {
        let resumes = block.has(RESUMES) && here.1 == FIRST_BLOCK_AT;
        if block.number < self.expected {
            return;
        }
        // What a segment that failed did not keep comes again behind the block that resumes.
        let missing = match resumes {
            true => (
                self.expected,
                block.number.min(block.synced.saturating_add(1)),
            ),
            false => (self.expected, block.number),
        };
        if missing.0 < missing.1 {
            if self.expected > self.synced && !resumes {
                // Nobody was told of it: the end, as for a start.
                self.salvaged.torn.get_or_insert(self.gap.unwrap_or(here));
                self.is_over = true;
                return;
            }
            self.salvaged.holes.push(Hole {
                from: self.gap.unwrap_or(here),
                to: Some(here),
                blocks: missing,
            });
        }
        self.gap = None;
        self.salvaged.torn = None;
        self.expected = block.number.saturating_add(1);
        self.salvaged.wall_ms = block.wall_ms;
        if block.has(ENDS) {
            (self.salvaged.ended, self.is_over) = (true, true);
        }
        if !block.has(EMPTY) {
            self.take_chunk(here, block, content, give);
        }
    }

    fn take_chunk(
        &mut self,
        here: (u32, u64),
        block: &BlockHeader,
        content: &[u8],
        give: &mut dyn FnMut(Recovered<'_>),
    ) {
        let index = usize::from(block.stream);
        let starts = self.plan.starts.as_deref();
        if starts.is_none() && index >= self.next.len() {
            self.next.resize(index + 1, 0);
            self.salvaged.begins.resize(index + 1, false);
        }
        let next = self.next.get_mut(index);
        let Some((next, begins)) = next.zip(self.salvaged.begins.get_mut(index)) else {
            return;
        };
        let streams = starts.map_or(index + 1, |starts| starts.len());
        // One may come again behind a segment that failed.
        if block.sequence < *next {
            return;
        }
        let start = starts.map_or(0, |starts| starts[index]);
        *begins |= block.sequence == start;
        *next = block.sequence.saturating_add(1);
        give(Recovered {
            stream: block.stream,
            streams,
            sequence: block.sequence,
            content,
            wall_ms: block.wall_ms,
            place: here,
        });
    }

    /// What came of it, when there is nothing left to read.
    pub(super) fn finish(mut self) -> Salvaged {
        let end = self.plan.files.last();
        let end = end.map_or((0, FIRST_BLOCK_AT), |file| (file.number, file.bytes));
        if self.plan.run != 0 && self.expected <= self.synced && !self.salvaged.ended {
            self.salvaged.holes.push(Hole {
                from: self.gap.unwrap_or(end),
                to: None,
                blocks: (self.expected, self.synced + 1),
            });
            self.salvaged.torn = None;
        }
        self.salvaged
    }
}
