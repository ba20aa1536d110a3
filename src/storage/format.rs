//! What the files of a store look like: `STORE`, the header of a segment, the header of a block. Encoding, decoding, checks.
//!
//! All numbers are little-endian. A checksum is CRC-32C; that of a block is seeded with store, run, segment and offset, so that a
//! block which lies where it was not written, or was left by an older use of its file, is none.

use std::fmt;

use crate::limits::{
    SHARDS_MAX, STORE_BLOCK_BYTES_MAX, STORE_BLOCK_HEADER_BYTES, STORE_PAGE_BYTES,
    STORE_SEGMENT_BYTES_MAX, STORE_SEGMENT_BYTES_MIN,
};

use super::canary::{Protection, has};

/// The version of the format that this program writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 1;

/// Bytes of the header of a block.
pub(super) const BLOCK_HEADER_BYTES: usize = 64;
// A chunk keeps so many bytes free in front.
const _: () = assert!(BLOCK_HEADER_BYTES == STORE_BLOCK_HEADER_BYTES);

/// Where the first block of a segment begins.
pub(super) const FIRST_BLOCK_AT: u64 = STORE_PAGE_BYTES as u64;

const STORE_MAGIC: [u8; 8] = *b"FHSTORE\n";
const SEGMENT_MAGIC: [u8; 8] = *b"FHSEGMT\n";
const BLOCK_MAGIC: u32 = u32::from_le_bytes(*b"FHBL");
const STORE_FIXED_BYTES: usize = 64;
const SEGMENT_HEADER_BYTES: usize = 64;

/// Bytes of the largest `STORE`.
pub const STORE_BYTES_MAX: usize = STORE_FIXED_BYTES + 8 * SHARDS_MAX;

/// What is wrong with the bytes of `STORE` or of a segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// Not a file of ours at all.
    Foreign,
    /// Written by a newer program, in this format.
    Newer(u32),
    /// The checksum is wrong, bytes are missing, or a value is impossible.
    Damaged,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormatError::Foreign => write!(f, "it is not a file of firehose"),
            FormatError::Newer(format) => write!(
                f,
                "it has format {format}, of a newer firehose; this one reads up to {FORMAT}"
            ),
            FormatError::Damaged => write!(f, "its checksum is wrong"),
        }
    }
}

/// The content of `STORE`: which run is in force, and where reading begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Drawn once, when the store was made.
    pub id: u64,
    /// The run that is read at a start; 0: none yet.
    pub in_force: u32,
    /// The greatest run that has ever begun. The next is greater, so that no block of it can be taken for an older one.
    pub run_last: u32,
    /// The first segment that is read.
    pub first_segment: u32,
    /// The number of that segment's first block.
    pub first_block: u64,
    /// The last block that was on the disk when this was written.
    pub synced_block: u64,
    /// By stream: the sequence of the chunk with which reading begins.
    pub starts: Vec<u64>,
}

impl Store {
    /// A store in which nothing has been written.
    pub fn new(id: u64) -> Store {
        Store {
            id,
            in_force: 0,
            run_last: 0,
            first_segment: 0,
            first_block: 1,
            synced_block: 0,
            starts: Vec::new(),
        }
    }

    /// The bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; STORE_FIXED_BYTES + 8 * self.starts.len()];
        bytes[..8].copy_from_slice(&STORE_MAGIC);
        put_u32(&mut bytes, 8, FORMAT);
        put_u64(&mut bytes, 16, self.id);
        put_u32(&mut bytes, 24, self.in_force);
        put_u32(&mut bytes, 28, self.run_last);
        put_u32(&mut bytes, 32, self.first_segment);
        put_u32(&mut bytes, 36, self.starts.len() as u32);
        put_u64(&mut bytes, 40, self.first_block);
        put_u64(&mut bytes, 48, self.synced_block);
        for (stream, start) in self.starts.iter().enumerate() {
            put_u64(&mut bytes, STORE_FIXED_BYTES + 8 * stream, *start);
        }
        let crc = crc32c::crc32c(&bytes);
        put_u32(&mut bytes, 12, crc);
        bytes
    }

    /// Reads the bytes of the file.
    ///
    /// # Errors
    /// They are not those of a store that this program can read.
    pub fn decode(bytes: &[u8]) -> Result<Store, FormatError> {
        check_start(bytes, STORE_MAGIC, STORE_FIXED_BYTES)?;
        let streams = get_u32(bytes, 36) as usize;
        let whole = bytes.len() == STORE_FIXED_BYTES + 8 * streams.min(SHARDS_MAX);
        if streams > SHARDS_MAX || !whole {
            return Err(FormatError::Damaged);
        }
        let starts = (0..streams).map(|stream| get_u64(bytes, STORE_FIXED_BYTES + 8 * stream));
        Ok(Store {
            id: get_u64(bytes, 16),
            in_force: get_u32(bytes, 24),
            run_last: get_u32(bytes, 28),
            first_segment: get_u32(bytes, 32),
            first_block: get_u64(bytes, 40),
            synced_block: get_u64(bytes, 48),
            starts: starts.collect(),
        })
    }
}

/// The header of a segment: its first page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// The store that it belongs to.
    pub(super) store: u64,
    /// The run that it was made for.
    pub(super) run: u32,
    /// Its number, which its name has too.
    pub(super) number: u32,
    /// Bytes of the whole file.
    pub(super) bytes: u64,
}

impl SegmentHeader {
    /// The bytes of the first page.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut page = vec![0; STORE_PAGE_BYTES];
        page[..8].copy_from_slice(&SEGMENT_MAGIC);
        put_u32(&mut page, 8, FORMAT);
        put_u64(&mut page, 16, self.store);
        put_u32(&mut page, 24, self.run);
        put_u32(&mut page, 28, self.number);
        put_u64(&mut page, 32, self.bytes);
        let crc = crc32c::crc32c(&page[..SEGMENT_HEADER_BYTES]);
        put_u32(&mut page, 12, crc);
        page
    }

    /// Reads the bytes at the start of a segment.
    ///
    /// # Errors
    /// They are not those of a segment that this program can read.
    pub(super) fn decode(bytes: &[u8]) -> Result<SegmentHeader, FormatError> {
        let sealed = bytes.get(..SEGMENT_HEADER_BYTES).unwrap_or(bytes);
        check_start(sealed, SEGMENT_MAGIC, SEGMENT_HEADER_BYTES)?;
        let header = SegmentHeader {
            store: get_u64(bytes, 16),
            run: get_u32(bytes, 24),
            number: get_u32(bytes, 28),
            bytes: get_u64(bytes, 32),
        };
        let sized = (STORE_SEGMENT_BYTES_MIN..=STORE_SEGMENT_BYTES_MAX).contains(&header.bytes)
            && header.bytes.is_multiple_of(STORE_PAGE_BYTES as u64);
        if sized {
            Ok(header)
        } else {
            Err(FormatError::Damaged)
        }
    }
}

/// Where a block lies: what its checksum is seeded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The store.
    pub(super) store: u64,
    /// The run that wrote it.
    pub(super) run: u32,
    /// The segment.
    pub(super) segment: u32,
    /// The byte of the segment at which it begins.
    pub(super) offset: u64,
}

impl Place {
    fn seed(&self) -> u32 {
        if !has(Protection::SeededChecksum) {
            return 0;
        }
        let mut bytes = [0; 24];
        put_u64(&mut bytes, 0, self.store);
        put_u32(&mut bytes, 8, self.run);
        put_u32(&mut bytes, 12, self.segment);
        put_u64(&mut bytes, 16, self.offset);
        crc32c::crc32c(&bytes)
    }
}

/// The block is empty: it says only what was on the disk.
pub(super) const EMPTY: u8 = 1;
/// The first block of a segment behind one that failed: blocks after `synced`, and before this one, do not count, and their
/// chunks come again behind it.
pub(super) const RESUMES: u8 = 2;
/// The last block of a run that ended in order. It is empty too.
pub(super) const ENDS: u8 = 4;
const FLAGS: u8 = EMPTY | RESUMES | ENDS;

/// The header of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BlockHeader {
    /// Bytes of the chunk.
    pub(super) length: u32,
    /// The stream that the chunk is of.
    pub(super) stream: u8,
    /// `EMPTY`, `RESUMES`, `ENDS`.
    pub(super) flags: u8,
    /// The number of the block in its run, from 1: contiguous but where one resumes.
    pub(super) number: u64,
    /// The last block that was on the disk for sure when this one was written.
    pub(super) synced: u64,
    /// The number of the chunk in its stream, from 0.
    pub(super) sequence: u64,
    /// When it was written, in milliseconds since 1970.
    pub(super) wall_ms: u64,
}

impl BlockHeader {
    /// Writes the header of a block in front of its chunk: `block` begins with room for it and ends with the chunk.
    pub(super) fn seal(&self, place: &Place, block: &mut [u8]) {
        self.seal_with(place.seed(), place.run, block);
    }

    /// The same with the seed of the place.
    pub(super) fn seal_with(&self, seed: u32, run: u32, block: &mut [u8]) {
        let (header, chunk) = block.split_at_mut(BLOCK_HEADER_BYTES);
        header.fill(0);
        put_u32(header, 0, BLOCK_MAGIC);
        put_u32(header, 8, run);
        put_u32(header, 12, self.length);
        header[16] = self.stream;
        header[17] = self.flags;
        put_u64(header, 24, self.number);
        put_u64(header, 32, self.synced);
        put_u64(header, 40, self.sequence);
        put_u64(header, 48, self.wall_ms);
        // Bytes 56 to 63 are zeros.
        let crc = crc32c::crc32c_append(seed, header);
        put_u32(header, 4, crc32c::crc32c_append(crc, chunk));
    }

    /// Whether bytes may begin a block of a run, and then the bytes of its header and chunk. `None`: there is no block.
    pub(super) fn peek(run: u32, bytes: &[u8]) -> Option<usize> {
        if bytes.len() < BLOCK_HEADER_BYTES
            || get_u32(bytes, 0) != BLOCK_MAGIC
            || get_u32(bytes, 8) != run
        {
            return None;
        }
        let length = get_u32(bytes, 12) as usize;
        (length <= STORE_BLOCK_BYTES_MAX - BLOCK_HEADER_BYTES)
            .then_some(BLOCK_HEADER_BYTES + length)
    }

    /// Reads a block that lies at `place`; `bytes` goes on behind it. `None`: there is none, or it is not whole.
    pub(super) fn decode<'a>(place: &Place, bytes: &'a [u8]) -> Option<(BlockHeader, &'a [u8])> {
        let whole = bytes.get(..BlockHeader::peek(place.run, bytes)?)?;
        let (header, chunk) = whole.split_at(BLOCK_HEADER_BYTES);
        let mut crc = place.seed();
        for part in [&header[..4], &[0; 4], &header[8..], chunk] {
            crc = crc32c::crc32c_append(crc, part);
        }
        let flags = header[17];
        if crc != get_u32(header, 4) || flags & !FLAGS != 0 {
            return None;
        }
        let decoded = BlockHeader {
            length: chunk.len() as u32,
            stream: header[16],
            flags,
            number: get_u64(header, 24),
            synced: get_u64(header, 32),
            sequence: get_u64(header, 40),
            wall_ms: get_u64(header, 48),
        };
        Some((decoded, chunk))
    }

    /// Whether a flag is set.
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The name of a segment's file, by its number.
pub fn segment_name(number: u32) -> String {
    format!("{number:08x}.log")
}

/// The name that a segment's file has until it is ready for use.
pub fn unready_name(number: u32) -> String {
    format!("{number:08x}.new")
}

/// The number in the name of a segment's file, and whether it is ready for use; `None` for a file of another kind.
pub fn segment_number(name: &str) -> Option<(u32, bool)> {
    let (stem, ending) = name.split_once('.')?;
    let ready = match ending {
        "log" => true,
        "new" => false,
        _ => return None,
    };
    let number = u32::from_str_radix(stem, 16).ok()?;
    (segment_name(number) == name || unready_name(number) == name).then_some((number, ready))
}

/// Checks magic, length, checksum and format of what is sealed by the checksum. Every format to come has these where they are, over as
/// much: so a newer one is told as that, and a wrong byte in the format is not.
fn check_start(sealed: &[u8], magic: [u8; 8], least: usize) -> Result<(), FormatError> {
    if !sealed.starts_with(&magic) {
        return Err(FormatError::Foreign);
    }
    if sealed.len() < least || !checksum_is_right(sealed) {
        return Err(FormatError::Damaged);
    }
    match get_u32(sealed, 8) {
        FORMAT => Ok(()),
        0 => Err(FormatError::Damaged),
        newer => Err(FormatError::Newer(newer)),
    }
}

/// Whether the checksum at byte 12 is that of all, with zeros in its place.
fn checksum_is_right(bytes: &[u8]) -> bool {
    let mut crc = 0;
    for part in [&bytes[..12], &[0; 4], &bytes[16..]] {
        crc = crc32c::crc32c_append(crc, part);
    }
    crc == get_u32(bytes, 12)
}

fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn put_u64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

fn get_u32(bytes: &[u8], at: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(value)
}

fn get_u64(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}

/// A block that would be one if its checksum did not say where it belongs: what a client could send as a payload.
#[cfg(test)]
pub(crate) fn forged_block(run: u32, number: u64) -> Vec<u8> {
    let mut block = vec![0; STORE_PAGE_BYTES];
    let header = BlockHeader {
        length: (STORE_PAGE_BYTES - BLOCK_HEADER_BYTES) as u32,
        number,
        synced: number,
        ..BlockHeader::default()
    };
    header.seal_with(0, run, &mut block);
    block
}
