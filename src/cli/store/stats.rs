//! `firehose store stats`: what a store holds, in figures.

use std::fmt::Write as _;
use std::io::Write;

use serde::Serialize;

use super::args::Stats;
use super::content::{Content, content};
use super::done::{Done, EXIT_DONE};
use super::words::{age, json, moment, size, unreadable};
use crate::storage::{Outcome, View, holder, segment_number, unix_ms};

/// The files of a store.
#[derive(Debug, Default, Serialize)]
struct Files {
    /// Segments of the run in force.
    read: usize,
    /// Segments that are kept for later use, or are of a run that is not in force yet.
    other: usize,
    /// Segments that are being made.
    unready: usize,
    /// Bytes of all of them.
    bytes: u64,
}

/// The run that a start reads.
#[derive(Debug, Serialize)]
struct Run {
    in_force: u32,
    last: u32,
    ended: bool,
    /// Where reading begins: segment and block.
    first_segment: u32,
    first_block: u64,
    last_block: u64,
    /// The last block that was on the disk for sure when a later one was written.
    synced_block: u64,
    blocks: u64,
    /// Segment and byte where a crash has cut off what was being written.
    torn: Option<(u32, u64)>,
    first_written: Option<String>,
    last_written: Option<String>,
}

/// What a shard has, or all of them.
#[derive(Clone, Debug, Default, Serialize)]
struct Held {
    sessions: usize,
    connected: usize,
    subscriptions: usize,
    waiting: usize,
    in_flight: usize,
    inbound: usize,
    wills: usize,
    retained: usize,
    in_transit: usize,
    /// Each message once, whoever refers to it.
    messages: usize,
    chunks: u64,
    bytes: u64,
}

/// All of it.
#[derive(Debug, Serialize)]
struct All {
    store: String,
    id: String,
    holder: Option<u32>,
    files: Files,
    run: Run,
    shards: Vec<Held>,
    total: Held,
    /// What cannot be in what was read.
    misfit: Option<String>,
    #[serde(skip)]
    last_ms: u64,
}

/// Says it.
pub(super) fn stats(options: &Stats, out: &mut dyn Write) -> Done {
    let seen = content(&options.dir, |view| Seen {
        files: files(view),
        store: view.store().clone(),
        folder: view.folder().to_path_buf(),
    });
    let (content, outcome, seen) = seen.map_err(|error| unreadable(&options.dir, &error))?;
    let all = all(&content, &outcome, seen);
    // A reader who has seen enough and goes is no error.
    let _ = match options.json {
        true => writeln!(out, "{}", json(&all)),
        false => write!(out, "{}", all.table(unix_ms())),
    };
    Ok(EXIT_DONE)
}

struct Seen {
    files: Files,
    store: crate::storage::Store,
    folder: std::path::PathBuf,
}

fn files(view: &View) -> Files {
    let mut files = Files::default();
    for segment in view.segments() {
        files.bytes += segment.bytes;
        match segment_number(&segment.name) {
            Some((number, true)) if view.read_segments().contains(&number) => files.read += 1,
            Some((_, true)) => files.other += 1,
            _ => files.unready += 1,
        }
    }
    files
}

fn all(content: &Content, outcome: &Outcome, seen: Seen) -> All {
    let shards = shards(content);
    let has_blocks = outcome.blocks > 0;
    let last = Some(outcome.wall_ms).filter(|_| has_blocks);
    let misfit = content.misfit.as_ref();
    All {
        store: seen.folder.display().to_string(),
        id: format!("{:016x}", seen.store.id),
        holder: holder(&seen.folder),
        files: seen.files,
        run: Run {
            in_force: outcome.run,
            last: seen.store.run_last,
            ended: outcome.ended,
            first_segment: seen.store.first_segment,
            first_block: seen.store.first_block,
            last_block: outcome.last_block,
            synced_block: outcome.synced_block,
            blocks: outcome.blocks,
            torn: outcome.torn,
            first_written: content.first_ms.map(moment),
            last_written: last.map(moment),
        },
        total: shards.iter().fold(Held::default(), |sum, one| sum.and(one)),
        shards,
        misfit: misfit.map(|misfit| format!("shard {}: {}", misfit.stream, misfit.broken)),
        last_ms: outcome.wall_ms,
    }
}

fn shards(content: &Content) -> Vec<Held> {
    let mut shards: Vec<Held> = Vec::new();
    for (index, ledger) in content.legacy.ledgers().enumerate() {
        let read = content.streams.get(index).copied().unwrap_or_default();
        let mut held = Held {
            retained: ledger.retained().count(),
            messages: ledger.messages(),
            chunks: read.chunks,
            bytes: read.bytes,
            ..Held::default()
        };
        for (_, session) in ledger.sessions() {
            held.sessions += 1;
            held.connected += usize::from(session.is_there);
            held.subscriptions += session.subscriptions.len();
            held.waiting += session.waiting().count();
            held.in_flight += session.in_flight().count();
            held.inbound += session.inbound.len();
            held.wills += usize::from(session.will.is_some());
        }
        shards.push(held);
    }
    for one in content.legacy.in_transit() {
        shards[usize::from(one.from)].in_transit += 1;
    }
    shards
}

impl Held {
    fn and(&self, other: &Held) -> Held {
        Held {
            sessions: self.sessions + other.sessions,
            connected: self.connected + other.connected,
            subscriptions: self.subscriptions + other.subscriptions,
            waiting: self.waiting + other.waiting,
            in_flight: self.in_flight + other.in_flight,
            inbound: self.inbound + other.inbound,
            wills: self.wills + other.wills,
            retained: self.retained + other.retained,
            in_transit: self.in_transit + other.in_transit,
            messages: self.messages + other.messages,
            chunks: self.chunks + other.chunks,
            bytes: self.bytes + other.bytes,
        }
    }

    fn row(&self) -> [String; 11] {
        let counts = [
            self.sessions,
            self.connected,
            self.subscriptions,
            self.waiting,
            self.in_flight,
            self.inbound,
            self.wills,
            self.retained,
            self.in_transit,
            self.messages,
        ];
        let mut row: [String; 11] = std::array::from_fn(|_| String::new());
        for (cell, count) in row.iter_mut().zip(counts) {
            *cell = count.to_string();
        }
        row[10] = size(self.bytes);
        row
    }
}

const COLUMNS: [&str; 11] = [
    "sessions",
    "connected",
    "subscriptions",
    "waiting",
    "in flight",
    "inbound",
    "wills",
    "retained",
    "in transit",
    "messages",
    "log",
];

impl All {
    fn table(&self, now_ms: u64) -> String {
        let mut text = String::new();
        for (name, value) in self.facts(now_ms) {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name:<10} {value}");
        }
        text.push('\n');
        let mut rows = vec![("shard".to_owned(), COLUMNS.map(String::from))];
        let shards = self.shards.iter().enumerate();
        rows.extend(shards.map(|(index, held)| (index.to_string(), held.row())));
        rows.push(("all".into(), self.total.row()));
        for (name, row) in &rows {
            let _ = write!(text, "{name:<5}");
            for (cell, column) in row.iter().zip(COLUMNS) {
                let width = column.len().max(9);
                let _ = write!(text, "  {cell:>width$}");
            }
            text.push('\n');
        }
        text
    }

    fn facts(&self, now_ms: u64) -> Vec<(&'static str, String)> {
        let Run { in_force, last, .. } = self.run;
        let run = match (in_force, self.run.ended) {
            (0, _) => "none yet: nothing is kept".to_owned(),
            (run, true) => format!("{run}, ended in order"),
            (run, false) => format!("{run}, not ended: the broker runs, or has crashed"),
        };
        let begun = match last > in_force {
            true => format!("; {last} has begun and is not in force"),
            false => String::new(),
        };
        let Files {
            read,
            other,
            unready,
            bytes,
        } = self.files;
        let mut facts = vec![
            ("store", format!("{}, id {}", self.store, self.id)),
            ("run", run + &begun),
            (
                "files",
                format!(
                    "{read} segments of it, {other} others, {unready} being made, {}",
                    size(bytes)
                ),
            ),
        ];
        if let Some(holder) = self.holder {
            facts.push(("in use", format!("by process {holder}")));
        }
        if let (Some(first), Some(last)) = (&self.run.first_written, &self.run.last_written) {
            facts.push((
                "log",
                format!("{} blocks, {first} to {last}", self.run.blocks),
            ));
            facts.push(("last block", age(self.last_ms, now_ms)));
            facts.push(("on disk", self.durable()));
        }
        if let Some(misfit) = &self.misfit {
            facts.push((
                "damaged",
                format!("{misfit}: firehose store check says more"),
            ));
        }
        facts
    }

    fn durable(&self) -> String {
        let Run {
            last_block,
            synced_block,
            ended,
            ..
        } = self.run;
        let cut = match self.run.torn {
            Some(_) => "; behind that a crash has cut off what was being written",
            None => "",
        };
        match ended || synced_block >= last_block {
            true => format!("all up to block {last_block}{cut}"),
            false => format!(
                "for sure up to block {synced_block}, written up to block {last_block}{cut}"
            ),
        }
    }
}
