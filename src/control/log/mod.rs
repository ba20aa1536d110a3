//! The log writer: a thread of its own, so that a slow disk holds up nobody. Lines as Mosquitto writes them (the time,
//! a colon, the text) or as JSON objects, to files, the standard streams, syslog, the journal and topics.

mod format;
mod inbox;
mod output;
mod outputs;
mod sink;
mod sockets;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::broker::{LogKind, LogMask};
use crate::config::Log as Configured;
use crate::ids::ShardId;
use crate::limits;
use crate::shard::{LogLine, Metric, ShardHandle, Shared};
use format::Rate;
use inbox::{Inbox, Work};
use output::Publisher;
use outputs::Outputs;

/// The destinations, opened.
pub(crate) struct LogWriter {
    outputs: Outputs,
    rate: Rate,
    losses: Losses,
}

/// Lines that found the way to the writer full.
#[derive(Default)]
struct Losses {
    /// The control thread's.
    own: Arc<AtomicU64>,
    /// Who counts those of the shards.
    shared: Option<Arc<Shared>>,
    /// Those that were told of.
    told: u64,
}

/// Counts of lines that are not where they should be, for whoever shows them.
#[derive(Clone, Debug, Default)]
pub(crate) struct LostLines {
    /// Those of the control thread that found no room on the way to the writer.
    pub own: Arc<AtomicU64>,
    /// Those that a destination has not taken, at each.
    pub refused: Arc<AtomicU64>,
}

/// The control thread's end of the log.
pub(crate) struct Log {
    lines: Sender<LogLine>,
    /// For a request to open files anew: none is lost because lines wait, and one that waits is for all who ask.
    reopen: Sender<()>,
    wanted: LogMask,
    lost: LostLines,
    /// Where lines that wait are charged.
    shared: Option<Arc<Shared>>,
    thread: JoinHandle<()>,
}

impl LogWriter {
    /// Opens what the configuration names. What takes no lines has standard error in its place until it does.
    ///
    /// # Errors
    /// A standard stream cannot be used.
    pub(crate) fn open(configured: &Configured) -> io::Result<Self> {
        Ok(LogWriter {
            outputs: Outputs::open(configured)?,
            rate: Rate::new(configured.lines_per_second),
            losses: Losses::default(),
        })
    }

    /// What takes no lines from the start, with the reason and what happens instead.
    pub(crate) fn unopened(&self) -> &[String] {
        self.outputs.unopened()
    }

    /// Files that were not there before.
    pub(crate) fn made(&self) -> &[PathBuf] {
        self.outputs.made()
    }

    /// Lines for topics are published by this shard.
    pub(super) fn publish_by(&mut self, shard: &ShardHandle, shared: &Arc<Shared>) {
        self.losses.shared = Some(shared.clone());
        self.outputs.publish_by(&Publisher {
            shard: shard.clone(),
            shared: shared.clone(),
        });
    }

    /// Starts the thread, which writes `lines` and, of the control thread's own, those that are `wanted`. It ends
    /// with `Log::finish`.
    pub(crate) fn start(self, lines: Receiver<LogLine>, wanted: LogMask) -> io::Result<Log> {
        let (own_lines, own) = bounded(limits::LOG_LINES);
        let (reopen, reopens) = bounded(1);
        let lost = LostLines {
            own: self.losses.own.clone(),
            refused: self.outputs.refused(),
        };
        let shared = self.losses.shared.clone();
        let inbox = Inbox::new(lines, own, reopens);
        let thread = std::thread::Builder::new()
            .name("log".into())
            .spawn(move || self.run(inbox, wanted))?;
        Ok(Log {
            lines: own_lines,
            reopen,
            wanted,
            lost,
            shared,
            thread,
        })
    }

    /// Writes one line to each destination that takes it, but to standard error, and ends: there is no broker to have a thread for it.
    pub(crate) fn write_alone(mut self, kind: LogKind, text: &str) {
        self.outputs.put_once(kind, text, format::unix_s());
    }

    fn run(mut self, mut inbox: Inbox, wanted: LogMask) {
        // What is still to be told does not wait for the next line.
        while inbox.wait(self.rate.owes().then_some(Duration::from_secs(1))) {
            self.write_all(&mut inbox, wanted);
            self.tell_of_omissions(format::unix_s());
            // While this thread does not wait at the channel, a shard that logs wakes nobody.
            std::thread::sleep(Duration::from_millis(limits::LOG_PAUSE_MS));
        }
        self.write_all(&mut inbox, wanted);
        let lost = self.losses.turn();
        self.tell_of_losses(lost, format::unix_s());
    }

    /// Writes all that wait.
    fn write_all(&mut self, inbox: &mut Inbox, wanted: LogMask) {
        while let Some(work) = inbox.take() {
            match work {
                Work::Reopen => self.reopen(wanted),
                Work::Line(line) => self.write(&line),
            }
        }
    }

    fn write(&mut self, line: &LogLine) {
        let now_s = format::unix_s();
        self.tell_of_omissions(now_s);
        if self.rate.admit(line.kind) {
            self.outputs.put(line.kind, &line.text, now_s);
        }
    }

    /// Says, once a second at most, how many lines are missing.
    fn tell_of_omissions(&mut self, now_s: u64) {
        if !self.rate.is_later(now_s) {
            return;
        }
        if let Some(lines) = self.rate.turn(now_s) {
            let text =
                format!("{lines} log lines were left out, more than log_lines_per_second allows.");
            self.outputs.put(LogKind::Warning, &text, now_s);
        }
        let lost = self.losses.turn();
        self.tell_of_losses(lost, now_s);
    }

    fn tell_of_losses(&mut self, lost: u64, now_s: u64) {
        if lost > 0 {
            let text = format::loss(lost, "the writer could not keep up");
            self.outputs.put(LogKind::Warning, &text, now_s);
        }
    }

    fn reopen(&mut self, wanted: LogMask) {
        for error in self.outputs.reopen() {
            if wanted.has(LogKind::Warning) {
                let text = format!(
                    "The log file cannot be opened anew, lines go where they went: {error}"
                );
                self.outputs.put(LogKind::Warning, &text, format::unix_s());
            }
        }
    }
}

impl Losses {
    /// Lines that were lost since the last turn.
    fn turn(&mut self) -> u64 {
        let of_shards = self.shared.iter().flat_map(|shared| {
            let boards = (0..shared.shards()).map(|shard| shared.board(ShardId(shard)));
            boards.map(|board| board.metrics().get(Metric::LogDropped))
        });
        let all = self.own.load(Ordering::Relaxed) + of_shards.sum::<u64>();
        let lost = all.saturating_sub(self.told);
        self.told += lost;
        lost
    }
}

impl Log {
    /// Writes a line of the control thread's own.
    pub(crate) fn write(&self, kind: LogKind, text: String) {
        if self.wanted.has(kind) {
            let line = match &self.shared {
                Some(shared) => shared.log_room().line(kind, text),
                None => Some(LogLine::free(kind, text)),
            };
            let sent = line.map(|line| self.lines.try_send(line));
            if !matches!(sent, Some(Ok(()))) {
                self.lost.own.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Counts of lines that are not where they should be.
    pub(crate) fn lost(&self) -> LostLines {
        self.lost.clone()
    }

    /// Opens files anew, after they have been rotated.
    pub(crate) fn reopen(&self) {
        // Where one waits already, the writer has not looked yet.
        let _ = self.reopen.try_send(());
    }

    /// Writes what is left and ends.
    pub(crate) fn finish(self) {
        drop(self.lines);
        let _ = self.thread.join();
    }
}
