//! One step of a TLS handshake, as it is worked on by a thread that may take its time.

use crate::ids::ConnId;
use crate::transport::{Failure, Progress, Transport};

/// Bytes that came for a handshake, and the transport that they are for.
pub(super) struct Step {
    pub conn: ConnId,
    pub generation: u32,
    pub transport: Box<Transport>,
    pub bytes: Vec<u8>,
    /// What they are counted with until they come back.
    pub cost: u64,
}

/// What became of it.
pub(crate) struct Shaken {
    pub(super) conn: ConnId,
    /// The connection's number may be another's by now.
    pub(super) generation: u32,
    pub(super) transport: Box<Transport>,
    pub(super) cost: u64,
    /// MQTT bytes that came behind the handshake.
    pub(super) plain: Vec<u8>,
    /// None if nobody did: others had to come first.
    pub(super) result: Option<Result<Progress, Failure>>,
}

impl std::fmt::Debug for Shaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shaken({:?}, {:?})", self.conn, self.result)
    }
}

impl Step {
    /// Does the work.
    pub(super) fn run(mut self) -> Shaken {
        let mut plain = Vec::new();
        let result = self
            .transport
            .receive(&mut self.bytes, &mut |mqtt| plain.extend_from_slice(mqtt));
        Shaken {
            conn: self.conn,
            generation: self.generation,
            transport: self.transport,
            cost: self.cost,
            plain,
            result: Some(result),
        }
    }

    /// Nobody does it.
    pub(super) fn give_up(self) -> Shaken {
        Shaken {
            conn: self.conn,
            generation: self.generation,
            transport: self.transport,
            cost: self.cost,
            plain: Vec::new(),
            result: None,
        }
    }
}
