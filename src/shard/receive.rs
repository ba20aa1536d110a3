//! Receiving: into provided buffers, single until the client is let in, multishot from then on.
//!
//! Bytes of a plain connection go to the brain as they are, others through the connection's transport. While a thread works on a
//! TLS handshake nothing is received.

use std::net::IpAddr;

use crate::broker::CloseCause;
use crate::ids::{ConnId, Network};
use crate::limits;
use crate::transport::{Failure, Plan, Progress, Transport};
use crate::uring::{Completion, Filled, ReceiveFailure};

use super::brain::Brain;
use super::connections::{Connection, Flags};
use super::error::ShardError;
use super::handshake::{Shaken, Step};
use super::metrics::Metric;
use super::traffic::Traffic;
use super::transports::Unwrapped;

/// Why a connection ends that wants memory where there is none.
const NO_MEMORY: &str = "no memory is left for TLS and WebSocket (budget account transports)";

/// The same for one that has to give way to another address.
const GIVEN_UP: &str = "its address has begun most of what has not come to an end, and no memory is left for others \
    (budget account transports)";

impl<B: Brain> Traffic<B> {
    /// Looks at every connection for whether it is to be received from.
    pub(super) fn want_all(&mut self) {
        self.receiving.want_all(self.sockets.numbers());
    }

    /// Arms receives for the connections that want one.
    pub(super) fn arm_receives(&mut self) -> Result<(), ShardError> {
        Ok(self.receiving.arm(&mut self.sockets, &self.brain)?)
    }

    /// A receive brought bytes, or ended.
    #[inline]
    pub(super) fn on_receive(&mut self, completion: Completion) -> Result<(), ShardError> {
        let filled = self.receiving.take(&completion);
        let result = self.on_received(completion, filled);
        if let Some(id) = filled.and_then(|filled| filled.finished) {
            let is_congested = self.roads.mesh().congested();
            self.receiving.release(id, is_congested);
        }
        result
    }

    #[inline]
    fn on_received(
        &mut self,
        completion: Completion,
        filled: Option<Filled>,
    ) -> Result<(), ShardError> {
        let Some((conn, entry)) = self.sockets.of(&completion) else {
            self.desk.count_stray();
            return Ok(());
        };
        if !completion.more() {
            entry.flags.clear(Flags::RECEIVING);
            entry.in_flight -= 1;
        }
        let leaving = entry.flags.has(Flags::LEAVING);
        let has_transport = entry.flags.has(Flags::TRANSPORT);
        if completion.result > 0
            && let Some(filled) = filled
        {
            self.desk.count(Metric::Receives, 1);
            let before = self.brain.delivered();
            if has_transport {
                self.on_transport_bytes(conn, filled)?;
            } else if !leaving {
                let bytes = self.receiving.bytes(filled);
                self.brain.on_bytes(self.desk.now_ms(), conn, bytes);
            } else if let Some(received) = self.roads.received(conn) {
                received.extend_from_slice(self.receiving.bytes(filled));
            }
            self.receiving.note(conn, completion.result as usize);
            if !completion.more() {
                let deliveries = self.brain.delivered() - before;
                self.receive_again(conn, completion.leaves_bytes(), deliveries);
            }
        } else {
            self.on_receive_ended(conn, completion)?;
        }
        if leaving { self.advance(conn) } else { Ok(()) }
    }

    /// A receive is over that brought bytes.
    #[inline]
    fn receive_again(&mut self, conn: ConnId, leaves_bytes: bool, deliveries: u64) {
        if leaves_bytes {
            return self.receiving.want_again(conn, deliveries);
        }
        if let Some(entry) = self.sockets.get(conn) {
            entry.flags.clear(Flags::TOOK_BUFFERS);
        }
        self.receiving.want(conn);
    }

    /// A receive without bytes: the end of the stream, or an error.
    #[cold]
    fn on_receive_ended(&mut self, conn: ConnId, completion: Completion) -> Result<(), ShardError> {
        if completion.result == 0 {
            self.sockets.set(conn, Flags::EOF);
            return self.tell_end(conn, CloseCause::Eof);
        }
        match ReceiveFailure::of(-completion.result) {
            // Somebody cancelled it who no longer wants that, or it is to be tried again; or not, if it is leaving.
            ReceiveFailure::Cancelled | ReceiveFailure::Again => self.receiving.want(conn),
            ReceiveFailure::NoBuffers => self.on_starved(conn),
            ReceiveFailure::Broken(errno) => self.on_broken(conn, errno)?,
        }
        Ok(())
    }

    /// A receive found no buffer.
    #[cold]
    fn on_starved(&mut self, conn: ConnId) {
        self.desk.count(Metric::Starved, 1);
        if self.receiving.starve(conn) {
            self.sockets.set(conn, Flags::TOOK_BUFFERS);
        }
    }

    /// A new connection speaks more than MQTT.
    pub(super) fn begin_transport(
        &mut self,
        conn: ConnId,
        plan: &Plan,
        source: IpAddr,
    ) -> Result<(), ShardError> {
        match Transport::new(plan) {
            Ok(transport) => {
                self.lay_transport(conn, Box::new(transport));
                self.transports.begin(conn, Network::of(source));
                // Counts what it has from the start.
                self.transports.change(conn, |_| ());
                Ok(())
            }
            Err(failure) => {
                self.sockets.set(conn, Flags::TRANSPORT);
                if plan.tls.is_some() {
                    self.sockets.set(conn, Flags::TLS);
                }
                self.on_transport_failed(conn, &failure)
            }
        }
    }

    /// A transport, new or from another shard, is this connection's.
    pub(super) fn lay_transport(&mut self, conn: ConnId, transport: Box<Transport>) {
        let Some(entry) = self.sockets.get(conn) else {
            return;
        };
        entry.flags.set(Flags::TRANSPORT);
        if transport.is_tls() {
            entry.flags.set(Flags::TLS);
        }
        self.transports.put(conn, transport);
        self.transports.wait(conn);
    }

    /// Bytes of the socket.
    fn on_transport_bytes(&mut self, conn: ConnId, filled: Filled) -> Result<(), ShardError> {
        let thrown_away = Flags::CLOSING.or(Flags::FLUSHING);
        if self.sockets.has(conn, thrown_away) {
            return Ok(());
        }
        let Some(transport) = self.transports.get(conn) else {
            return Ok(());
        };
        if transport.is_handshaking() && self.helpers.do_handshakes() {
            let bytes = self.receiving.bytes(filled).to_vec();
            return self.shake(conn, bytes);
        }
        let bytes = self.receiving.bytes_mut(filled);
        let (brain, now_ms) = (&mut self.brain, self.desk.now_ms());
        let Some(Unwrapped {
            result,
            plain,
            has_grown,
        }) = self.transports.receive(conn, bytes, brain, now_ms)
        else {
            return Ok(());
        };
        let result = match has_grown && !self.makes_room_for(conn)? {
            true => self.run_short_of_memory(conn),
            false => self.on_transport_received(conn, result, &plain),
        };
        self.transports.keep(plain);
        result
    }

    /// What a transport has made of received bytes.
    fn on_transport_received(
        &mut self,
        conn: ConnId,
        result: Result<Progress, Failure>,
        plain: &[u8],
    ) -> Result<(), ShardError> {
        let look = |transport: &mut Transport| (transport.identity(), transport.tls());
        let Some((identity, tls)) = self.transports.change(conn, look) else {
            return Ok(());
        };
        if let Some(identity) = identity {
            if let Some(tls) = tls {
                self.desk.count(Metric::TlsHandshakes, 1);
                self.desk.count(Metric::TlsResumed, tls.resumed.into());
            }
            let is_proxied = identity.source.is_some();
            if !identity.is_empty() {
                self.brain
                    .on_identified(conn, identity.source, identity.user);
            }
            if is_proxied && !self.admit_source_late(conn) {
                return self.tell_end(conn, CloseCause::Transport);
            }
        }
        if !plain.is_empty() {
            match self.roads.received(conn) {
                Some(received) => received.extend_from_slice(plain),
                None => self.brain.on_bytes(self.desk.now_ms(), conn, plain),
            }
        }
        let look = |transport: &mut Transport| (transport.waiting_bytes(), transport.has_output());
        let Some((waiting, has_output)) = self.transports.change(conn, look) else {
            return Ok(());
        };
        let flooded = waiting > limits::TRANSPORT_ANSWER_BYTES_MAX;
        if has_output {
            self.transports.wait(conn);
        }
        match result {
            Ok(_) if flooded => self.on_broken(conn, libc::ENOBUFS),
            Ok(Progress::Open) => Ok(()),
            Ok(Progress::Closed) => self.tell_end(conn, CloseCause::Goodbye),
            Err(failure) => self.on_transport_failed(conn, &failure),
        }
    }

    /// The peer has broken the rules, or the transport cannot go on.
    #[cold]
    pub(super) fn on_transport_failed(
        &mut self,
        conn: ConnId,
        failure: &Failure,
    ) -> Result<(), ShardError> {
        self.desk.count(Metric::TransportFailed, 1);
        self.end_transport(conn, &failure.to_string())
    }

    fn end_transport(&mut self, conn: ConnId, reason: &str) -> Result<(), ShardError> {
        let now_ms = self.desk.now_ms();
        self.brain.on_transport_failed(now_ms, conn, reason);
        self.tell_end(conn, CloseCause::Transport)
    }

    /// Whether there is memory for more of a connection's handshake, or of its record.
    fn makes_room_for(&mut self, conn: ConnId) -> Result<bool, ShardError> {
        match self.source(conn) {
            Some(source) => self.makes_room(source, 0),
            None => Ok(self.transports.have_room(self.desk.pool())),
        }
    }

    /// Whether there is memory for more of this address, of which so many bytes are not held yet: where there is not, others
    /// that have begun more and not come to an end give way.
    pub(super) fn makes_room(&mut self, source: Network, wanted: u64) -> Result<bool, ShardError> {
        for _ in 0..limits::HANDSHAKES_GIVEN_UP_MAX {
            if self.transports.have_room(self.desk.pool()) {
                return Ok(true);
            }
            let Some(conn) = self.transports.give_up_one(source, wanted) else {
                return Ok(false);
            };
            self.run_short(conn, GIVEN_UP)?;
        }
        Ok(self.transports.have_room(self.desk.pool()))
    }

    /// Where a connection that has a transport counts.
    fn source(&self, conn: ConnId) -> Option<Network> {
        let known = || self.brain.address(conn).map(Network::of);
        self.transports.source(conn).or_else(known)
    }

    /// The transport wants memory, and there is none.
    #[cold]
    pub(super) fn run_short_of_memory(&mut self, conn: ConnId) -> Result<(), ShardError> {
        self.run_short(conn, NO_MEMORY)
    }

    #[cold]
    fn run_short(&mut self, conn: ConnId, reason: &str) -> Result<(), ShardError> {
        self.desk.count(Metric::TransportsRefused, 1);
        self.end_transport(conn, reason)?;
        // Without a goodbye: that would want memory too. What it has is free now, unless a send reads it.
        let is_sending = |entry: &mut Connection| entry.flags.has(Flags::SENDING);
        if !self.sockets.get(conn).is_some_and(is_sending) {
            drop(self.transports.take(conn));
        }
        self.close_now(conn)
    }

    /// Gives bytes of a handshake to those who work on it.
    fn shake(&mut self, conn: ConnId, bytes: Vec<u8>) -> Result<(), ShardError> {
        let source = self.source(conn).unwrap_or(Network::UNSPECIFIED);
        let (Some(entry), Some(transport)) = (self.sockets.get(conn), self.transports.take(conn))
        else {
            return Ok(());
        };
        let cost = transport.counted + bytes.len() as u64;
        let step = Step {
            conn,
            generation: entry.generation,
            transport,
            bytes,
            cost,
        };
        match self.helpers.shake(source, step) {
            Ok(()) => {
                entry.flags.set(Flags::AWAY);
                self.transports.lend(cost);
                Ok(())
            }
            Err(transport) => {
                self.transports.put(conn, transport);
                self.refuse_handshake(conn)
            }
        }
    }

    fn refuse_handshake(&mut self, conn: ConnId) -> Result<(), ShardError> {
        self.desk.count(Metric::HandshakesRefused, 1);
        self.end_transport(conn, "too many TLS handshakes are waiting")
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
        let is_its = |entry: &&mut Connection| {
            entry.generation == generation && entry.flags.has(Flags::AWAY)
        };
        let Some(entry) = self.sockets.get(conn).filter(is_its) else {
            return Ok(());
        };
        entry.flags.clear(Flags::AWAY);
        let is_leaving = entry.flags.has(Flags::LEAVING);
        self.transports.put(conn, transport);
        // Also one that is leaving: the end of its peer's side is waited for.
        self.receiving.want(conn);
        if is_leaving {
            return Ok(());
        }
        match result {
            Some(result) => self.on_transport_received(conn, result, &plain),
            None => self.refuse_handshake(conn),
        }
    }
}
