//! Log destinations that are datagram sockets of the host: syslog (RFC 3164 as syslog(3) sends it) and the journal.
//! A daemon that is away is looked for again with each line.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::format::missing;
use crate::broker::LogKind;
use crate::limits;

/// The name under which lines are found.
const IDENTIFIER: &str = "firehose";
/// Where syslog daemons and the journal listen.
const SYSLOG: &str = "/dev/log";
/// The journal's own protocol (systemd.journal-fields(7)).
const JOURNAL: &str = "/run/systemd/journal/socket";

/// A socket that is connected when there is somebody to connect to.
pub(super) struct Datagrams {
    path: &'static str,
    socket: Option<UnixDatagram>,
    /// Lines that were not taken since the last one that was, and why the last of them was not.
    lost: u64,
    why: String,
}

impl Datagrams {
    pub(super) fn syslog() -> Self {
        Datagrams::at(SYSLOG)
    }

    pub(super) fn journal() -> Self {
        Datagrams::at(JOURNAL)
    }

    fn at(path: &'static str) -> Self {
        Datagrams {
            path,
            socket: None,
            lost: 0,
            why: String::new(),
        }
    }

    /// Where the daemon listens.
    pub(super) fn path(&self) -> &'static str {
        self.path
    }

    /// Looks whether somebody listens.
    ///
    /// # Errors
    /// Nobody does.
    pub(super) fn connect(&mut self) -> io::Result<()> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(self.path)?;
        socket.set_write_timeout(Some(Duration::from_millis(limits::LOG_SOCKET_MS)))?;
        self.socket = Some(socket);
        Ok(())
    }

    /// Sends a line, and before it a word on those that are missing. `datagram` gives each its form.
    ///
    /// # Errors
    /// Why the line is not taken.
    pub(super) fn deliver(
        &mut self,
        kind: LogKind,
        text: &str,
        datagram: impl Fn(LogKind, &str) -> Vec<u8>,
    ) -> Result<(), &str> {
        if self.lost > 0 {
            let loss = missing(self.lost, &self.why);
            if self.send(&datagram(LogKind::Warning, &loss)).is_ok() {
                self.lost = 0;
            }
        }
        match self.send(&datagram(kind, text)) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.lost += 1;
                self.why = error.to_string();
                Err(&self.why)
            }
        }
    }

    /// Sends one datagram; a daemon that was restarted since gets it by a new connection.
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        if let Some(socket) = &self.socket
            && socket.send(datagram).is_ok()
        {
            return Ok(());
        }
        self.socket = None;
        self.connect()?;
        let sent = self.socket.iter().try_for_each(|socket| {
            socket.send(datagram)?;
            Ok(())
        });
        if sent.is_err() {
            self.socket = None;
        }
        sent
    }
}

/// The severity of a kind, as Mosquitto gives it to syslog.
pub(super) fn severity(kind: LogKind) -> u8 {
    match kind {
        LogKind::Error => 3,
        LogKind::Warning => 4,
        LogKind::Notice | LogKind::Subscribe | LogKind::Unsubscribe => 5,
        LogKind::Information => 6,
        LogKind::Debug | LogKind::Websockets | LogKind::Internal => 7,
    }
}

/// A line for syslog; `facility` is its number (daemon is 3, local0 is 16), `time` as `Mmm dd hh:mm:ss`.
pub(super) fn syslog_datagram(facility: u8, kind: LogKind, time: &str, line: &str) -> Vec<u8> {
    let priority = u32::from(facility) * 8 + u32::from(severity(kind));
    let pid = std::process::id();
    format!("<{priority}>{time} {IDENTIFIER}[{pid}]: {line}").into_bytes()
}

/// A line for the journal, which adds the time and the process by itself. The line holds no newline.
pub(super) fn journal_datagram(kind: LogKind, line: &str) -> Vec<u8> {
    let severity = severity(kind);
    format!("PRIORITY={severity}\nSYSLOG_IDENTIFIER={IDENTIFIER}\nMESSAGE={line}\n").into_bytes()
}
