//! From what lies in the directory to the chunks that count: which segments are read, in which order, and what a block that is
//! not there means.
//!
//! Blocks are numbered. At the first place where the expected one is not, every page behind it is looked at: a later block that
//! says the expected one was on the disk proves **rot**, and the start is refused; a block that resumes behind a failure is
//! where reading goes on; otherwise a crash has cut off what nobody had been told of, and reading ends.
//!
//! Bytes of files never reach a panic: lengths, numbers and positions are checked before they are used.

use std::fmt;

use crate::chunk::block_bytes;
use crate::limits::{STORE_PAGE_BYTES, STORE_READ_BYTES};

use super::canary::{Protection, has};
use super::format::{
    BlockHeader, EMPTY, ENDS, FIRST_BLOCK_AT, FormatError, Place, RESUMES, SegmentHeader, Store,
    segment_name, segment_number,
};
use super::keeper::Leftovers;

/// Why a store is not read. Each says which file, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There are segments, but no `STORE`.
    NoStore(u32),
    /// `STORE` is not one that can be read.
    Store(FormatError),
    /// A segment's header is not one that can be read.
    Segment(u32, FormatError),
    /// A segment is of another store.
    Foreign(u32),
    /// A segment has the name of another.
    Misnamed {
        /// By its name.
        number: u32,
        /// By its header.
        header: u32,
    },
    /// A segment is of a run that `STORE` does not know yet: `STORE` is older than the rest.
    StoreTooOld(u32),
    /// A segment is missing.
    Missing(u32),
    /// A block was on the disk and cannot be read any more.
    Rot {
        /// The segment where it should lie.
        segment: u32,
        /// The byte of it.
        offset: u64,
        /// The block's number.
        block: u64,
    },
    /// A block is whole, and does not fit those before it.
    Inconsistent {
        /// The segment where it lies.
        segment: u32,
        /// The byte of it.
        offset: u64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NoStore(number) => {
                write!(
                    f,
                    "STORE is missing, but {} is there",
                    segment_name(*number)
                )
            }
            Fault::Store(error) => write!(f, "STORE cannot be read: {error}"),
            Fault::Segment(number, error) => {
                write!(f, "{} cannot be read: {error}", segment_name(*number))
            }
            Fault::Foreign(number) => write!(f, "{} is of another store", segment_name(*number)),
            Fault::Misnamed { number, header } => write!(
                f,
                "{} was {} before: it has been renamed",
                segment_name(*number),
                segment_name(*header)
            ),
            Fault::StoreTooOld(number) => write!(
                f,
                "STORE is older than {}: files of different times were put together",
                segment_name(*number)
            ),
            Fault::Missing(number) => write!(f, "{} is missing", segment_name(*number)),
            Fault::Rot {
                segment,
                offset,
                block,
            } => write!(
                f,
                "{} is damaged at byte {offset}: block {block} was on the disk and cannot be read any more",
                segment_name(*segment)
            ),
            Fault::Inconsistent { segment, offset } => write!(
                f,
                "{} has at byte {offset} a block that does not follow those before it",
                segment_name(*segment)
            ),
        }
    }
}

impl std::error::Error for Fault {}

impl Fault {
    /// The file, and the byte of it where that is known.
    pub fn place(&self) -> (String, Option<u64>) {
        match *self {
            Fault::NoStore(_) | Fault::Store(_) | Fault::StoreTooOld(_) => ("STORE".into(), None),
            Fault::Segment(number, _)
            | Fault::Foreign(number)
            | Fault::Misnamed { number, .. }
            | Fault::Missing(number) => (segment_name(number), None),
            Fault::Rot {
                segment, offset, ..
            }
            | Fault::Inconsistent { segment, offset } => (segment_name(segment), Some(offset)),
        }
    }

    /// Whether nothing is wrong but that a newer version wrote it.
    pub fn is_of_newer(&self) -> bool {
        matches!(
            self,
            Fault::Store(FormatError::Newer(_)) | Fault::Segment(_, FormatError::Newer(_))
        )
    }
}

/// A file of a segment, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundSegment {
    /// Its name.
    pub name: String,
    /// Its first page, or less if there is less.
    pub start: Vec<u8>,
    /// Bytes of the file.
    pub bytes: u64,
}

/// What was found in the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The bytes of `STORE`, if it is there.
    pub store: Option<Vec<u8>>,
    /// All files whose names are those of segments (`segment_number`).
    pub segments: Vec<FoundSegment>,
}

/// What is known of a store before it is read, and with which a new run begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// As `STORE` says, or new.
    pub store: Store,
    /// The segments that are read, in order: they are needed until the next run is in force.
    pub read: Vec<u32>,
    /// Bytes of each of them.
    bytes: Vec<u64>,
    pub(super) leftovers: Leftovers,
}

/// Decides what is read. `id` is that of a new store, for a directory in which there is none: a random number.
///
/// # Errors
/// Something is missing, or not ours.
pub fn open(found: &Found, id: u64) -> Result<Opened, Fault> {
    let store = match &found.store {
        Some(bytes) => Some(Store::decode(bytes).map_err(Fault::Store)?),
        None => None,
    };
    let mut opened = Opened {
        store: store.clone().unwrap_or_else(|| Store::new(id)),
        read: Vec::new(),
        bytes: Vec::new(),
        leftovers: Leftovers::default(),
    };
    let mut read = Vec::new();
    let mut last = opened.store.first_segment;
    for segment in &found.segments {
        let Some((number, ready)) = segment_number(&segment.name) else {
            continue;
        };
        if store.is_none() {
            return Err(Fault::NoStore(number));
        }
        last = last.max(number);
        if !ready {
            opened.leftovers.unready.push(number);
        } else if is_read(&opened.store, number, segment)? {
            read.push((number, segment.bytes));
        } else {
            opened.leftovers.spare.push(number);
        }
    }
    read.sort_unstable();
    if opened.store.in_force != 0 {
        let first = opened.store.first_segment;
        for (expected, number) in (first..).zip(read.iter().map(|(number, _)| *number)) {
            if expected != number {
                return Err(Fault::Missing(expected));
            }
        }
        if read.is_empty() {
            return Err(Fault::Missing(first));
        }
    }
    opened.leftovers.next_number = last.saturating_add(1);
    (opened.read, opened.bytes) = read.into_iter().unzip();
    Ok(opened)
}

/// Whether a segment is one of those that are read.
fn is_read(store: &Store, number: u32, segment: &FoundSegment) -> Result<bool, Fault> {
    let may_be = store.in_force != 0 && number >= store.first_segment;
    let header = match SegmentHeader::decode(&segment.start) {
        Ok(header) => header,
        // The file was cut: what is gone is found, or found not to matter, when blocks are read.
        Err(_) if segment.bytes < STORE_PAGE_BYTES as u64 => return Ok(may_be),
        // Nothing of a file without a header could be read; where it is not needed it is used again.
        Err(FormatError::Damaged) if !may_be => return Ok(false),
        Err(error) => return Err(Fault::Segment(number, error)),
    };
    if header.store != store.id {
        return Err(Fault::Foreign(number));
    }
    if header.number != number {
        return Err(Fault::Misnamed {
            number,
            header: header.number,
        });
    }
    if header.run > store.run_last {
        return Err(Fault::StoreTooOld(number));
    }
    Ok(may_be && header.run == store.in_force)
}

/// Bytes that the reader wants to see next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// The segment's number.
    pub segment: u32,
    /// The first byte: that of a page.
    pub offset: u64,
    /// How many.
    pub bytes: usize,
}

/// A chunk as it was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered<'a> {
    /// Its stream.
    pub stream: u8,
    /// Streams of the run.
    pub streams: usize,
    /// Its number in that.
    pub sequence: u64,
    /// What it says.
    pub content: &'a [u8],
    /// When it was written, in milliseconds since 1970.
    pub wall_ms: u64,
    /// The segment in which it lies, and the byte where its block begins.
    pub place: (u32, u64),
}

/// What came of reading a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The run that was read; 0: there was none.
    pub run: u32,
    /// By stream: the number of the chunk behind the last.
    pub next: Vec<u64>,
    /// When the last block was written, in milliseconds since 1970.
    pub wall_ms: u64,
    /// Blocks that were read.
    pub blocks: u64,
    /// The number of the last of them.
    pub last_block: u64,
    /// The last block that is said to have been on the disk, by `STORE` or by a later block.
    pub synced_block: u64,
    /// Segment and byte behind the last block.
    pub end: Option<(u32, u64)>,
    /// Segment and byte where a crash has cut off what was being written.
    pub torn: Option<(u32, u64)>,
    /// The run had ended in order.
    pub ended: bool,
}

/// How far reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that were looked at.
    pub bytes: u64,
    /// Bytes of all segments that are read. A run that ended in order is through before.
    pub of: u64,
}

/// Where the reader is, or was: index of the segment, byte.
type At = (usize, u64);

/// Reads the run in force.
pub struct Reader {
    store: Store,
    segments: Vec<(u32, u64)>,
    at: At,
    /// The number of the next block.
    expected: u64,
    /// Where the expected block is not, while the rest is looked at.
    gap: Option<At>,
    /// Something was found behind that.
    is_torn: bool,
    outcome: Outcome,
}

impl Reader {
    /// One at the beginning.
    pub fn new(opened: &Opened) -> Reader {
        let store = opened.store.clone();
        let segments = opened.read.iter().zip(&opened.bytes);
        Reader {
            segments: segments.map(|(number, bytes)| (*number, *bytes)).collect(),
            at: (0, FIRST_BLOCK_AT),
            expected: store.first_block,
            gap: None,
            is_torn: false,
            outcome: Outcome {
                run: store.in_force,
                next: store.starts.clone(),
                wall_ms: 0,
                blocks: 0,
                last_block: 0,
                synced_block: store.synced_block,
                end: None,
                torn: None,
                ended: false,
            },
            store,
        }
    }

    /// What is to be read next; `None`: everything was.
    pub fn next_read(&mut self) -> Option<ReadRequest> {
        if self.outcome.ended {
            return None;
        }
        while let Some((segment, bytes)) = self.segments.get(self.at.0) {
            let left = bytes.saturating_sub(self.at.1);
            if left >= STORE_PAGE_BYTES as u64 {
                return Some(ReadRequest {
                    segment: *segment,
                    offset: self.at.1,
                    bytes: left.min(STORE_READ_BYTES as u64) as usize,
                });
            }
            self.at = (self.at.0 + 1, FIRST_BLOCK_AT);
        }
        None
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        let add = |sum: u64, segment: &(u32, u64)| sum.saturating_add(segment.1);
        let bytes = |segments: &[(u32, u64)]| segments.iter().fold(0, add);
        let (done, rest) = self.segments.split_at(self.at.0.min(self.segments.len()));
        let begun = rest.first().map_or(0, |(_, bytes)| self.at.1.min(*bytes));
        Progress {
            bytes: bytes(done).saturating_add(begun),
            of: bytes(&self.segments),
        }
    }

    /// What was read for the last request, or less if the file has less. Chunks that count are given on.
    ///
    /// # Errors
    /// The store is damaged.
    pub fn take(&mut self, bytes: &[u8], give: &mut dyn FnMut(Recovered<'_>)) -> Result<(), Fault> {
        let Some(request) = self.next_read() else {
            return Ok(());
        };
        let mut at = 0;
        while !self.outcome.ended {
            let rest = bytes.get(at..).unwrap_or_default();
            if rest.len() < STORE_PAGE_BYTES {
                break;
            }
            let run = self.store.in_force;
            let wanted = BlockHeader::peek(run, rest).unwrap_or(0);
            // What does not end in these bytes is asked for again from its beginning; a file that ends does not have it.
            if wanted > rest.len() && at > 0 {
                break;
            }
            at += self.take_page(rest, give)?;
            self.at.1 = request.offset + at as u64;
        }
        if bytes.len() < request.bytes {
            self.at = (self.at.0 + 1, FIRST_BLOCK_AT);
        }
        Ok(())
    }

    /// Looks at what begins at the reader's place. Returns the bytes that are done with.
    fn take_page(
        &mut self,
        bytes: &[u8],
        give: &mut dyn FnMut(Recovered<'_>),
    ) -> Result<usize, Fault> {
        let place = self.place(self.at);
        let Some((block, content)) = BlockHeader::decode(&place, bytes) else {
            self.gap.get_or_insert(self.at);
            self.is_torn |= BlockHeader::peek(place.run, bytes).is_some();
            return Ok(STORE_PAGE_BYTES);
        };
        if self.follows(&block) {
            self.gap = None;
            self.is_torn = false;
            self.expected = block.number.saturating_add(1);
            self.take_block(&block, content, give)?;
        } else {
            let gap = *self.gap.get_or_insert(self.at);
            self.is_torn = true;
            if block.synced >= self.expected && has(Protection::RotTold) {
                return Err(self.rot(gap));
            }
        }
        Ok(block_bytes(content.len()))
    }

    /// Whether a block is the one with which reading goes on.
    fn follows(&self, block: &BlockHeader) -> bool {
        let is_first = self.at.1 == FIRST_BLOCK_AT;
        if is_first && block.has(RESUMES) {
            return block.number >= self.expected && block.synced < self.expected;
        }
        block.number == self.expected && (self.gap.is_none() || is_first)
    }

    fn take_block(
        &mut self,
        block: &BlockHeader,
        content: &[u8],
        give: &mut dyn FnMut(Recovered<'_>),
    ) -> Result<(), Fault> {
        let place = self.place(self.at);
        let end = place.offset + block_bytes(content.len()) as u64;
        self.outcome.blocks += 1;
        self.outcome.last_block = block.number;
        self.outcome.synced_block = self.outcome.synced_block.max(block.synced);
        self.outcome.end = Some((place.segment, end));
        self.outcome.wall_ms = block.wall_ms;
        self.outcome.ended = block.has(ENDS);
        if block.has(EMPTY) {
            return Ok(());
        }
        let stream = usize::from(block.stream);
        let (inconsistent, streams) = (self.inconsistent(), self.outcome.next.len());
        let Some(next) = self.outcome.next.get_mut(stream) else {
            return Err(inconsistent);
        };
        // Below it lies what a checkpoint has made needless, or what comes again behind a failure.
        if block.sequence > *next {
            return Err(inconsistent);
        }
        let is_repeated =
            !has(Protection::TakenOnce) && block.sequence >= self.store.starts[stream];
        if block.sequence == *next || is_repeated {
            *next = block.sequence + 1;
            give(Recovered {
                stream: block.stream,
                streams,
                sequence: block.sequence,
                content,
                wall_ms: block.wall_ms,
                place: (place.segment, place.offset),
            });
        }
        Ok(())
    }

    /// What came of it, when there is nothing left to read.
    ///
    /// # Errors
    /// What is missing at the end was on the disk.
    pub fn finish(mut self) -> Result<Outcome, Fault> {
        if self.outcome.run == 0 {
            return Ok(self.outcome);
        }
        let last = self.segments.len().saturating_sub(1);
        let gap = self.gap.unwrap_or((last, self.at.1));
        if self.expected <= self.store.synced_block && has(Protection::RotTold) {
            return Err(self.rot(gap));
        }
        if self.is_torn {
            let place = self.place(gap);
            self.outcome.torn = Some((place.segment, place.offset));
        }
        Ok(self.outcome)
    }

    fn place(&self, at: At) -> Place {
        Place {
            store: self.store.id,
            run: self.store.in_force,
            segment: self.segments.get(at.0).map_or(0, |(number, _)| *number),
            offset: at.1,
        }
    }

    fn rot(&self, gap: At) -> Fault {
        let place = self.place(gap);
        Fault::Rot {
            segment: place.segment,
            offset: place.offset,
            block: self.expected,
        }
    }

    fn inconsistent(&self) -> Fault {
        let place = self.place(self.at);
        Fault::Inconsistent {
            segment: place.segment,
            offset: place.offset,
        }
    }
}
