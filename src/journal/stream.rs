//! One shard's records on their way to the disk, cut into chunks, and back.
//!
//! Records follow each other without regard to chunks: one may go on in the next chunk, and a large one takes several. A chunk that has
//! been written comes back and is used again. Who writes an answer that promises a record asks for the number of the chunk in which
//! that record ends (`Stream::position`).

use std::collections::VecDeque;

use super::bytes::Reader;
use super::encode::Encoder;
use super::error::Broken;
use super::record::Record;
use crate::limits;

/// What a shard has to say to the disk.
#[derive(Debug, Default)]
pub struct Stream {
    encoder: Encoder,
    /// A record on its way into chunks.
    record: Vec<u8>,
    open: Vec<u8>,
    full: VecDeque<Vec<u8>>,
    spare: Vec<Vec<u8>>,
    /// Chunks that have been given away.
    given: u64,
}

impl Stream {
    /// Appends a record.
    pub fn append(&mut self, record: &Record<'_>) {
        let mut whole = std::mem::take(&mut self.record);
        whole.clear();
        self.encoder.encode(record, &mut whole);
        self.put(&whole);
        match whole.capacity() > limits::JOURNAL_CHUNK_BYTES {
            true => self.encoder.trim(),
            false => self.record = whole,
        }
    }

    fn put(&mut self, mut rest: &[u8]) {
        while !rest.is_empty() {
            if self.open.len() == limits::JOURNAL_CHUNK_BYTES {
                self.close();
            }
            if self.open.capacity() == 0 {
                self.open = self.spare.pop().unwrap_or_default();
                self.open.reserve_exact(limits::JOURNAL_CHUNK_BYTES);
            }
            let room = limits::JOURNAL_CHUNK_BYTES - self.open.len();
            let (now, later) = rest.split_at(rest.len().min(room));
            self.open.extend_from_slice(now);
            rest = later;
        }
    }

    fn close(&mut self) {
        self.full.push_back(std::mem::take(&mut self.open));
    }

    /// The number of the chunk in which the last record ends; chunks count from 1, and it is 0 as long as there is none.
    pub fn position(&self) -> u64 {
        let waiting = self.full.len() as u64;
        self.given + waiting + u64::from(!self.open.is_empty())
    }

    /// Whether nothing is to be written.
    pub fn is_empty(&self) -> bool {
        self.full.is_empty() && self.open.is_empty()
    }

    /// The next chunk that is to be written, whether it is full or not.
    pub fn next_chunk(&mut self) -> Option<Vec<u8>> {
        if self.full.is_empty() && !self.open.is_empty() {
            self.close();
        }
        let chunk = self.full.pop_front()?;
        self.given += 1;
        Some(chunk)
    }

    /// A chunk has been written, and may be used again.
    pub fn give_back(&mut self, mut chunk: Vec<u8>) {
        if self.spare.len() < limits::JOURNAL_CHUNKS_SPARE {
            chunk.clear();
            self.spare.push(chunk);
        }
    }

    /// Bytes of memory beside itself.
    pub fn memory(&self) -> usize {
        let full: usize = self.full.iter().map(Vec::capacity).sum();
        let spare: usize = self.spare.iter().map(Vec::capacity).sum();
        self.record.capacity() + self.encoder.memory() + self.open.capacity() + full + spare
    }
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
            for (topic, &(_, gives)) in topics.iter().zip(&lens) {
                stream.append(&record(topic));
                while gives && let Some(chunk) = stream.next_chunk() {
                    chunks.push(chunk.clone());
                    stream.give_back(chunk);
                }
            }
            let position = stream.position();
            while let Some(chunk) = stream.next_chunk() {
                chunks.push(chunk);
            }
            prop_assert_eq!(position, chunks.len() as u64);
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
        let bytes = stream.next_chunk().unwrap();
        let single: Vec<Vec<u8>> = bytes.iter().map(|&byte| vec![byte]).collect();
        assert_eq!(read(&single), topics);
    }

    #[test]
    fn memory_of_a_large_record_is_given_back() {
        let mut stream = Stream::default();
        stream.append(&record(&"x".repeat(5 << 20)));
        while let Some(chunk) = stream.next_chunk() {
            stream.give_back(chunk);
        }
        let chunks = limits::JOURNAL_CHUNKS_SPARE + 3;
        assert!(stream.memory() <= chunks * limits::JOURNAL_CHUNK_BYTES);
    }
}
