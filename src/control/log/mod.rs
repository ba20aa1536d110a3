//! The log writer: a thread of its own, so that a slow disk holds up nobody. Lines as Mosquitto writes them (the time,
//! a colon, the text) or as JSON objects, to files, the standard streams, syslog, the journal and topics.

mod format;
mod sockets;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded, never, select};

use crate::broker::{LogKind, LogMask};
use crate::config::{Log as Configured, LogDestination};
use crate::limits;
use crate::mqtt::message::{Holders, Message};
use crate::shard::{LogLine, ShardCommand, ShardHandle, Shared};
use format::Rate;
use sockets::Datagrams;

/// Where a line is written.
enum Output {
    Stdout,
    Stderr,
    File(File, std::path::PathBuf),
    /// With the facility's number.
    Syslog(Datagrams, u8),
    Journal(Datagrams),
    /// Until there is a shard to publish it, lines are lost to it.
    Topic(Option<Publisher>),
}

/// Who publishes lines.
#[derive(Clone)]
struct Publisher {
    shard: ShardHandle,
    shared: Arc<Shared>,
}

/// The destinations, opened.
pub struct LogWriter {
    outputs: Vec<Output>,
    timestamp: bool,
    format: Option<String>,
    json: bool,
    rate: Rate,
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
            LogDestination::Syslog => Ok(Output::Syslog(Datagrams::syslog(), configured.facility)),
            LogDestination::Journald => Ok(Output::Journal(Datagrams::journal())),
            LogDestination::Topic => Ok(Output::Topic(None)),
        };
        Ok(LogWriter {
            outputs: configured
                .destinations
                .iter()
                .map(output)
                .collect::<io::Result<_>>()?,
            timestamp: configured.timestamp,
            format: configured.timestamp_format.clone(),
            json: configured.json,
            rate: Rate::new(configured.lines_per_second),
        })
    }

    /// Lines for topics are published by this shard.
    pub(super) fn publish_by(&mut self, shard: &ShardHandle, shared: &Arc<Shared>) {
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
        let now_s = format::unix_s();
        if let Some(lines) = self.rate.turn(now_s) {
            let text =
                format!("{lines} log lines were left out, more than log_lines_per_second allows.");
            self.put(LogKind::Warning, &text, now_s);
        }
        if self.rate.admit(line.kind) {
            self.put(line.kind, &line.text, now_s);
        }
    }

    fn put(&mut self, kind: LogKind, text: &str, now_s: u64) {
        let line = match (self.json, self.timestamp, &self.format) {
            (true, _, _) => format::json(kind, text),
            (_, false, _) => format::one_line(text),
            (_, _, None) => format!("{now_s}: {}", format::one_line(text)),
            (_, _, Some(format)) => {
                let time = format::format_time(format, now_s);
                format!("{time}: {}", format::one_line(text))
            }
        };
        let terminated = format!("{line}\n");
        for output in &mut self.outputs {
            // A log that cannot be written to must not end the broker.
            let _ = match output {
                Output::Stdout => io::stdout().lock().write_all(terminated.as_bytes()),
                Output::Stderr => io::stderr().lock().write_all(terminated.as_bytes()),
                Output::File(file, _) => file.write_all(terminated.as_bytes()),
                Output::Syslog(socket, facility) => {
                    let time = format::format_time("%b %e %H:%M:%S", now_s);
                    let datagram = sockets::syslog_datagram(*facility, kind, &time, &line);
                    socket.send(&datagram)
                }
                // The journal has its own time.
                Output::Journal(socket) => {
                    let text = match self.json {
                        true => line.clone(),
                        false => format::one_line(text),
                    };
                    socket.send(&sockets::journal_datagram(kind, &text))
                }
                Output::Topic(publisher) => {
                    if let (Some(publisher), Some(topic)) = (publisher, topic(kind)) {
                        publisher.publish(topic, &line);
                    }
                    Ok(())
                }
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

/// Where a kind of line is published, as Mosquitto does; debug and internal lines are not: publishing would cause more.
fn topic(kind: LogKind) -> Option<&'static str> {
    match kind {
        LogKind::Error => Some("$SYS/broker/log/E"),
        LogKind::Warning => Some("$SYS/broker/log/W"),
        LogKind::Notice => Some("$SYS/broker/log/N"),
        LogKind::Information => Some("$SYS/broker/log/I"),
        LogKind::Subscribe => Some("$SYS/broker/log/M/subscribe"),
        LogKind::Unsubscribe => Some("$SYS/broker/log/M/unsubscribe"),
        LogKind::Websockets => Some("$SYS/broker/log/WS"),
        LogKind::Debug | LogKind::Internal => None,
    }
}

impl Publisher {
    /// QoS 2, not retained, gone after 20 seconds: as Mosquitto.
    fn publish(&self, topic: &'static str, line: &str) {
        let message = Message {
            topic: Bytes::from_static(topic.as_bytes()),
            payload: Bytes::copy_from_slice(line.as_bytes()),
            properties: Bytes::new(),
            qos: 2,
            retain: false,
            expires_at_ms: self.shared.now_ms() + limits::LOG_TOPIC_EXPIRY_MS,
            origin: 0,
            holders: Holders::default(),
        };
        // A shard that takes no more commands loses the line.
        let _ = self.shard.send(ShardCommand::Publish(message));
    }
}
