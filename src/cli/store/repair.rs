//! `firehose store repair`: a new store beside a damaged one, with what can be read.
//!
//! Chunks are written as they were read, each stream in its order and without a gap (`kept`). So nothing in the new store was made up, and
//! nothing is left out of what is kept.

use std::fmt;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use serde::Serialize;

use super::args::Repair;
use super::content::Misfit;
use super::done::{Done, EXIT_DONE, EXIT_LESS};
use super::kept::{Kept, kept};
use super::own;
use super::words::{moment, quoted, size, unreadable};
use crate::journal;
use crate::journal::Counts;
use crate::limits::STORE_LOST_NAMED_MAX;
use crate::storage::{Fill, LookError, Remains, folder, read, segment_name};

/// What is lost of a stream.
#[derive(Debug, Serialize)]
pub(super) struct Lost {
    shard: usize,
    chunks: u64,
    bytes: u64,
    /// Segment and byte of the first of them.
    file: String,
    byte: u64,
    /// When the last was written of what is kept.
    kept_until: String,
    /// Clients of whose sessions something is lost, as far as can be told.
    clients: Vec<String>,
    /// Topics of messages that are lost, as far as can be told.
    topics: Vec<String>,
    /// Chunks that are not there, and those of which nobody can be named.
    missing: u64,
    unread: u64,
    /// Clients and topics are all that there were.
    names_all: bool,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "shard {}: {} chunks ({}) from {} byte {} on are lost with what is missing before them: it is as it was at {}",
            self.shard,
            self.chunks,
            size(self.bytes),
            self.file,
            self.byte,
            self.kept_until
        )?;
        write_names(f, "of the sessions of", &self.clients)?;
        write_names(f, "of messages to", &self.topics)?;
        match (self.names_all, self.missing + self.unread) {
            (true, _) => f.write_str("; nobody else is known to have lost anything of it"),
            (false, 0) => f.write_str(
                "; other sessions may have lost something of it too: their names are not there",
            ),
            (false, _) => write!(
                f,
                "; chunks before and among them that are missing: {}, that cannot be read: {}; whom those were about is not known",
                self.missing, self.unread
            ),
        }
    }
}

fn write_names(f: &mut fmt::Formatter<'_>, what: &str, names: &[String]) -> fmt::Result {
    let said = names
        .iter()
        .take(STORE_LOST_NAMED_MAX)
        .map(|name| quoted(name));
    let said = said.collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(STORE_LOST_NAMED_MAX) {
        _ if names.is_empty() => Ok(()),
        0 => write!(f, "; {what} {said}"),
        more => write!(f, "; {what} {said} and {more} more"),
    }
}

/// What is lost of each stream.
pub(super) fn lost(kept: &Kept) -> Vec<Lost> {
    let streams = kept.lost.iter().enumerate();
    let lost = streams.filter_map(|(shard, lost)| {
        let (segment, byte) = lost.place?;
        Some(Lost {
            shard,
            chunks: lost.chunks,
            bytes: lost.bytes,
            file: segment_name(segment),
            byte,
            kept_until: match kept.spans[shard] {
                None => "no time: nothing of it is kept".into(),
                Some(_) => moment(kept.until_ms[shard]),
            },
            clients: lost.clients.iter().cloned().collect(),
            topics: lost.topics.iter().cloned().collect(),
            missing: lost.missing,
            unread: lost.unread,
            names_all: lost.names_all(),
        })
    });
    lost.collect()
}

/// What may be lost of each stream without a trace: by shard, as lines.
pub(super) fn untold(kept: &Kept) -> Vec<String> {
    let streams = kept.lost.iter().enumerate();
    let line = |(shard, lost): (usize, &journal::Lost)| {
        let is_whole = lost.is_nothing();
        match kept.spans[shard] {
            None if is_whole => Some(format!(
                "shard {shard}: nothing of it is there: its sessions and retained messages are lost, and which those were is not known"
            )),
            Some(_) if is_whole && kept.unplaced > 0 => Some(format!(
                "shard {shard}: nothing is known to be lost; whether any of {} missing blocks was the last that it wrote, and about whom, is not known: it is as it was at {}",
                kept.unplaced,
                moment(kept.until_ms[shard])
            )),
            _ => None,
        }
    };
    streams.filter_map(line).collect()
}

/// What is not lost although something before it is: the checkpoints from which streams are kept.
pub(super) fn made_good(kept: &Kept) -> impl Iterator<Item = String> {
    let spans = kept.spans.iter().enumerate();
    spans.filter_map(|(shard, span)| {
        let (segment, byte) = span.as_ref()?.checkpoint?;
        Some(format!(
            "shard {shard}: what is missing before {} byte {byte} is said again there, but for what was on its way to other shards",
            segment_name(segment)
        ))
    })
}

/// Does it, and says what is lost.
pub(super) fn repair(options: &Repair, out: &mut dyn Write) -> Done {
    let Repair { dir, new, run } = options;
    let failed = |error: LookError| unreadable(dir, &error);
    if folder(new).is_ok() {
        return Err(format!(
            "{} has a store already; name a directory without one",
            new.display()
        ));
    }
    let remains = Remains::open(dir, *run).map_err(failed)?;
    if remains.run() == 0 || !remains.runs().contains(&remains.run()) {
        return Err(format!(
            "{} has nothing of run {}; there is something of the runs {:?}",
            remains.folder().display(),
            remains.run(),
            remains.runs()
        ));
    }
    let kept = kept(&remains).map_err(failed)?;
    if kept.spans.iter().all(Option::is_none) {
        return Err(format!(
            "{}: the beginning of run {} is not there, and nothing can be read without it; there is something of the runs {:?} (--run)",
            remains.folder().display(),
            remains.run(),
            remains.runs()
        ));
    }
    write(&remains, &kept, new)?;
    let code = kept.code(&remains);
    // A reader who has seen enough and goes is no error.
    let _ = kept.tell(&remains, new, out);
    Ok(code)
}

/// Writes the new store.
fn write(remains: &Remains, kept: &Kept, new: &Path) -> Result<(), String> {
    let failed = |why: String| {
        format!(
            "{}: {why}; what is there is no whole store: remove it",
            new.display()
        )
    };
    let mut fill = begin(new, kept.salvaged.begins.len())?;
    let mut error = None;
    let read = remains.read(&mut |chunk| {
        if error.is_none() && kept.has(&chunk) {
            error = fill.push(chunk.stream, chunk.content).err();
        }
    });
    read.map_err(|error| failed(error.to_string()))?;
    match error {
        Some(error) => Err(failed(error.to_string())),
        None => fill.finish().map_err(|error| failed(error.to_string())),
    }
}

/// Makes a store below a directory, which is made too, and begins to fill it.
fn begin(new: &Path, streams: usize) -> Result<Fill, String> {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = std::fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(new);
    made.map_err(|error| format!("{}: {error}", new.display()))?;
    let store = read(new, &mut |_| {}, &mut |_| ControlFlow::Continue(()))
        .map_err(|error| error.to_string())?;
    let streams = u8::try_from(streams).map_err(|_| format!("{streams} shards are too many"))?;
    store.fill(streams).map_err(|error| error.to_string())
}

impl Kept {
    fn code(&self, remains: &Remains) -> u8 {
        match self.is_whole(remains) {
            true => EXIT_DONE,
            false => EXIT_LESS,
        }
    }

    fn tell(&self, remains: &Remains, new: &Path, out: &mut dyn Write) -> std::io::Result<()> {
        for fault in remains.faults() {
            writeln!(out, "{fault}")?;
        }
        for hole in &self.salvaged.holes {
            let (first, end) = hole.blocks;
            let (segment, byte) = hole.from;
            let name = segment_name(segment);
            writeln!(
                out,
                "{name} at byte {byte}: {} blocks are lost, {first} to {}",
                end - first,
                end - 1
            )?;
        }
        let cuts = |end: &&Misfit| {
            let span = self.spans[usize::from(end.stream)];
            span.is_none_or(|span| span.ends_at(end.sequence))
        };
        for end in self.ends.iter().filter(cuts) {
            writeln!(
                out,
                "shard {}: all from {} byte {} on is lost: {}",
                end.stream,
                segment_name(end.place.0),
                end.place.1,
                end.broken
            )?;
        }
        let lost = lost(self);
        let lost = lost.iter().map(Lost::to_string);
        for line in made_good(self).chain(lost).chain(untold(self)) {
            writeln!(out, "{line}")?;
        }
        for shard in self.unfinished() {
            writeln!(
                out,
                "shard {shard}: its first checkpoint is not all there: sessions of which it says nothing yet are lost"
            )?;
        }
        let Counts { sessions, retained } = self.content.legacy.counts();
        let new = quoted(&new.display().to_string());
        writeln!(
            out,
            "{new} has a store with {sessions} sessions and {retained} retained messages of run {}, written up to {}",
            remains.run(),
            moment(self.salvaged.wall_ms)
        )?;
        match self.code(remains) {
            EXIT_DONE => writeln!(out, "nothing is lost")?,
            _ => writeln!(
                out,
                "what is lost is said above, as far as what is left tells of it; look with firehose store stats and dump"
            )?,
        }
        own::tell(&new, out)
    }
}
