//! TLS handshakes are worked on by others: they take up to a millisecond of CPU each, and a storm of them would hold up
//! every message. Out by a bounded queue that is never waited for, back by a command; meanwhile nothing is received.

use crossbeam_channel::Sender;

use crate::broker::CloseCause;
use crate::ids::ConnId;
use crate::transport::{Failure, Progress, Transport};

use super::connections::Flags;
use super::{Answer, Brain, Metric, Shard, ShardCommand, ShardError, ShardHandle};

/// Where a shard's handshakes go.
pub struct Handshakes {
    /// The queue; where it is full, the connection is closed.
    pub queue: Sender<Handshake>,
    /// The shard's own handle, for the answers.
    pub reply: ShardHandle,
}

/// One step of a handshake: bytes that came for it.
pub struct Handshake {
    conn: ConnId,
    generation: u32,
    transport: Box<Transport>,
    bytes: Vec<u8>,
    /// What they are counted with until they come back.
    cost: u64,
    reply: ShardHandle,
}

/// What became of it.
pub struct Shaken {
    conn: ConnId,
    /// The connection's number may be another's by now.
    generation: u32,
    transport: Box<Transport>,
    cost: u64,
    /// MQTT bytes that came behind the handshake.
    plain: Vec<u8>,
    result: Result<Progress, Failure>,
}

impl std::fmt::Debug for Shaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shaken({:?}, {:?})", self.conn, self.result)
    }
}

impl Handshake {
    /// Does the work.
    pub fn run(mut self) -> Answer {
        let mut plain = Vec::new();
        let result = self
            .transport
            .receive(&mut self.bytes, &mut |mqtt| plain.extend_from_slice(mqtt));
        let shaken = Shaken {
            conn: self.conn,
            generation: self.generation,
            transport: self.transport,
            cost: self.cost,
            plain,
            result,
        };
        Answer::new(ShardCommand::Shaken(Box::new(shaken)), self.reply)
    }
}

impl<B: Brain> Shard<B> {
    /// Gives bytes of a handshake to those who work on it.
    pub(super) fn shake(&mut self, conn: ConnId, bytes: Vec<u8>) -> Result<(), ShardError> {
        let (Some(handshakes), Some(entry), Some(transport)) = (
            &self.handshakes,
            self.connections.get(conn),
            self.transports.take(conn),
        ) else {
            return Ok(());
        };
        let cost = transport.counted + bytes.len() as u64;
        let handshake = Handshake {
            conn,
            generation: entry.generation,
            transport,
            bytes,
            cost,
            reply: handshakes.reply.clone(),
        };
        match handshakes.queue.try_send(handshake) {
            Ok(()) => {
                entry.flags.set(Flags::AWAY);
                self.transports.lend(cost);
                Ok(())
            }
            Err(error) => {
                self.transports.put(conn, error.into_inner().transport);
                self.metrics.add(Metric::HandshakesRefused, 1);
                let reason = "too many TLS handshakes are waiting";
                self.brain.on_transport_failed(self.now_ms, conn, reason);
                self.tell_end(conn, CloseCause::Transport)
            }
        }
    }

    /// Somebody has worked on a handshake.
    pub(super) fn on_shaken(&mut self, shaken: Shaken) -> Result<(), ShardError> {
        let Shaken {
            conn,
            generation,
            transport,
            cost,
            plain,
            result,
        } = shaken;
        self.transports.lent_back(cost);
        let Some(entry) = self
            .connections
            .get(conn)
            .filter(|entry| entry.generation == generation && entry.flags.has(Flags::AWAY))
        else {
            return Ok(());
        };
        entry.flags.clear(Flags::AWAY);
        let is_leaving = entry.flags.has(Flags::LEAVING);
        self.transports.put(conn, transport);
        // Also one that is leaving: the end of its peer's side is waited for.
        self.to_arm.push(conn);
        if is_leaving {
            return Ok(());
        }
        self.on_transport_received(conn, result, &plain)
    }
}
