//! A connection whose packets are looked at.

use super::event::TracedPacket;
use super::sent::SentPackets;
use crate::ids::ConnId;

/// See the module.
#[derive(Debug)]
pub(crate) struct Watched {
    /// Which.
    pub conn: ConnId,
    /// Its number in traces.
    pub number: u64,
    /// The identifier of its client.
    pub client: Box<str>,
    /// What its socket has taken.
    pub sent: SentPackets,
    /// The packet that comes next has been shown: it had to wait.
    pub is_shown: bool,
    /// Its end has been shown.
    pub has_ended: bool,
    /// Its CONNECT, which is shown here only if it is refused here.
    pub connect: Option<Box<TracedPacket>>,
}

impl Watched {
    /// From now on.
    pub(crate) fn new(conn: ConnId, number: u64, client: &str, sent: SentPackets) -> Watched {
        Watched {
            conn,
            number,
            client: client.into(),
            sent,
            is_shown: false,
            has_ended: false,
            connect: None,
        }
    }

    /// Bytes of memory.
    pub(super) fn memory(&self) -> usize {
        let connect = self.connect.as_ref();
        let connect = connect.map_or(0, |packet| size_of::<TracedPacket>() + packet.memory());
        size_of::<Self>() + self.client.len() + self.sent.memory() + connect
    }
}
