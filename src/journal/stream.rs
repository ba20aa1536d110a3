//! One shard's records on their way to the disk, cut into chunks, and back.
//!
//! Records follow each other without regard to chunks: one may go on in the next chunk, and a large one takes several. A chunk that has
//! been written comes back and is used again. Who writes an answer that promises a record asks for the number of the chunk in which
//! that record ends (`Stream::position`).

use std::collections::VecDeque;

use super::bytes::Reader;
use super::encode::Encoder;
use super::error::Broken;
use super::record::{Record, kind};
use crate::chunk::Chunk;
use crate::limits;

/// What a shard has to say to the disk.
#[derive(Debug, Default)]
pub struct Stream {
    encoder: Encoder,
    /// A record on its way into chunks.
    record: Vec<u8>,
    open: Option<Chunk>,
    full: VecDeque<Chunk>,
    spare: Vec<Chunk>,
    /// Chunks that have been given away.
    given: u64,
    /// Something was appended since the last turn ended.
    has_open_turn: bool,
    /// Bytes of all that was appended.
    appended: u64,
    /// The number of the chunk with which a part begins, until that is given away.
    begins: Option<u64>,
}

impl Stream {
    /// Appends a record.
    pub fn append(&mut self, record: &Record<'_>) {
        self.has_open_turn = true;
        let mut whole = std::mem::take(&mut self.record);
        whole.clear();
        self.encoder.encode(record, &mut whole);
        self.appended += whole.len() as u64;
        self.put(&whole);
        match whole.capacity() > limits::JOURNAL_CHUNK_BYTES {
            true => self.encoder.trim(),
            false => self.record = whole,
        }
    }

    fn put(&mut self, mut rest: &[u8]) {
        while !rest.is_empty() {
            let spare = &mut self.spare;
            let open = self.open.get_or_insert_with(|| {
                let spare = spare.pop();
                spare.unwrap_or_else(|| Chunk::new(limits::JOURNAL_CHUNK_BYTES))
            });
            let taken = open.fill(rest);
            rest = &rest[taken..];
            if open.room() == 0 {
                self.full.extend(self.open.take());
            }
        }
    }

    /// Whether something was appended since the last turn ended.
    pub fn has_open_turn(&self) -> bool {
        self.has_open_turn
    }

    /// A turn ends. Returns the number of the chunk in which its last record does; chunks count from 1.
    pub fn end_turn(&mut self) -> u64 {
        self.has_open_turn = false;
        self.position()
    }

    fn position(&self) -> u64 {
        let waiting = self.full.len() as u64;
        self.given + waiting + u64::from(self.open.is_some())
    }

    /// The next chunk that is to be written, whether it is full or not, and whether a part begins with it.
    pub fn next_chunk(&mut self) -> Option<(Chunk, bool)> {
        let chunk = self.full.pop_front().or_else(|| self.open.take())?;
        self.given += 1;
        let begins = self.begins.take_if(|begins| *begins == self.given);
        Some((chunk, begins.is_some()))
    }

    /// What is appended from here on is a part of its own, which begins with a chunk.
    pub fn begin_part(&mut self) {
        self.full.extend(self.open.take());
        self.begins = Some(self.position() + 1);
    }

    /// A turn is open, whatever was appended.
    pub fn open_turn(&mut self) {
        self.has_open_turn = true;
    }

    /// Bytes of all that was appended.
    pub fn appended_bytes(&self) -> u64 {
        self.appended
    }

    /// The next chunk that is to be written, if it is full.
    pub fn next_full_chunk(&mut self) -> Option<Chunk> {
        let chunk = self.full.pop_front()?;
        self.given += 1;
        Some(chunk)
    }

    /// A chunk has been written, and may be used again.
    pub fn give_back(&mut self, mut chunk: Chunk) {
        if self.spare.len() < limits::JOURNAL_CHUNKS_SPARE {
            chunk.clear();
            self.spare.push(chunk);
        }
    }

    /// Bytes of memory beside itself.
    pub fn memory(&self) -> usize {
        let chunks = self.full.iter().chain(&self.spare).chain(&self.open);
        let chunks: usize = chunks.map(Chunk::memory).sum();
        self.record.capacity() + self.encoder.memory() + chunks
    }
}

/// Whether a chunk that begins with a record begins with a checkpoint, where reading may begin.
pub(super) fn begins_checkpoint(chunk: &[u8]) -> bool {
    let first = Reader::new(chunk).bytes();
    first.is_ok_and(|record| record == [kind::CHECKPOINT_BEGUN])
}

/// Puts the records of one stream together again.
#[derive(Debug, Default)]
pub struct Joiner {
    /// The start of a record that goes on in the next chunk.
    begun: Vec<u8>,
}

impl Joiner {
    /// The next chunk. Calls for each record that is whole, without its length. What is left at the end of the last chunk was not
    /// whole when the writing ended: nobody was promised anything of it.
    pub fn feed<E: From<Broken>>(
        &mut self,
        chunk: &[u8],
        mut then: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut reader = Reader::new(chunk);
        while !self.begun.is_empty() && reader.left() > 0 {
            self.join(&mut reader)?;
            let mut whole = Reader::new(&self.begun);
            if let Ok(record) = whole.bytes() {
                then(record)?;
                self.begun.clear();
                self.begun.shrink_to(limits::JOURNAL_TURN_BYTES_SPARE);
            }
        }
        while reader.left() > 0 {
            let rest = reader.rest();
            match reader.bytes() {
                Ok(record) => then(record)?,
                Err(Broken::Short) => {
                    self.begun.extend_from_slice(rest);
                    return Ok(());
                }
                Err(other) => return Err(other.into()),
            }
        }
        Ok(())
    }

    /// Gives memory back.
    pub(super) fn shrink(&mut self) {
        self.begun.shrink_to_fit();
    }

    /// Takes what belongs to the record that was begun: its length first, a byte at a time.
    fn join(&mut self, reader: &mut Reader<'_>) -> Result<(), Broken> {
        let mut begun = Reader::new(&self.begun);
        let wanted = match begun.number() {
            Ok(len) => {
                let len = usize::try_from(len).map_err(|_| Broken::Number)?;
                len - len.min(begun.left())
            }
            Err(Broken::Short) => 1,
            Err(other) => return Err(other),
        };
        self.begun.extend_from_slice(reader.up_to(wanted));
        Ok(())
    }

    /// Whether a record was begun and is not whole.
    pub fn has_begun(&self) -> bool {
        !self.begun.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::journal::decode::Decoder;
    use crate::journal::record::Record;

    fn record(topic: &str) -> Record<'_> {
        Record::RetainedRemoved { topic }
    }

    fn read(chunks: &[Vec<u8>]) -> Vec<String> {
        let (mut joiner, mut decoder) = (Joiner::default(), Decoder::default());
        let mut topics = Vec::new();
        for chunk in chunks {
            let fed = joiner.feed(chunk, |bytes| {
                match decoder.decode(bytes)? {
                    Some(Record::RetainedRemoved { topic }) => topics.push(topic.to_string()),
                    other => panic!("{other:?}"),
                }
                Ok::<_, Broken>(())
            });
            fed.unwrap();
        }
        topics
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn records_come_back_however_they_are_cut(
            lens in proptest::collection::vec((0usize..300_000, any::<bool>()), 1..12),
            cut in 0usize..1 << 20,
        ) {
            let topics: Vec<String> = lens.iter().map(|&(len, _)| "x".repeat(len)).collect();
            let mut stream = Stream::default();
            let mut chunks: Vec<Vec<u8>> = Vec::new();
            let mut positions = Vec::new();
            for (topic, &(_, gives)) in topics.iter().zip(&lens) {
                stream.append(&record(topic));
                while gives && let Some((chunk, _)) = stream.next_chunk() {
                    chunks.push(chunk.content().to_vec());
                    stream.give_back(chunk);
                }
                prop_assert!(stream.has_open_turn());
                positions.push(stream.end_turn());
            }
            while let Some((chunk, _)) = stream.next_chunk() {
                chunks.push(chunk.content().to_vec());
            }
            prop_assert_eq!(positions.last(), Some(&(chunks.len() as u64)));
            for (end, position) in positions.iter().enumerate() {
                let known = read(&chunks[..*position as usize]);
                prop_assert!(known.len() > end, "a turn is in the chunks up to its end");
            }
            prop_assert!(chunks.iter().all(|chunk| chunk.len() <= limits::JOURNAL_CHUNK_BYTES));
            prop_assert_eq!(&read(&chunks), &topics);

            let bytes = chunks.concat();
            let cut = cut % bytes.len();
            let pieces = [bytes[..cut].to_vec(), bytes[cut..].to_vec()];
            prop_assert_eq!(&read(&pieces), &topics);
            let whole = read(&pieces[..1]);
            prop_assert_eq!(&whole[..], &topics[..whole.len()]);
        }
    }

    #[test]
    fn a_record_may_be_cut_at_every_byte() {
        let mut stream = Stream::default();
        let topics = ["a".repeat(5), "b".repeat(200), String::new()];
        topics
            .iter()
            .for_each(|topic| stream.append(&record(topic)));
        let (bytes, _) = stream.next_chunk().unwrap();
        let single: Vec<Vec<u8>> = bytes.content().iter().map(|&byte| vec![byte]).collect();
        assert_eq!(read(&single), topics);
    }

    #[test]
    fn memory_of_a_large_record_is_given_back() {
        let mut stream = Stream::default();
        stream.append(&record(&"x".repeat(5 << 20)));
        while let Some((chunk, _)) = stream.next_chunk() {
            stream.give_back(chunk);
        }
        let chunks = limits::JOURNAL_CHUNKS_SPARE + 3;
        assert!(stream.memory() <= chunks * (64 << 10));
    }
}
