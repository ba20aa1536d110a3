//! Connections with something between their socket and MQTT: bytes on their way in and out go through it.
//!
//! What is sent lies in the transport's own output: the brain's memory is read when its bytes are packed, and the brain
//! hears that they are sent when all of that output is, so that what waits for a slow peer counts as in flight.

use crate::broker::CloseCause;
use crate::ids::ConnId;
use crate::limits;
use crate::outbound::Slice;
use crate::table::Table;
use crate::transport::{Failure, Plan, Progress, Transport};
use crate::uring::{Filled, Op, ops};

use super::connections::Flags;
use super::handover::Departure;
use super::{Brain, Metric, Shard, ShardError};

/// By connection. Empty, and nothing is looked up, where all listeners are plain.
pub(super) struct Transports {
    entries: Table<Option<Box<Transport>>>,
    /// Connections whose transport has output; some of them have none any more, or are there twice.
    waiting: Vec<ConnId>,
    /// MQTT bytes of one receive.
    plain: Vec<u8>,
    slices: Vec<Slice>,
}

impl Transports {
    pub fn new() -> Self {
        Transports {
            entries: Table::new(),
            waiting: Vec::new(),
            plain: Vec::new(),
            slices: Vec::new(),
        }
    }

    pub fn get(&mut self, conn: ConnId) -> Option<&mut Transport> {
        self.entries.get_mut(conn.index())?.as_deref_mut()
    }

    pub fn put(&mut self, conn: ConnId, transport: Box<Transport>) {
        while self.entries.len() <= conn.index() {
            self.entries.push(None);
        }
        self.entries[conn.index()] = Some(transport);
    }

    pub fn take(&mut self, conn: ConnId) -> Option<Box<Transport>> {
        self.entries.get_mut(conn.index())?.take()
    }

    /// A connection is to have its output sent.
    pub fn wait(&mut self, conn: ConnId) {
        self.waiting.push(conn);
    }

    pub fn next_waiting(&mut self) -> Option<ConnId> {
        self.waiting.pop()
    }
}

impl<B: Brain> Shard<B> {
    /// A new connection speaks more than MQTT.
    pub(super) fn begin_transport(&mut self, conn: ConnId, plan: &Plan) -> Result<(), ShardError> {
        match Transport::new(plan) {
            Ok(transport) => {
                self.lay_transport(conn, Box::new(transport));
                Ok(())
            }
            Err(failure) => {
                if let Some(entry) = self.connections.get(conn) {
                    entry.flags.set(Flags::TRANSPORT);
                    if plan.tls.is_some() {
                        entry.flags.set(Flags::TLS);
                    }
                }
                self.on_transport_failed(conn, &failure)
            }
        }
    }

    /// A transport, new or from another shard, is this connection's.
    pub(super) fn lay_transport(&mut self, conn: ConnId, transport: Box<Transport>) {
        let Some(entry) = self.connections.get(conn) else {
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
    pub(super) fn on_transport_bytes(
        &mut self,
        conn: ConnId,
        filled: Filled,
    ) -> Result<(), ShardError> {
        let thrown_away = Flags::CLOSING.or(Flags::FLUSHING);
        let entry = self.connections.get(conn);
        if entry.is_none_or(|entry| entry.flags.has(thrown_away)) {
            return Ok(());
        }
        let Some(transport) = self.transports.get(conn) else {
            return Ok(());
        };
        if transport.is_handshaking() && self.handshakes.is_some() {
            let bytes = self.buffers.bytes(filled).to_vec();
            return self.shake(conn, bytes);
        }
        let mut plain = std::mem::take(&mut self.transports.plain);
        let (brain, now_ms) = (&mut self.brain, self.now_ms);
        let bytes = self.buffers.bytes_mut(filled);
        let Some(transport) = self.transports.get(conn) else {
            return Ok(());
        };
        let result = match brain.is_established(conn) {
            true => transport.receive(bytes, &mut |mqtt| brain.on_bytes(now_ms, conn, mqtt)),
            false => transport.receive(bytes, &mut |mqtt| plain.extend_from_slice(mqtt)),
        };
        let result = self.on_transport_received(conn, result, &plain);
        plain.clear();
        plain.shrink_to(limits::TRANSPORT_SEND_BYTES_MAX);
        self.transports.plain = plain;
        result
    }

    /// What a transport has made of received bytes.
    pub(super) fn on_transport_received(
        &mut self,
        conn: ConnId,
        result: Result<Progress, Failure>,
        plain: &[u8],
    ) -> Result<(), ShardError> {
        let Some(transport) = self.transports.get(conn) else {
            return Ok(());
        };
        if let Some(identity) = transport.identity() {
            if let Some(tls) = transport.tls() {
                self.metrics.add(Metric::TlsHandshakes, 1);
                self.metrics.add(Metric::TlsResumed, tls.resumed.into());
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
            match self.giving.get_mut(&conn) {
                Some(Departure::Waiting(_, handover)) => {
                    handover.received.extend_from_slice(plain);
                }
                _ => self.brain.on_bytes(self.now_ms, conn, plain),
            }
        }
        let Some(transport) = self.transports.get(conn) else {
            return Ok(());
        };
        let flooded = transport.waiting_bytes() > limits::TRANSPORT_ANSWER_BYTES_MAX;
        if !transport.output().is_empty() {
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
        self.metrics.add(Metric::TransportFailed, 1);
        let reason = failure.to_string();
        self.brain.on_transport_failed(conn, &reason);
        self.tell_end(conn, CloseCause::Transport)
    }

    /// Sends the transport's output; when there is none, packs what the brain has.
    pub(super) fn start_transport_send(&mut self, conn: ConnId) -> Result<(), ShardError> {
        let Some(transport) = self.transports.get(conn) else {
            return Ok(());
        };
        if transport.output().is_empty() && transport.is_ready() {
            self.pack(conn)?;
        }
        let (Some(transport), Some(entry)) =
            (self.transports.get(conn), self.connections.get(conn))
        else {
            return Ok(());
        };
        let output = transport.output();
        if output.is_empty() {
            return Ok(());
        }
        let len = output.len().min(i32::MAX as usize) as u32;
        let user_data = entry.user_data(Op::Send, conn);
        let submission = ops::send(entry.slot, output.as_ptr(), len, user_data);
        entry.flags.set(Flags::SENDING);
        entry.in_flight += 1;
        self.metrics.add(Metric::Sends, 1);
        // SAFETY: the output stays where it is until `took` is told of all of it, which is done by completions of its
        // sends only; the transport is boxed, and dropped or moved only when nothing of the connection is in flight.
        unsafe { self.ring.push(&submission)? };
        Ok(())
    }

    /// Packs what the brain has for a connection whose transport has nothing to send.
    fn pack(&mut self, conn: ConnId) -> Result<(), ShardError> {
        let mut slices = std::mem::take(&mut self.transports.slices);
        slices.clear();
        let max = limits::TRANSPORT_SEND_BYTES_MAX;
        let bytes = self.brain.gather(self.now_ms, conn, max, &mut slices);
        let parts: smallvec::SmallVec<[&[u8]; 16]> = slices
            .iter()
            // SAFETY: the brain leaves the bytes untouched until `on_sent`, which comes after this function.
            .map(|slice| unsafe { std::slice::from_raw_parts(slice.base, slice.len) })
            .collect();
        let packed = match self.transports.get(conn) {
            Some(transport) if bytes > 0 => {
                transport.gathered = bytes;
                transport.pack(&parts)
            }
            _ => Ok(()),
        };
        self.transports.slices = slices;
        if let Err(failure) = packed {
            self.return_memory(conn)?;
            self.on_transport_failed(conn, &failure)?;
        }
        Ok(())
    }

    /// A send of a transport's output is over.
    pub(super) fn on_transport_sent(&mut self, conn: ConnId, written: usize, has_failed: bool) {
        let Some(transport) = self.transports.get(conn) else {
            return;
        };
        let is_over = transport.took(written) || has_failed;
        let rest = !transport.output().is_empty();
        let gathered = match is_over {
            true => std::mem::take(&mut transport.gathered),
            false => 0,
        };
        if gathered > 0 {
            self.brain.on_sent(self.now_ms, conn, gathered);
        } else if written > 0 && !is_over {
            self.brain.on_progress(self.now_ms, conn);
        }
        // The brain may have asked to send while an answer of the transport's own was under way, and is not told of the
        // end of that: it is asked again.
        let was_answer = is_over && gathered == 0 && !has_failed;
        if rest || was_answer {
            self.transports.wait(conn);
        }
    }

    /// The brain wants memory back that a send in flight holds. A transport's send holds a copy.
    pub(super) fn return_memory(&mut self, conn: ConnId) -> Result<(), ShardError> {
        let has_transport = self
            .connections
            .get(conn)
            .is_some_and(|entry| entry.flags.has(Flags::TRANSPORT));
        if !has_transport {
            return self.cancel_send(conn);
        }
        let gathered = self
            .transports
            .get(conn)
            .map_or(0, |transport| std::mem::take(&mut transport.gathered));
        if gathered > 0 {
            self.brain.on_sent(self.now_ms, conn, gathered);
        }
        Ok(())
    }

    /// The end of a connection that has nothing else left to send is announced to the peer, once; true while that is
    /// under way.
    pub(super) fn says_goodbye(&mut self, conn: ConnId) -> Result<bool, ShardError> {
        let Some(transport) = self.transports.get(conn) else {
            return Ok(false);
        };
        transport.close();
        if transport.output().is_empty() {
            return Ok(false);
        }
        self.start_transport_send(conn)?;
        Ok(true)
    }
}
