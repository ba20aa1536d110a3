//! How much the kernel may hold for one connection: chosen from the budget, set on the listening sockets, inherited by
//! what is accepted. Where the budget is ample the kernel's own tuning stays.

use std::fmt;
use std::os::fd::AsFd;

use socket2::SockRef;

use crate::limits;

/// What is set on listening sockets; `None` leaves a thing to the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffers {
    /// SO_SNDBUF in bytes: what a peer can make the kernel keep that does not acknowledge.
    pub send: Option<u32>,
    /// SO_RCVBUF in bytes: what a peer can make the kernel keep while it is not read from.
    pub receive: Option<u32>,
    /// TCP_MAXSEG in bytes: segments of which such a receive buffer holds some. Set wherever `receive` is.
    pub segment: Option<u32>,
    /// TCP_NOTSENT_LOWAT in bytes: what is kept for a peer whose window is closed.
    pub notsent: Option<u32>,
}

impl Buffers {
    /// For so many connections at most with so many bytes for all of them, of which some may be full at once: of what is
    /// left for each of these two thirds are for what waits to be sent, the rest for what waits to be read.
    pub fn choose(account_bytes: u64, connections: u64) -> Buffers {
        let connections = connections.max(1);
        let rest = account_bytes.saturating_sub(connections.saturating_mul(limits::SOCKET_BYTES));
        let full = connections.div_ceil(limits::SOCKET_FULL_DIVISOR);
        let each = rest / full;
        if each >= limits::SOCKET_SHARE_AMPLE {
            return Buffers::default();
        }
        let least = u64::from(limits::SOCKET_NOTSENT_MIN);
        let most = u64::from(limits::SOCKET_NOTSENT_MAX);
        let unsent = (each * 2 / 3).saturating_sub(limits::SOCKET_SEND_OVERHEAD);
        let notsent = power_below(unsent.clamp(least, most));
        let is_small = each < limits::SOCKET_SHARE_SMALL;
        Buffers {
            send: is_small.then_some(limits::SOCKET_SEND_BYTES),
            receive: is_small.then_some(limits::SOCKET_RECEIVE_BYTES),
            segment: is_small.then_some(limits::SOCKET_SEGMENT_BYTES),
            notsent: Some(notsent),
        }
    }

    /// Bytes that the kernel holds, about, for a connection whose peer reads nothing.
    pub fn unread_bytes(&self) -> u64 {
        match self.notsent {
            Some(bytes) => u64::from(bytes) + limits::SOCKET_SEND_OVERHEAD,
            None => limits::SOCKET_SEND_TUNED,
        }
    }

    /// A line of the log, for so many connections at most.
    pub fn line(&self, connections: u64) -> String {
        format!("Memory: sockets {self}, {connections} at most.")
    }

    /// Sets them on a listening TCP socket.
    ///
    /// # Errors
    /// The kernel refuses one of them.
    pub fn set(&self, socket: &impl AsFd) -> std::io::Result<()> {
        self.set_local(socket)?;
        let socket = SockRef::from(socket);
        if let Some(bytes) = self.receive {
            socket.set_recv_buffer_size(bytes as usize)?;
        }
        if let Some(bytes) = self.segment {
            socket.set_tcp_mss(bytes)?;
        }
        match self.notsent {
            Some(bytes) => socket.set_tcp_notsent_lowat(bytes),
            None => Ok(()),
        }
    }

    /// Sets what matters for a Unix domain socket, whose queue lies with the sender and is never tuned upwards.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn set_local(&self, socket: &impl AsFd) -> std::io::Result<()> {
        match self.send {
            Some(bytes) => SockRef::from(socket).set_send_buffer_size(bytes as usize),
            None => Ok(()),
        }
    }
}

/// The greatest power of two that is not above.
fn power_below(bytes: u64) -> u32 {
    1 << bytes.clamp(1, 1 << 30).ilog2()
}

impl fmt::Display for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("unsent", self.notsent),
            ("send", self.send),
            ("receive", self.receive),
            ("segments", self.segment),
        ];
        let mut separator = "";
        for (name, bytes) in parts {
            if let Some(bytes) = bytes {
                write!(f, "{separator}{name} {} KiB", bytes >> 10)?;
                separator = ", ";
            }
        }
        match separator {
            "" => write!(f, "as the kernel tunes them"),
            _ => write!(f, " a connection"),
        }
    }
}

#[cfg(test)]
mod tests;
