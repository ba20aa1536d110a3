//! The log writer: a thread of its own, so that a slow disk holds up nobody. Lines as Mosquitto writes them: the time,
//! a colon, the text.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender, bounded, never, select};

use crate::broker::{LogKind, LogMask};
use crate::config::{Log as Configured, LogDestination};
use crate::limits;
use crate::shard::LogLine;

/// Where a line is written.
enum Output {
    Stdout,
    Stderr,
    File(File, std::path::PathBuf),
}

/// The destinations, opened.
pub struct LogWriter {
    outputs: Vec<Output>,
    timestamp: bool,
    format: Option<String>,
}

enum Request {
    Line(LogLine),
    Reopen,
}

/// The control thread's end of the log.
pub struct Log {
    requests: Sender<Request>,
    wanted: LogMask,
    thread: JoinHandle<()>,
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

impl LogWriter {
    /// Opens what the configuration names.
    pub fn open(configured: &Configured) -> io::Result<Self> {
        let output = |destination: &LogDestination| match destination {
            LogDestination::Stdout => Ok(Output::Stdout),
            LogDestination::Stderr => Ok(Output::Stderr),
            LogDestination::File(path) => Ok(Output::File(open(path)?, path.clone())),
        };
        Ok(LogWriter {
            outputs: configured
                .destinations
                .iter()
                .map(output)
                .collect::<io::Result<_>>()?,
            timestamp: configured.timestamp,
            format: configured.timestamp_format.clone(),
        })
    }

    /// Starts the thread, which writes `lines` and, of the control thread's own, those that are `wanted`. It ends
    /// with `Log::finish`.
    pub fn start(mut self, mut lines: Receiver<LogLine>, wanted: LogMask) -> io::Result<Log> {
        let (requests, incoming) = bounded(limits::LOG_LINES);
        let thread = std::thread::Builder::new()
            .name("log".into())
            .spawn(move || {
                loop {
                    select! {
                        recv(lines) -> line => match line {
                            Ok(line) => self.write(&line),
                            Err(_) => lines = never(),
                        },
                        recv(incoming) -> request => match request {
                            Ok(Request::Line(line)) => self.write(&line),
                            Ok(Request::Reopen) => self.reopen(),
                            Err(_) => break,
                        },
                    }
                    while let Ok(line) = lines.try_recv() {
                        self.write(&line);
                    }
                    // While this thread does not wait at the channel, a shard that logs wakes nobody.
                    std::thread::sleep(Duration::from_millis(limits::LOG_PAUSE_MS));
                }
                while let Ok(line) = lines.try_recv() {
                    self.write(&line);
                }
            })?;
        Ok(Log {
            requests,
            wanted,
            thread,
        })
    }

    fn write(&mut self, line: &LogLine) {
        let time = match (self.timestamp, &self.format) {
            (false, _) => String::new(),
            (true, None) => format!("{}: ", unix_s()),
            (true, Some(format)) => format!("{}: ", format_time(format, unix_s())),
        };
        let text = format!("{time}{}\n", line.text);
        for output in &mut self.outputs {
            // A log that cannot be written to must not end the broker.
            let _ = match output {
                Output::Stdout => io::stdout().lock().write_all(text.as_bytes()),
                Output::Stderr => io::stderr().lock().write_all(text.as_bytes()),
                Output::File(file, _) => file.write_all(text.as_bytes()),
            };
        }
    }

    fn reopen(&mut self) {
        for output in &mut self.outputs {
            if let Output::File(file, path) = output
                && let Ok(opened) = open(path)
            {
                *file = opened;
            }
        }
    }
}

impl Log {
    /// Writes a line of the control thread's own.
    pub fn write(&self, kind: LogKind, text: String) {
        if self.wanted.has(kind) {
            let line = Request::Line(LogLine { kind, text });
            let _ = self.requests.try_send(line);
        }
    }

    /// Opens files anew, after they have been rotated.
    pub fn reopen(&self) {
        let _ = self.requests.try_send(Request::Reopen);
    }

    /// Writes what is left and ends.
    pub fn finish(self) {
        drop(self.requests);
        let _ = self.thread.join();
    }
}

fn unix_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// A time in local time by a strftime format (`log_timestamp_format`).
fn format_time(format: &str, unix_s: u64) -> String {
    let Ok(time) = jiff::Timestamp::from_second(unix_s as i64) else {
        return unix_s.to_string();
    };
    let local = time.to_zoned(jiff::tz::TimeZone::system());
    let mut out = String::new();
    match jiff::fmt::strtime::BrokenDownTime::from(&local).format(format, &mut out) {
        Ok(()) => out,
        Err(_) => unix_s.to_string(),
    }
}
