//! What can be kept of a damaged store: of each shard's stream the part from which its end can be known best.
//!
//! A stream is read from its beginning up to the first chunk that is missing, or from a checkpoint behind that: with all its images read,
//! it says all that the chunks before it said. A checkpoint is looked for only where a chunk must begin with a record, and tried before it is
//! trusted: the payload of a message that looks like one is none.

use std::collections::BTreeSet;

use super::content::{Content, Misfit};
use crate::journal::{Broken, Decoder, Joiner, Ledger, Members, Record, begins_checkpoint};
use crate::limits::JOURNAL_CHUNK_BYTES;
use crate::storage::{LookError, Recovered, Remains, Salvaged};

/// The chunks of a stream that are kept, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    from: u64,
    /// Behind the last.
    until: u64,
    /// It begins with a checkpoint behind what is missing: segment and byte of that.
    pub(super) checkpoint: Option<(u32, u64)>,
}

impl Part {
    /// Whether this chunk is the first that is not kept.
    pub(super) fn ends_at(&self, sequence: u64) -> bool {
        self.until == sequence
    }
}

/// What is not kept of a stream: what lies behind its part.
#[derive(Clone, Debug, Default)]
pub(super) struct Behind {
    pub(super) chunks: u64,
    pub(super) bytes: u64,
    /// Segment and byte of the first.
    pub(super) place: Option<(u32, u64)>,
    /// Clients of whose sessions it said something, as far as can be told.
    pub(super) clients: BTreeSet<String>,
    /// Topics of messages that it had.
    pub(super) topics: BTreeSet<String>,
}

/// What is kept.
pub(super) struct Kept {
    pub(super) content: Content,
    pub(super) salvaged: Salvaged,
    /// What ended streams, or kept them from being read from a checkpoint on.
    pub(super) ends: Vec<Misfit>,
    /// By stream; `None`: nothing.
    pub(super) parts: Vec<Option<Part>>,
    /// By stream: when the last chunk of it was written, in milliseconds since 1970.
    pub(super) until_ms: Vec<u64>,
    /// By stream.
    pub(super) behind: Vec<Behind>,
}

impl Kept {
    /// Whether a chunk is kept.
    pub(super) fn has(&self, chunk: &Recovered<'_>) -> bool {
        is_in(&self.parts, chunk)
    }

    /// Whether something of a stream that counts may be missing.
    pub(super) fn is_whole(&self, remains: &Remains) -> bool {
        let mut behind = self.behind.iter();
        self.salvaged.holes.is_empty()
            && self.ends.is_empty()
            && behind.all(|behind| behind.chunks == 0)
            && remains.faults().is_empty()
            && self.unfinished().next().is_none()
    }

    /// The shards whose stream begins with a checkpoint that is not all there: of sessions that have no image yet nothing is known.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = usize> {
        let ledgers = self.content.legacy.ledgers().enumerate();
        let unfinished = ledgers.filter(|(_, ledger)| !ledger.is_whole());
        unfinished.map(|(shard, _)| shard)
    }
}

fn is_in(parts: &[Option<Part>], chunk: &Recovered<'_>) -> bool {
    let part = parts.get(usize::from(chunk.stream)).copied().flatten();
    part.is_some_and(|part| (part.from..part.until).contains(&chunk.sequence))
}

/// Chunks of a stream that follow each other.
struct Run {
    first: u64,
    end: u64,
    /// Those that seem to begin a checkpoint, with their segments and bytes.
    begins: Vec<(u64, (u32, u64))>,
}

/// What there is of a stream.
#[derive(Default)]
struct Scan {
    runs: Vec<Run>,
    /// The last chunk ended with a record: it was not full.
    ends_record: bool,
}

impl Scan {
    fn note(&mut self, chunk: &Recovered<'_>) {
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

    /// The parts that may be kept, the best first. The last one is from the beginning, if that is there, and may be made shorter.
    fn choices(&self, has_beginning: bool) -> Vec<Part> {
        let of_run = |run: &Run| {
            let until = run.end;
            let begins = run.begins.iter().rev();
            let parts = begins.map(move |&(from, place)| Part {
                from,
                until,
                checkpoint: Some(place),
            });
            parts.collect::<Vec<_>>()
        };
        let (first, later) = match self.runs.split_first() {
            Some((first, later)) if has_beginning => (Some(first), later),
            _ => (None, &self.runs[..]),
        };
        let mut choices: Vec<Part> = later.iter().rev().flat_map(of_run).collect();
        if let Some(first) = first {
            let whole = Part {
                from: first.first,
                until: first.end,
                checkpoint: None,
            };
            choices.push(whole);
            choices.extend(of_run(first));
            choices.push(whole);
        }
        choices
    }
}

/// The choices of a stream that are left, the best first.
struct Choices(Vec<Part>);

impl Choices {
    fn part(&self) -> Option<Part> {
        self.0.first().copied()
    }

    /// It does not fit from this chunk on, or at all.
    fn refuse(&mut self, from: Option<u64>) {
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

/// Reads what there is until nothing in it contradicts anything else.
pub(super) fn kept(remains: &Remains) -> Result<Kept, LookError> {
    let mut scans = Vec::<Scan>::new();
    let salvaged = remains.read(&mut |chunk| {
        let index = usize::from(chunk.stream);
        if scans.len() <= index {
            scans.resize_with(index + 1, Scan::default);
        }
        scans[index].note(&chunk);
    })?;
    let all = scans.iter().enumerate().map(|(index, scan)| {
        let has_beginning = salvaged.begins.get(index).copied();
        Choices(scan.choices(has_beginning.unwrap_or(false)))
    });
    let mut all: Vec<Choices> = all.collect();
    let mut ends: Vec<Misfit> = Vec::new();
    loop {
        let parts: Vec<_> = all.iter().map(Choices::part).collect();
        let mut content = Content::default();
        let mut until_ms = vec![0; parts.len()];
        remains.read(&mut |chunk| {
            if is_in(&parts, &chunk) {
                content.feed(&chunk);
                until_ms[usize::from(chunk.stream)] = chunk.wall_ms;
            }
        })?;
        // Each time one stream has one choice less, or is shorter than before.
        if let Some(misfit) = content.misfit {
            let index = usize::from(misfit.stream);
            all[index].refuse(Some(misfit.sequence));
            ends.retain(|end| end.stream != misfit.stream);
            ends.push(misfit);
            continue;
        }
        let ledgers = content.legacy.ledgers();
        let is_partial = |(index, ledger): (usize, &Ledger)| {
            let part = parts.get(index).copied().flatten();
            !ledger.is_whole() && part.is_some_and(|part| part.checkpoint.is_some())
        };
        if let Some(index) = ledgers.enumerate().position(is_partial) {
            all[index].refuse(None);
            continue;
        }
        let behind = behind(remains, &content, &parts)?;
        return Ok(Kept {
            content,
            salvaged,
            ends,
            parts,
            until_ms,
            behind,
        });
    }
}

/// What is not kept.
fn behind(
    remains: &Remains,
    content: &Content,
    parts: &[Option<Part>],
) -> Result<Vec<Behind>, LookError> {
    let mut glances: Vec<Glance> = parts.iter().map(|_| Glance::default()).collect();
    remains.read(&mut |chunk| {
        let index = usize::from(chunk.stream);
        let Some(glance) = glances.get_mut(index) else {
            return;
        };
        let is_behind = parts[index].is_none_or(|part| chunk.sequence >= part.until);
        glance.see(&chunk, is_behind, content.legacy.ledger(chunk.stream));
    })?;
    Ok(glances.into_iter().map(|glance| glance.behind).collect())
}

/// Reads names in what cannot be read in its order.
#[derive(Default)]
struct Glance {
    behind: Behind,
    /// From where a record is known to begin.
    reads: Option<(Joiner, Decoder)>,
    /// The number of the chunk that follows.
    next: u64,
    /// The last chunk ended with a record: it was not full.
    ends_record: bool,
}

impl Glance {
    fn see(&mut self, chunk: &Recovered<'_>, is_behind: bool, ledger: Option<&Ledger>) {
        let follows = self.next == chunk.sequence;
        if !follows {
            self.reads = None;
        }
        if is_behind {
            if follows && self.ends_record && self.reads.is_none() {
                self.reads = Some(Default::default());
            }
            self.behind.note(chunk);
            self.name(chunk.content, ledger);
        }
        self.next = chunk.sequence.saturating_add(1);
        self.ends_record = chunk.content.len() < JOURNAL_CHUNK_BYTES;
    }

    fn name(&mut self, content: &[u8], ledger: Option<&Ledger>) {
        let Some((joiner, decoder)) = &mut self.reads else {
            return;
        };
        let behind = &mut self.behind;
        let read = joiner.feed(content, |record| {
            if let Some(record) = decoder.decode(record)? {
                behind.name(&record, ledger);
            }
            Ok::<(), Broken>(())
        });
        if read.is_err() {
            self.reads = None;
        }
    }
}

impl Behind {
    fn note(&mut self, chunk: &Recovered<'_>) {
        self.chunks += 1;
        self.bytes += chunk.content.len() as u64;
        self.place.get_or_insert(chunk.place);
    }

    fn name(&mut self, record: &Record<'_>, ledger: Option<&Ledger>) {
        match *record {
            Record::Opened { client_id, .. } => {
                self.clients.insert(client_id.into());
            }
            Record::Message { ref message, .. } => {
                self.topics.insert(message.topic.into());
            }
            Record::RetainedRemoved { topic } => {
                self.topics.insert(topic.into());
            }
            Record::Resumed { session }
            | Record::Away { session, .. }
            | Record::ExpirySet { session, .. }
            | Record::WillSet { session, .. }
            | Record::Subscribed { session, .. }
            | Record::Unsubscribed { session, .. }
            | Record::InboundStored { session, .. }
            | Record::Ended { session }
            | Record::SentAlone { session, .. }
            | Record::Moved { session, .. } => self.name_sessions(&[session], ledger),
            Record::Queued { ref members, .. } | Record::Sent { ref members, .. } => {
                match members {
                    Members::One(session) => self.name_sessions(&[*session], ledger),
                    Members::New(all) | Members::Once(all) => self.name_sessions(all, ledger),
                    Members::Known(_) => {}
                }
            }
            _ => {}
        }
    }

    /// Those that were there before.
    fn name_sessions(&mut self, sessions: &[u32], ledger: Option<&Ledger>) {
        let known = sessions
            .iter()
            .filter_map(|&session| ledger?.session(session));
        self.clients
            .extend(known.map(|known| known.client_id.to_string()));
    }
}
