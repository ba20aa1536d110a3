//! What the journal of a broker would do: hand over chunks, begin and complete checkpoints, hold back when there is no room.

use super::world::Lives;
use crate::storage::{Chunk, Handed, HandedChunk, State, forged_block};

/// Chunks of a stream that are handed over and not told, at most.
const OUTSTANDING_MAX: u64 = 6;

/// Milliseconds that a stream is late with what it hands over, at most.
const LATE_MAX: usize = 60;

impl Lives {
    /// Hands over a chunk of a stream.
    pub(super) fn push(&mut self, stream: usize, begins: bool) -> Result<(), String> {
        let mut content = self.rng.next().to_le_bytes().to_vec();
        let run = &self.record.runs[&self.run];
        let number = run
            .streams
            .iter()
            .map(|stream| stream.handed.len())
            .sum::<usize>();
        // The first of a checkpoint fits into what is in reserve.
        match self.rng.below(12) {
            _ if begins => {}
            0 => content.resize(self.rng.below(9000), 7),
            1 => {
                // Somebody's payload that looks like blocks, where pages begin.
                content.resize(4096 - 64, 0);
                for ahead in 0..3 {
                    content.extend(forged_block(self.run, (number + ahead * 3) as u64));
                }
            }
            2 => content.clear(),
            _ => {}
        }
        self.push_content(stream, begins, content)
    }

    /// Hands over a chunk that says this: it has its number from now on, and the intake gets it when the stream comes to that.
    pub(super) fn push_content(
        &mut self,
        stream: usize,
        begins: bool,
        content: Vec<u8>,
    ) -> Result<(), String> {
        let mut chunk = Chunk::new(content.len());
        if !chunk.append(&content) {
            return Err("no room in a chunk".into());
        }
        let run = self.record.runs.get_mut(&self.run).ok_or("no run")?;
        let order = run.order.len() as u64;
        run.order.push(stream);
        let handed = &mut run.streams[stream].handed;
        if begins || handed.is_empty() {
            self.begun[stream] = Some(handed.len() as u64);
        }
        handed.push(content);
        self.lines[stream].push_back(Handed::Chunk(HandedChunk {
            chunk,
            order,
            begins,
        }));
        self.begin_ops();
        Ok(())
    }

    /// Begins a checkpoint in all streams, or in one more, and completes it when it has begun in all.
    pub(super) fn checkpoint(&mut self) -> Result<(), String> {
        for stream in 0..self.begun.len() {
            // A stream that has nothing to say takes no part.
            if self.begun[stream].is_none() && !self.rng.once_in(8) {
                self.push(stream, true)?;
            }
        }
        if self.rng.once_in(3) {
            self.advance(20)?;
        }
        self.complete();
        Ok(())
    }

    pub(super) fn complete(&mut self) {
        let run = self.record.runs.get(&self.run);
        if run.is_none_or(|run| run.checkpoints.len() as u64 > run.reported) {
            return;
        }
        for line in &mut self.lines {
            line.push_back(Handed::Complete);
        }
        for (start, begun) in self.starts.iter_mut().zip(&mut self.begun) {
            *start = begun.take().unwrap_or(*start);
        }
        let starts = self.starts.clone();
        if let Some(run) = self.record.runs.get_mut(&self.run) {
            run.checkpoints.push(starts);
        }
        self.begin_ops();
    }

    /// Whether everything that was handed over has been told.
    pub(super) fn is_settled(&self) -> bool {
        let run = &self.record.runs[&self.run];
        let told = |stream: &super::record::Stream| stream.told == stream.handed.len() as u64;
        run.streams.iter().all(told) && run.reported == run.checkpoints.len() as u64
    }

    /// Does what a caller does in a moment.
    pub(super) fn act(&mut self) -> Result<(), String> {
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        let state = writer.state();
        let is_due = writer.is_checkpoint_due();
        let is_begun = self.record.runs[&self.run].checkpoints.is_empty();
        let under_way = self.record.runs[&self.run].checkpoints.len() as u64
            > self.record.runs[&self.run].reported;
        if !under_way && (is_begun || is_due || self.rng.once_in(60)) {
            return self.checkpoint();
        }
        if state != State::Open || is_due {
            return Ok(());
        }
        if self.rng.once_in(6) {
            let stream = self.rng.below(self.late.len());
            self.late[stream] = self.now + self.rng.below(LATE_MAX) as u64;
        }
        for _ in 0..self.rng.below(4) {
            let stream = self.rng.below(self.begun.len());
            let run = &self.record.runs[&self.run].streams[stream];
            if run.handed.len() as u64 - run.told < OUTSTANDING_MAX {
                self.push(stream, false)?;
            }
        }
        Ok(())
    }
}
