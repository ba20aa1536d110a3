//! What the brain of a shard asks of the world: the other half of its interface beside its `on_<event>` calls.

use std::net::IpAddr;
use std::sync::Arc;

use super::mesh_message::MeshMessage;
use super::peers::peer::Handover;
use super::settings::LogKind;
use crate::access::Passwords;
use crate::ids::{ConnId, ShardId};

/// How the shard is to close a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseHow {
    /// Send what is queued, shut down the sending side, discard what still arrives until the peer closes its own
    /// (so that no reset overtakes the last packet); the brain bounds the wait and says `Now` when it is over.
    Flush,
    /// Give up what is queued: cancel what is in flight and close.
    Now,
}

/// One thing for the shard to do.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Close the connection; the shard answers with `on_closed` when nothing of it is in flight any more.
    Close { conn: ConnId, how: CloseHow },
    /// The send in flight holds memory that is wanted back: cancel it; the shard answers with `on_sent` as always,
    /// with what had been taken by the socket.
    CancelSend { conn: ConnId },
    /// Receive nothing from the connection until `Resume`. What is on its way may still come.
    Pause { conn: ConnId },
    /// Receive from the connection again.
    Resume { conn: ConnId },
    /// Move the connection's socket to another shard, with this in front; the shard answers with `on_closed`.
    Handover {
        conn: ConnId,
        to: ShardId,
        handover: Box<Handover>,
    },
    /// Send to another shard. Between two shards the order is kept and nothing is lost.
    Mesh { to: ShardId, message: MeshMessage },
    /// Find out whether a password is right, off the shard; the shard answers with `on_verified`.
    Verify(Box<Verify>),
    /// Write a log line (without time and newline).
    Log { kind: LogKind, text: String },
}

/// A password to be checked.
#[derive(PartialEq)]
pub struct Verify {
    /// Whose it is.
    pub conn: ConnId,
    /// To be given back with the answer: the connection's number may be another's by then.
    pub ticket: u32,
    /// Its address: no one address may fill the queue.
    pub address: IpAddr,
    /// What it is checked against.
    pub passwords: Arc<Passwords>,
    /// The user name.
    pub user: Box<str>,
    /// The password.
    pub password: Box<[u8]>,
}

impl Verify {
    /// Bytes of memory, with the two that count it: who asked, and the queue that it waits in.
    pub fn memory(&self) -> usize {
        let texts = self.user.len() + self.password.len();
        size_of::<Self>() + size_of::<(u32, usize)>() + texts
    }

    /// Checks it. Slow by design.
    pub fn check(&self) -> Verdict {
        match self.passwords.check(&self.user, &self.password) {
            true => Verdict::Right,
            false => Verdict::Wrong,
        }
    }
}

impl std::fmt::Debug for Verify {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verify({:?}, {:?})", self.conn, self.user)
    }
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the user's password.
    Right,
    /// It is not, or there is no such user.
    Wrong,
    /// Too many others wait.
    Busy,
}
