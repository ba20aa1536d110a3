//! How far each stream is: handed over, written, on the disk; and where reading it begins, now and with the next checkpoint.

use super::format::Store;

/// The chunk with which a checkpoint of a stream begins.
#[derive(Clone, Copy)]
struct Begin {
    sequence: u64,
    /// Bytes that all streams had handed over before it.
    place: u64,
    /// Where it lies, from when it is on the disk.
    segment: Option<u32>,
}

#[derive(Default)]
struct Stream {
    /// The number of its next chunk.
    next: u64,
    /// Chunks that were written.
    written: u64,
    /// Chunks that are on the disk.
    synced: u64,
    /// With this reading begins.
    start: Option<Begin>,
    /// With this, when the checkpoint under way is complete.
    completing: Option<Begin>,
    /// With this, when the next one is: all of the stream's part in it was handed over.
    finished: Option<Begin>,
    /// With this, when the one that has begun is complete.
    begun: Option<Begin>,
    /// So many checkpoints it is through with that others are not.
    ahead: u64,
}

pub(super) struct Streams(Vec<Stream>);

impl Streams {
    pub(super) fn new(count: usize) -> Streams {
        Streams((0..count).map(|_| Stream::default()).collect())
    }

    /// Numbers a chunk, before which all streams have handed over `place` bytes. `None`: there is no such stream.
    pub(super) fn push(&mut self, stream: u8, begins: bool, place: u64) -> Option<u64> {
        let stream = self.0.get_mut(usize::from(stream))?;
        let sequence = stream.next;
        stream.next += 1;
        // The first chunk of a run begins a checkpoint, whatever is said of it.
        if begins || sequence == 0 {
            stream.begun = Some(Begin {
                sequence,
                place,
                segment: None,
            });
        }
        Some(sequence)
    }

    pub(super) fn on_written(&mut self, stream: u8, sequence: u64) {
        if let Some(stream) = self.0.get_mut(usize::from(stream)) {
            // What is written again after a failure has been counted.
            stream.written = stream.written.max(sequence + 1);
        }
    }

    pub(super) fn on_synced(&mut self, stream: u8, sequence: u64, segment: u32) {
        let Some(stream) = self.0.get_mut(usize::from(stream)) else {
            return;
        };
        stream.synced = stream.synced.max(sequence + 1);
        let begins = [
            &mut stream.completing,
            &mut stream.finished,
            &mut stream.begun,
        ];
        for begin in begins.into_iter().flatten() {
            if begin.sequence == sequence {
                begin.segment = Some(segment);
            }
        }
    }

    /// Chunks of a stream that were written, and that are on the disk.
    pub(super) fn progress(&self, stream: u8) -> (u64, u64) {
        let stream = self.0.get(usize::from(stream));
        stream.map_or((0, 0), |stream| (stream.written, stream.synced))
    }

    /// Chunks of all streams that were written.
    pub(super) fn written(&self) -> u64 {
        self.0.iter().map(|stream| stream.written).sum()
    }

    /// A stream has handed over all chunks of its part of the checkpoint that has begun.
    pub(super) fn complete(&mut self, stream: u8) {
        if let Some(stream) = self.0.get_mut(usize::from(stream)) {
            // One that is ahead of the others is read from the newest part that is whole.
            stream.finished = stream.begun.take().or(stream.finished);
            stream.ahead += 1;
        }
    }

    /// Whether all streams have, since the last checkpoint that all are through with.
    pub(super) fn is_complete(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|stream| stream.ahead > 0)
    }

    /// All streams are through with a checkpoint. Returns the place where the first of them has begun it, if one has.
    pub(super) fn take_complete(&mut self) -> Option<u64> {
        for stream in &mut self.0 {
            stream.ahead = stream.ahead.saturating_sub(1);
            stream.completing = stream.finished.take();
        }
        let parts = self.0.iter().flat_map(|stream| &stream.completing);
        parts.map(|begin| begin.place).min()
    }

    /// All of them are on the disk: reading begins there. Says so in `store`, whose `first_segment` comes in as the least that
    /// could be needed of streams without a chunk.
    pub(super) fn on_complete(&mut self, store: &mut Store) {
        store.starts.clear();
        for stream in &mut self.0 {
            stream.start = stream.completing.take().or(stream.start);
            store
                .starts
                .push(stream.start.map_or(0, |start| start.sequence));
            if let Some(segment) = stream.start.and_then(|start| start.segment) {
                store.first_segment = store.first_segment.min(segment);
            }
        }
    }
}
