//! Connections with something between their socket and MQTT: bytes on their way in and out go through it.
//!
//! What is sent lies in the transport's own output: the brain's memory is read when its bytes are packed, and the brain
//! hears that they are sent when all of that output is, so that what waits for a slow peer counts as in flight.

use std::net::IpAddr;

use crate::broker::CloseCause;
use crate::ids::{ConnId, Network};
use crate::limits;
use crate::transport::{Failure, Plan, Progress, Transport};
use crate::uring::{Filled, Op, ops};

use super::connections::{Connection, Flags};
use super::{Brain, Metric, Shard, ShardError};

/// Why a connection ends that wants memory where there is none.
const NO_MEMORY: &str = "no memory is left for TLS and WebSocket (budget account transports)";

/// The same for one that has to give way to another address.
const GIVEN_UP: &str = "its address has begun most of what has not come to an end, and no memory is left for others \
    (budget account transports)";

impl<B: Brain> Shard<B> {
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
        if transport.is_handshaking() && self.helpers.do_handshakes() {
            let bytes = self.receiving.bytes(filled).to_vec();
            return self.shake(conn, bytes);
        }
        let mut plain = std::mem::take(&mut self.transports.plain);
        let (brain, now_ms) = (&mut self.brain, self.now_ms);
        let bytes = self.receiving.bytes_mut(filled);
        let before = self.transports.cost();
        let received = self
            .transports
            .change(conn, |transport| match brain.is_established(conn) {
                true => transport.receive(bytes, &mut |mqtt| brain.on_bytes(now_ms, conn, mqtt)),
                false => transport.receive(bytes, &mut |mqtt| plain.extend_from_slice(mqtt)),
            });
        let has_grown = self.transports.cost() > before;
        let result = match received {
            Some(_) if has_grown && !self.makes_room_for(conn)? => self.run_short(conn, NO_MEMORY),
            Some(result) => self.on_transport_received(conn, result, &plain),
            None => Ok(()),
        };
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
        let look = |transport: &mut Transport| (transport.identity(), transport.tls());
        let Some((identity, tls)) = self.transports.change(conn, look) else {
            return Ok(());
        };
        if let Some(identity) = identity {
            if let Some(tls) = tls {
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
            match self.moves.received(conn) {
                Some(received) => received.extend_from_slice(plain),
                None => self.brain.on_bytes(self.now_ms, conn, plain),
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
        self.metrics.add(Metric::TransportFailed, 1);
        let reason = failure.to_string();
        self.brain.on_transport_failed(self.now_ms, conn, &reason);
        self.tell_end(conn, CloseCause::Transport)
    }

    /// Whether there is memory for more that is received of records, frames and handshakes.
    pub(super) fn has_room_for_transports(&self) -> bool {
        self.transports.have_room(self.shared.pool())
    }

    /// Whether there is memory for more of a connection's handshake, or of its record.
    fn makes_room_for(&mut self, conn: ConnId) -> Result<bool, ShardError> {
        let known = || self.brain.address(conn).map(Network::of);
        match self.transports.source(conn).or_else(known) {
            Some(source) => self.makes_room_of(source, 0),
            None => Ok(self.has_room_for_transports()),
        }
    }

    /// Whether there is memory for more of this address, of which so many bytes are not held yet: where there is not, others
    /// that have begun more and not come to an end give way.
    pub(super) fn makes_room(&mut self, address: IpAddr, wanted: u64) -> Result<bool, ShardError> {
        self.makes_room_of(Network::of(address), wanted)
    }

    fn makes_room_of(&mut self, source: Network, wanted: u64) -> Result<bool, ShardError> {
        for _ in 0..limits::HANDSHAKES_GIVEN_UP_MAX {
            if self.has_room_for_transports() {
                return Ok(true);
            }
            let Some(conn) = self.transports.give_up_one(source, wanted) else {
                return Ok(false);
            };
            self.run_short(conn, GIVEN_UP)?;
        }
        Ok(self.has_room_for_transports())
    }

    /// The transport wants memory, and there is none.
    #[cold]
    fn run_short(&mut self, conn: ConnId, reason: &str) -> Result<(), ShardError> {
        self.metrics.add(Metric::TransportsRefused, 1);
        self.brain.on_transport_failed(self.now_ms, conn, reason);
        self.tell_end(conn, CloseCause::Transport)?;
        // Without a goodbye: that would want memory too. What it has is free now, unless a send reads it.
        let is_sending = |entry: &mut Connection| entry.flags.has(Flags::SENDING);
        if !self.connections.get(conn).is_some_and(is_sending) {
            drop(self.transports.take(conn));
        }
        self.close_now(conn)
    }

    /// Sends the transport's output; when there is none, packs what the brain has.
    pub(super) fn start_transport_send(&mut self, conn: ConnId) -> Result<(), ShardError> {
        let is_free = |transport: &Transport| !transport.has_output() && transport.is_ready();
        if self.transports.get(conn).is_some_and(is_free) {
            self.pack(conn)?;
        }
        let lend =
            |transport: &mut Transport| (transport.output().as_ptr(), transport.output().len());
        let (Some((output, len)), Some(entry)) = (
            self.transports.change(conn, lend),
            self.connections.get(conn),
        ) else {
            return Ok(());
        };
        if len == 0 {
            return Ok(());
        }
        let len = len.min(i32::MAX as usize) as u32;
        let user_data = entry.user_data(Op::Send, conn);
        let submission = ops::send(entry.slot, output, len, user_data);
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
        let Some(mut max) = self.transports.pack_bytes(self.shared.pool()) else {
            return self.run_short(conn, NO_MEMORY);
        };
        let splits = self.brain.splits(conn);
        if splits {
            max = max.min(limits::TRANSPORT_SEND_BYTES_SPLIT);
        }
        let mut slices = std::mem::take(&mut self.transports.slices);
        slices.clear();
        let bytes = self.brain.gather(self.now_ms, conn, max, &mut slices);
        let mut lengths = std::mem::take(&mut self.transports.parts);
        lengths.clear();
        if splits {
            self.brain.parts(conn, &mut lengths);
        }
        let parts: smallvec::SmallVec<[&[u8]; 16]> = slices
            .iter()
            // SAFETY: the brain leaves the bytes untouched until `on_sent`, which comes after this function.
            .map(|slice| unsafe { std::slice::from_raw_parts(slice.base, slice.len) })
            .collect();
        if bytes > 0
            && let Some(entry) = self.connections.get(conn)
        {
            entry.flags.set(Flags::LENT);
            self.transports.set_packed(conn, bytes);
        }
        let packed = match bytes {
            0 => None,
            _ => self
                .transports
                .change(conn, |transport| transport.pack(&parts, &lengths)),
        };
        self.transports.slices = slices;
        self.transports.parts = lengths;
        if let Some(Err(failure)) = packed {
            self.return_memory(conn)?;
            self.on_transport_failed(conn, &failure)?;
        }
        Ok(())
    }

    /// A send of a transport's output is over, and the socket took so much of it. What it did not take is sent again, and
    /// lent until then, or until the connection ends.
    pub(super) fn on_transport_sent(&mut self, conn: ConnId, written: usize) {
        let sent = self.transports.change(conn, |transport| {
            (transport.took(written), transport.has_output())
        });
        let Some((is_over, rest)) = sent else {
            return self.transports.took_meanwhile(conn, written);
        };
        let mut was_lent = false;
        if is_over {
            let packed = self.transports.take_packed(conn);
            was_lent = self.repay(conn, packed);
        } else if written > 0 {
            self.brain.on_progress(self.now_ms, conn);
        }
        // The brain may have asked to send while an answer of the transport's own was under way, and is not told of the
        // end of that: it is asked again.
        let was_answer = is_over && !was_lent;
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
        let packed = self.transports.take_packed(conn);
        self.repay(conn, packed);
        Ok(())
    }

    /// The end of a connection that has nothing else left to send is announced to the peer, once; true while that is
    /// under way.
    pub(super) fn says_goodbye(&mut self, conn: ConnId) -> Result<bool, ShardError> {
        let has_output = self.transports.change(conn, |transport| {
            transport.close();
            transport.has_output()
        });
        if has_output != Some(true) {
            return Ok(false);
        }
        self.start_transport_send(conn)?;
        Ok(true)
    }
}
