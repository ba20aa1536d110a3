//! What streams hand over, taken in one order over all of them.
//!
//! Each chunk has a number: 0, 1, 2 and so on in a run, over all streams. Chunks are taken in that order, whichever stream they come
//! from: the first of a stream whose number is not the next waits here, and what is behind it with its stream. So what is
//! written, and what the next start reads, is always the beginning of that order.
//!
//! There is no standstill as long as each stream hands over in the order of its numbers: the next number is then the first of some
//! stream, or still with it. A number that nobody has any more is found out when every stream has closed or waits for it: nothing
//! behind it is taken then.

use crate::chunk::Chunk;
use crate::limits::STORE_LINE_SLOTS;

use super::canary::{Protection, has};
use super::op::Now;
use super::writer::Writer;

/// What a stream hands over.
pub enum Handed {
    /// A chunk.
    Chunk(HandedChunk),
    /// Its part of the checkpoint that has begun is whole.
    Complete,
    /// Nothing more comes.
    Close,
}

/// A chunk that is handed over.
pub struct HandedChunk {
    /// It.
    pub chunk: Chunk,
    /// Its number over all streams.
    pub order: u64,
    /// A checkpoint of the stream begins with it.
    pub begins: bool,
}

#[derive(Default)]
struct Line {
    /// The first chunk, which has to wait.
    head: Option<HandedChunk>,
    is_closed: bool,
}

/// Takes chunks in their order.
pub struct Intake {
    lines: Vec<Line>,
    /// The number of the next chunk.
    next: u64,
    /// Nobody has that.
    is_broken: bool,
}

impl Intake {
    /// One at the beginning of a run.
    pub fn new(streams: u8) -> Intake {
        Intake {
            lines: (0..streams).map(|_| Line::default()).collect(),
            next: 0,
            is_broken: false,
        }
    }

    /// Takes what is there, as far as the writer has room; `give` gives the next of a stream, if there is any. A number that was
    /// taken before is taken at once.
    pub fn take(
        &mut self,
        writer: &mut Writer,
        now: Now,
        give: &mut dyn FnMut(u8) -> Option<Handed>,
    ) {
        // So that a stream which goes on for ever does not keep the others.
        let mut left = STORE_LINE_SLOTS * self.lines.len();
        loop {
            let mut has_moved = false;
            for stream in 0..self.lines.len() {
                has_moved |= self.take_head(stream, writer, now);
                while left > 0
                    && self.wants(stream as u8, writer)
                    && let Some(handed) = give(stream as u8)
                {
                    left -= 1;
                    has_moved = true;
                    self.put(stream, handed, writer);
                    self.take_head(stream, writer, now);
                }
            }
            if !has_moved && !self.breaks() {
                return;
            }
        }
    }

    /// Whether a stream's next would be taken.
    pub fn wants(&self, stream: u8, writer: &Writer) -> bool {
        let line = self.lines.get(usize::from(stream));
        let is_free = line.is_some_and(|line| line.head.is_none() && !line.is_closed);
        is_free && (writer.has_room() || self.is_broken)
    }

    /// Whether there is something to take although nothing more has come.
    pub fn is_due(&self, writer: &Writer) -> bool {
        let mut heads = self.lines.iter().flat_map(|line| &line.head);
        writer.has_room() && heads.any(|head| self.is_next(head.order))
    }

    /// Whether all streams have closed, and everything before was taken.
    pub fn is_closed(&self) -> bool {
        self.lines.iter().all(|line| line.is_closed)
    }

    /// The number of a chunk that nobody has any more: nothing behind it is taken.
    pub fn missing(&self) -> Option<u64> {
        self.is_broken.then_some(self.next)
    }

    fn is_next(&self, order: u64) -> bool {
        order <= self.next || !has(Protection::OneOrder)
    }

    fn put(&mut self, stream: usize, handed: Handed, writer: &mut Writer) {
        match handed {
            Handed::Chunk(chunk) => {
                self.lines[stream].head = Some(chunk).filter(|_| !self.is_broken);
            }
            Handed::Complete if self.is_broken => {}
            Handed::Complete => writer.complete(stream as u8),
            Handed::Close => self.lines[stream].is_closed = true,
        }
    }

    /// Hands on the first chunk of a stream if it is the next of all. Says whether it was.
    fn take_head(&mut self, stream: usize, writer: &mut Writer, now: Now) -> bool {
        let head = &self.lines[stream].head;
        let is_next = head.as_ref().is_some_and(|head| self.is_next(head.order));
        if !is_next || !writer.has_room() {
            return false;
        }
        let head = self.lines[stream].head.take();
        if let Some(head) = head {
            self.next = self.next.max(head.order.saturating_add(1));
            writer.push(stream as u8, head.chunk, head.begins, now);
        }
        true
    }

    /// Finds out whether the next number is with nobody, once.
    fn breaks(&mut self) -> bool {
        let waits = |line: &Line| {
            let head = line.head.as_ref();
            head.is_some_and(|head| !self.is_next(head.order))
        };
        let all = self.lines.iter().all(|line| line.is_closed || waits(line));
        if !all || !self.lines.iter().any(waits) {
            return false;
        }
        self.is_broken = true;
        for line in &mut self.lines {
            line.head = None;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::super::{Found, Settings, SyncMode, open};
    use super::*;
    use crate::limits::{STORE_BLOCK_BYTES_MAX, STORE_QUEUE_BYTES_MAX, STORE_SEGMENT_BYTES};

    struct Lines {
        intake: Intake,
        writer: Writer,
        lines: Vec<VecDeque<Handed>>,
    }

    impl Lines {
        fn new(streams: u8) -> Lines {
            let settings = Settings {
                streams,
                sync: SyncMode::Group,
                segment_bytes: STORE_SEGMENT_BYTES,
                segments_max: 10,
            };
            Lines {
                intake: Intake::new(streams),
                writer: Writer::new(open(&Found::default(), 1).unwrap(), settings),
                lines: (0..streams).map(|_| VecDeque::new()).collect(),
            }
        }

        fn send(&mut self, stream: usize, order: u64, bytes: usize) {
            let mut chunk = Chunk::new(bytes);
            assert!(chunk.append(&vec![7; bytes]));
            self.lines[stream].push_back(Handed::Chunk(HandedChunk {
                chunk,
                order,
                begins: false,
            }));
        }

        /// Takes what is there. Returns how much is left with the streams, each for itself.
        fn take(&mut self) -> Vec<usize> {
            let lines = &mut self.lines;
            let mut give = |stream: u8| lines[usize::from(stream)].pop_front();
            self.intake
                .take(&mut self.writer, Now::default(), &mut give);
            self.lines.iter().map(VecDeque::len).collect()
        }
    }

    #[test]
    fn a_stream_waits_with_its_first_until_the_others_have_come() {
        let mut lines = Lines::new(3);
        for order in [2, 3, 6] {
            lines.send(0, order, 10);
        }
        lines.send(1, 1, 10);
        assert_eq!(lines.take(), [2, 0, 0]);
        assert!(!lines.intake.wants(0, &lines.writer) && !lines.intake.is_due(&lines.writer));
        assert!(lines.intake.wants(2, &lines.writer));
        lines.send(2, 0, 10);
        assert_eq!(lines.take(), [0, 0, 0]);
        assert_eq!((lines.intake.next, lines.intake.missing()), (4, None));
        lines.send(2, 5, 10);
        lines.send(1, 4, 10);
        assert_eq!(lines.take(), [0, 0, 0]);
        assert_eq!(lines.intake.next, 7);
    }

    #[test]
    fn a_number_that_was_taken_keeps_nobody() {
        let mut lines = Lines::new(1);
        for order in [0, 0, 1, 0] {
            lines.send(0, order, 10);
        }
        assert_eq!(lines.take(), [0]);
        assert_eq!((lines.intake.next, lines.intake.missing()), (2, None));
    }

    #[test]
    fn a_number_is_missing_only_when_nobody_can_have_it() {
        let mut lines = Lines::new(3);
        lines.lines[0].push_back(Handed::Close);
        lines.send(1, 1, 10);
        lines.take();
        assert_eq!(lines.intake.missing(), None, "the third may have it");
        lines.lines[2].push_back(Handed::Close);
        lines.send(1, 2, 10);
        lines.lines[1].push_back(Handed::Close);
        assert_eq!(lines.take(), [0, 0, 0]);
        assert_eq!(lines.intake.missing(), Some(0));
        assert!(lines.intake.is_closed() && lines.writer.is_idle());
    }

    #[test]
    fn nothing_is_taken_without_room() {
        let mut lines = Lines::new(2);
        let count = STORE_QUEUE_BYTES_MAX as usize / STORE_BLOCK_BYTES_MAX;
        for order in 0..count + 2 {
            lines.send(order % 2, order as u64, Chunk::CONTENT_MAX);
        }
        let left = lines.take();
        assert_eq!(left.iter().sum::<usize>(), 2 - 1, "one is at the head");
        assert!(!lines.intake.is_due(&lines.writer), "what is written wakes");
        assert_eq!(lines.intake.next, count as u64);
        assert_eq!(lines.intake.missing(), None);
    }
}
