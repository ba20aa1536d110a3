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
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn few_connections_keep_the_kernels_tuning() {
        assert_eq!(Buffers::choose(500 * MIB, 50), Buffers::default());
        assert_eq!(Buffers::default().to_string(), "as the kernel tunes them");
        for connections in [1000, 3000, 5000] {
            let buffers = Buffers::choose(500 * MIB, connections);
            assert_eq!((buffers.send, buffers.receive), (None, None));
            let all = buffers.unread_bytes() * connections;
            let full = all / limits::SOCKET_FULL_DIVISOR;
            assert!(full <= 500 * MIB, "{connections}: {buffers}");
        }
    }

    #[test]
    fn the_more_connections_the_less_for_each() {
        let mut before = Buffers::choose(500 * MIB, 2000);
        for connections in [3000, 10_000, 20_000, 100_000, 1 << 20, u64::MAX] {
            let buffers = Buffers::choose(500 * MIB, connections);
            assert!(buffers.notsent <= before.notsent, "{connections}");
            assert!(buffers.notsent >= Some(limits::SOCKET_NOTSENT_MIN));
            if before.receive.is_some() {
                assert!(buffers.receive <= before.receive && buffers.receive.is_some());
            }
            before = buffers;
        }
        assert_eq!(
            before.to_string(),
            "unsent 16 KiB, send 128 KiB, receive 16 KiB a connection"
        );
        assert_eq!(Buffers::choose(0, 0), before);
    }

    #[test]
    fn what_is_accepted_inherits_them() {
        let buffers = Buffers::choose(100 * MIB, 20_000);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        buffers.set(&listener).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        let socket = SockRef::from(&accepted);
        assert_eq!(socket.tcp_notsent_lowat().ok(), buffers.notsent);
        let receive = buffers.receive.unwrap() as usize;
        assert_eq!(socket.recv_buffer_size().unwrap(), 2 * receive);
        // Bytes get through in both directions.
        for bytes in [1, 100_000] {
            let sent = vec![7; bytes];
            let copy = sent.clone();
            let writer = std::thread::spawn(move || {
                client.write_all(&copy).unwrap();
                client
            });
            let mut got = vec![0; bytes];
            accepted.read_exact(&mut got).unwrap();
            client = writer.join().unwrap();
            assert_eq!(got, sent);
        }
        // A peer that reads nothing is given little.
        accepted.set_nonblocking(true).unwrap();
        let mut taken = 0;
        let error = loop {
            match accepted.write(&[0; 65536]) {
                Ok(bytes) => taken += bytes,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(taken < 1 << 20, "{taken}");
    }
}
