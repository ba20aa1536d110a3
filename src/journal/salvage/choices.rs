//! Which part of a stream is kept: all that may be, the best first.

use super::Found;
use crate::journal::stream::begins_checkpoint;
use crate::limits::JOURNAL_CHUNK_BYTES;

/// The chunks of a stream that are kept, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    from: u64,
    /// Behind the last.
    until: u64,
    /// It begins with a checkpoint behind what is missing: segment and byte of that.
    pub checkpoint: Option<(u32, u64)>,
}

impl Span {
    /// Whether it has this chunk.
    pub fn has(&self, sequence: u64) -> bool {
        (self.from..self.until).contains(&sequence)
    }

    /// Whether this chunk is behind all that it has.
    pub fn is_before(&self, sequence: u64) -> bool {
        sequence >= self.until
    }

    /// Whether this chunk is the first that is not kept.
    pub fn ends_at(&self, sequence: u64) -> bool {
        self.until == sequence
    }
}

/// Chunks of a stream that follow each other.
#[derive(Debug)]
struct Run {
    first: u64,
    end: u64,
    /// Those that seem to begin a checkpoint, with their segments and bytes.
    begins: Vec<(u64, (u32, u64))>,
}

/// What there is of a stream.
#[derive(Debug, Default)]
pub struct Scan {
    runs: Vec<Run>,
    /// The last chunk ended with a record: it was not full.
    ends_record: bool,
}

impl Scan {
    /// The next chunk that is there.
    pub fn note(&mut self, chunk: &Found<'_>) {
        let at = chunk.sequence;
        match self.runs.last_mut().filter(|run| run.end == at) {
            Some(run) => {
                run.end += 1;
                if self.ends_record && begins_checkpoint(chunk.content) {
                    run.begins.push((at, chunk.place));
                }
            }
            None => self.runs.push(Run {
                first: at,
                end: at.saturating_add(1),
                begins: Vec::new(),
            }),
        }
        self.ends_record = chunk.content.len() < JOURNAL_CHUNK_BYTES;
    }

    /// How many chunks are not there between others.
    pub fn missing(&self) -> u64 {
        let pairs = self.runs.windows(2);
        let gaps = pairs.map(|pair| pair[1].first.saturating_sub(pair[0].end));
        gaps.sum()
    }

    /// The spans that may be kept, the best first. The last one is from the beginning, if that is there, and may be made shorter.
    pub fn choices(&self, has_beginning: bool) -> Choices {
        let of_run = |run: &Run| {
            let until = run.end;
            let begins = run.begins.iter().rev();
            let spans = begins.map(move |&(from, place)| Span {
                from,
                until,
                checkpoint: Some(place),
            });
            spans.collect::<Vec<_>>()
        };
        let (first, later) = match self.runs.split_first() {
            Some((first, later)) if has_beginning => (Some(first), later),
            _ => (None, &self.runs[..]),
        };
        let mut choices: Vec<Span> = later.iter().rev().flat_map(of_run).collect();
        if let Some(first) = first {
            let whole = Span {
                from: first.first,
                until: first.end,
                checkpoint: None,
            };
            choices.push(whole);
            choices.extend(of_run(first));
            choices.push(whole);
        }
        Choices(choices)
    }
}

/// The choices of a stream that are left, the best first.
#[derive(Debug)]
pub struct Choices(Vec<Span>);

impl Choices {
    /// The best of them; `None`: nothing can be kept.
    pub fn span(&self) -> Option<Span> {
        self.0.first().copied()
    }

    /// The best does not fit from this chunk on, or at all.
    pub fn refuse(&mut self, from: Option<u64>) {
        match (self.0.as_mut_slice(), from) {
            // From the beginning, whatever comes of it.
            ([last], Some(from)) if last.checkpoint.is_none() && from > last.from => {
                last.until = from;
            }
            _ => {
                self.0.remove(0);
            }
        }
    }
}
