//! One destination of log lines: what a line looks like there, and what is said of those that it did not take.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::format::{self, LineFormat, missing};
use super::sink::Sink;
use super::sockets::{self, Datagrams};
use crate::broker::LogKind;
use crate::config::{LogDestination, absolute};
use crate::escape::one_line;
use crate::limits;
use crate::mqtt::message::{Holders, Message, Sent};
use crate::mqtt::{QoS, Topic};
use crate::shard::{ShardCommand, ShardHandle, Shared};

/// Where lines are written.
pub(super) enum Output {
    Stdout(Sink),
    Stderr(Sink),
    /// `None`: it could not be opened yet.
    File(Option<Sink>, PathBuf),
    /// With the facility's number.
    Syslog(Datagrams, u8),
    Journal(Datagrams),
    /// Until there is a shard to publish it, lines are lost to it.
    Topic(Option<Publisher>),
}

/// A line in all its shapes.
pub(super) struct Line<'a> {
    pub kind: LogKind,
    pub text: &'a str,
    /// Whole seconds since 1970.
    pub now_s: u64,
}

impl Output {
    /// Opens a destination. One that takes no lines yet, a file that cannot be opened or a daemon that is away, has the reason
    /// beside it.
    ///
    /// # Errors
    /// A standard stream cannot be used.
    pub(super) fn open(
        destination: &LogDestination,
        facility: u8,
    ) -> io::Result<(Output, Option<io::Error>)> {
        Ok(match destination {
            LogDestination::Stdout => (Output::Stdout(stream(io::stdout())?), None),
            LogDestination::Stderr => (Output::Stderr(stream(io::stderr())?), None),
            LogDestination::File(path) => match Sink::open(path) {
                Ok(sink) => (Output::File(Some(sink), path.clone()), None),
                Err(error) => (Output::File(None, path.clone()), Some(error)),
            },
            LogDestination::Syslog => {
                let mut socket = Datagrams::syslog();
                let problem = socket.connect().err();
                (Output::Syslog(socket, facility), problem)
            }
            LogDestination::Journald => {
                let mut socket = Datagrams::journal();
                let problem = socket.connect().err();
                (Output::Journal(socket), problem)
            }
            LogDestination::Topic => (Output::Topic(None), None),
        })
    }

    /// What it is called.
    pub(super) fn name(&self) -> String {
        match self {
            Output::Stdout(_) => "standard output".into(),
            Output::Stderr(_) => "standard error".into(),
            Output::File(_, path) => format!("the log file {}", absolute(path).display()),
            Output::Syslog(socket, _) => format!("syslog ({})", socket.path()),
            Output::Journal(socket) => format!("the journal ({})", socket.path()),
            Output::Topic(_) => "the log's topics".into(),
        }
    }

    /// Writes a line. What is not taken is counted, and said there when something is again.
    ///
    /// # Errors
    /// Why it is not taken.
    pub(super) fn write(&mut self, shape: &LineFormat, line: &Line<'_>) -> Result<(), String> {
        match self {
            Output::Stdout(sink) | Output::Stderr(sink) | Output::File(Some(sink), _) => {
                write_to(sink, shape, line).map_err(|error| error.to_string())
            }
            Output::File(None, _) => Err("it could not be opened".into()),
            Output::Syslog(socket, facility) => {
                let time = format::format_time("%b %e %H:%M:%S", line.now_s);
                let sent = socket.deliver(line.kind, line.text, |kind, text| {
                    let text = shape.line(kind, text, line.now_s);
                    sockets::syslog_datagram(*facility, kind, &time, &text)
                });
                sent.map_err(String::from)
            }
            // The journal has its own time.
            Output::Journal(socket) => {
                let sent = socket.deliver(line.kind, line.text, |kind, text| {
                    let text = match shape.json {
                        true => format::json(kind, text),
                        false => one_line(text).into_owned(),
                    };
                    sockets::journal_datagram(kind, &text)
                });
                sent.map_err(String::from)
            }
            Output::Topic(publisher) => {
                if let (Some(publisher), Some(topic)) = (publisher, topic(line.kind)) {
                    publisher.publish(topic, &shape.line(line.kind, line.text, line.now_s));
                }
                Ok(())
            }
        }
    }

    /// Opens a file anew, after it has been rotated. One that cannot be is written to as before.
    ///
    /// # Errors
    /// Why it cannot be opened; the error names it.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if let Output::File(sink, path) = self {
            let opened = Sink::open(path)?;
            match sink {
                Some(sink) => sink.replace(opened),
                None => *sink = Some(opened),
            }
        }
        Ok(())
    }
}

/// Writes a line to a file or a stream.
///
/// # Errors
/// Why it is not taken.
pub(super) fn write_to<'a>(
    sink: &'a mut Sink,
    shape: &LineFormat,
    line: &Line<'_>,
) -> Result<(), &'a io::Error> {
    let terminated = shape.line(line.kind, line.text, line.now_s) + "\n";
    sink.write(terminated.as_bytes(), |lines, why| {
        let text = missing(lines, &why.to_string());
        shape.line(LogKind::Warning, &text, line.now_s) + "\n"
    })
}

/// A standard stream, past the buffer that the standard library keeps for it: that would write what was refused again.
///
/// # Errors
/// It cannot be used.
pub(super) fn stream(stream: impl AsFd) -> io::Result<Sink> {
    let descriptor = stream.as_fd().try_clone_to_owned()?;
    Ok(Sink::new(File::from(descriptor)))
}

/// Where a kind of line is published, as Mosquitto does; debug and internal lines are not: publishing would cause more.
pub(super) fn topic(kind: LogKind) -> Option<&'static str> {
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

/// Who publishes lines.
#[derive(Clone)]
pub(super) struct Publisher {
    pub shard: ShardHandle,
    pub shared: Arc<Shared>,
}

impl Publisher {
    /// QoS 2, not retained, gone after 20 seconds: as Mosquitto.
    fn publish(&self, topic: &'static str, line: &str) {
        let Some(topic) = Topic::new(topic) else {
            return;
        };
        let message = Message {
            topic,
            payload: Bytes::copy_from_slice(line.as_bytes()),
            properties: Bytes::new(),
            qos: QoS::ExactlyOnce,
            retain: false,
            expires_at_ms: self.shared.now_ms() + limits::LOG_TOPIC_EXPIRY_MS,
            origin: 0,
            author: None,
            sent: Sent::default(),
            holders: Holders::default(),
        };
        // A shard that takes no more commands loses the line.
        let _ = self.shard.send(ShardCommand::Publish(Box::new(message)));
    }
}
