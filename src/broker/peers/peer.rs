//! Who is at the other end of a connection, on its way to another shard too, and why it ended.

use std::net::SocketAddr;

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address, for log lines and limits per address; unspecified for a client at a Unix domain socket.
    pub address: SocketAddr,
    /// The listener it came in by: an index into `Settings::listeners`.
    pub listener: u16,
}

/// A connection on its way to the shard where its session lives (docs/decisions/0102).
#[derive(Debug, PartialEq, Eq)]
pub struct Handover {
    /// Who it is.
    pub peer: Peer,
    /// What was received so far, from the first byte of CONNECT.
    pub received: Vec<u8>,
    /// The user name that its certificate gives it.
    pub identity: Option<Box<str>>,
}

/// Why a connection ended, as the shard saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCause {
    /// The peer closed its side.
    Eof,
    /// The kernel reported an error, as an errno.
    Error(i32),
    /// The peer said goodbye in the terms of its transport, and is owed the same.
    Goodbye,
    /// The peer broke the rules of its transport (the shard has written why), and may be told so.
    Transport,
}
