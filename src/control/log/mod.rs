//! The log writer: a thread of its own, so that a slow disk holds up nobody. Lines as Mosquitto writes them (the time,
//! a colon, the text) or as JSON objects, to files, the standard streams, syslog, the journal and topics.

mod format;
mod output;
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

use crossbeam_channel::{Receiver, Sender, after, bounded, never, select};

use crate::broker::{LogKind, LogMask};
use crate::config::{Log as Configured, LogDestination};
use crate::control::place;
use crate::ids::ShardId;
use crate::limits;
use crate::shard::{LogLine, Metric, ShardHandle, Shared};
use format::{LineFormat, Rate};
use output::{Line, Output, Publisher};

/// The destinations, opened.
pub struct LogWriter {
    outputs: Vec<Output>,
    shape: LineFormat,
    rate: Rate,
    /// Files that could not be opened, each with the reason.
    unopened: Vec<String>,
    /// Files that were made.
    made: Vec<PathBuf>,
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

/// The control thread's end of the log.
pub struct Log {
    lines: Sender<LogLine>,
    /// For a request to open files anew: none is lost because lines wait, and one that waits is for all who ask.
    reopen: Sender<()>,
    wanted: LogMask,
    /// Lines that found no room.
    lost: Arc<AtomicU64>,
    /// Where lines that wait are charged.
    shared: Option<Arc<Shared>>,
    thread: JoinHandle<()>,
}

impl LogWriter {
    /// Opens what the configuration names. A file that cannot be opened has standard error in its place until it can.
    ///
    /// # Errors
    /// A standard stream cannot be used.
    pub fn open(configured: &Configured) -> io::Result<Self> {
        let mut writer = LogWriter {
            outputs: Vec::new(),
            shape: LineFormat {
                timestamp: configured.timestamp,
                time_format: configured.timestamp_format.clone(),
                json: configured.json,
            },
            rate: Rate::new(configured.lines_per_second),
            unopened: Vec::new(),
            made: Vec::new(),
            losses: Losses::default(),
        };
        for destination in &configured.destinations {
            if let LogDestination::File(path) = destination
                && !place::is_taken(path)
            {
                writer.made.push(path.clone());
            }
            let (output, problem) = Output::open(destination, configured.facility)?;
            writer.outputs.push(output);
            if let Some(error) = problem {
                let text = format!(
                    "the log file cannot be opened, its lines go to standard error: {error}"
                );
                writer.unopened.push(text);
            }
        }
        let has_stderr = configured.destinations.contains(&LogDestination::Stderr);
        if !writer.unopened.is_empty() && !has_stderr {
            writer.outputs.push(Output::stand_in()?);
        }
        Ok(writer)
    }

    /// Files that could not be opened, with the reason and what happens instead.
    pub fn unopened(&self) -> &[String] {
        &self.unopened
    }

    /// Files that were not there before.
    pub fn made(&self) -> &[PathBuf] {
        &self.made
    }

    /// Lines for topics are published by this shard.
    pub(super) fn publish_by(&mut self, shard: &ShardHandle, shared: &Arc<Shared>) {
        self.losses.shared = Some(shared.clone());
        for output in &mut self.outputs {
            if let Output::Topic(publisher) = output {
                *publisher = Some(Publisher {
                    shard: shard.clone(),
                    shared: shared.clone(),
                });
            }
        }
    }

    /// Starts the thread, which writes `lines` and, of the control thread's own, those that are `wanted`. It ends
    /// with `Log::finish`.
    pub fn start(mut self, mut lines: Receiver<LogLine>, wanted: LogMask) -> io::Result<Log> {
        let (own_lines, own) = bounded(limits::LOG_LINES);
        let (reopen, reopens) = bounded(1);
        let lost = self.losses.own.clone();
        let shared = self.losses.shared.clone();
        let thread = std::thread::Builder::new()
            .name("log".into())
            .spawn(move || {
                loop {
                    // What is still to be told does not wait for the next line.
                    let quiet = match self.rate.owes() {
                        true => after(Duration::from_secs(1)),
                        false => never(),
                    };
                    select! {
                        recv(lines) -> line => match line {
                            Ok(line) => self.write(&line),
                            Err(_) => lines = never(),
                        },
                        recv(own) -> line => match line {
                            Ok(line) => {
                                if reopens.try_recv().is_ok() {
                                    self.reopen(wanted);
                                }
                                self.write(&line);
                            }
                            Err(_) => break,
                        },
                        // Its other end is closed with that of the lines, which say so.
                        recv(reopens) -> wanted_now => if wanted_now.is_ok() {
                            self.reopen(wanted);
                        },
                        recv(quiet) -> _ => self.tell_of_omissions(format::unix_s()),
                    }
                    self.write_all(&lines, &own, &reopens, wanted);
                    // While this thread does not wait at the channel, a shard that logs wakes nobody.
                    std::thread::sleep(Duration::from_millis(limits::LOG_PAUSE_MS));
                }
                if reopens.try_recv().is_ok() {
                    self.reopen(wanted);
                }
                self.write_all(&lines, &own, &reopens, wanted);
                let lost = self.losses.turn();
                self.tell_of_losses(lost, format::unix_s());
            })?;
        Ok(Log {
            lines: own_lines,
            reopen,
            wanted,
            lost,
            shared,
            thread,
        })
    }

    /// Writes all that wait.
    fn write_all(
        &mut self,
        lines: &Receiver<LogLine>,
        own: &Receiver<LogLine>,
        reopens: &Receiver<()>,
        wanted: LogMask,
    ) {
        for line in lines.try_iter().chain(own.try_iter()) {
            // What is logged behind a request to reopen is for the new file.
            if reopens.try_recv().is_ok() {
                self.reopen(wanted);
            }
            self.write(&line);
        }
    }

    fn write(&mut self, line: &LogLine) {
        let now_s = format::unix_s();
        self.tell_of_omissions(now_s);
        if self.rate.admit(line.kind) {
            self.put(line.kind, &line.text, now_s);
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
            self.put(LogKind::Warning, &text, now_s);
        }
        let lost = self.losses.turn();
        self.tell_of_losses(lost, now_s);
    }

    fn tell_of_losses(&mut self, lost: u64, now_s: u64) {
        if lost > 0 {
            let text = format::loss(lost, "the writer could not keep up");
            self.put(LogKind::Warning, &text, now_s);
        }
    }

    fn put(&mut self, kind: LogKind, text: &str, now_s: u64) {
        for output in &mut self.outputs {
            output.write(&self.shape, &Line { kind, text, now_s });
        }
    }

    fn reopen(&mut self, wanted: LogMask) {
        let mut problems = Vec::new();
        for output in &mut self.outputs {
            if let Err(error) = output.reopen() {
                problems.push(format!(
                    "The log file cannot be opened anew, lines go where they went: {error}"
                ));
            }
        }
        let is_well = problems.is_empty();
        self.outputs
            .retain(|output| !(is_well && matches!(output, Output::StandIn(_))));
        for text in problems.iter().filter(|_| wanted.has(LogKind::Warning)) {
            self.put(LogKind::Warning, text, format::unix_s());
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
    pub fn write(&self, kind: LogKind, text: String) {
        if self.wanted.has(kind) {
            let line = match &self.shared {
                Some(shared) => shared.log_room().line(kind, text),
                None => Some(LogLine::free(kind, text)),
            };
            let sent = line.map(|line| self.lines.try_send(line));
            if !matches!(sent, Some(Ok(()))) {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Opens files anew, after they have been rotated.
    pub fn reopen(&self) {
        // Where one waits already, the writer has not looked yet.
        let _ = self.reopen.try_send(());
    }

    /// Writes what is left and ends.
    pub fn finish(self) {
        drop(self.lines);
        let _ = self.thread.join();
    }
}
