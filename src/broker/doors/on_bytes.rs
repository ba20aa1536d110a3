//! Bytes have come from a client: cut into packets, whatever the splits, and handed to the packet's handler.

use crate::broker::Broker;
use crate::broker::effect::CloseHow;
use crate::broker::lines::Doing;
use crate::broker::outcome::{Outcome, Until};
use crate::broker::peers::state::Stage;
use crate::broker::settings::LogKind;
use crate::broker::timers::tick;
use crate::ids::ConnId;
use crate::limits;
use crate::mqtt::{
    self, AckKind, DecodeError, Frame, FrameStatus, Packet, PacketId, PacketType, ReasonCode,
    SHORT_ACK_BYTES,
};

/// How a TLS record of a handshake begins.
const TLS_HANDSHAKE: [u8; 2] = [0x16, 3];

impl Broker {
    /// Bytes have come from a client, split anyhow. Ignored when the connection is closing.
    pub fn on_bytes(&mut self, now_ms: u64, conn: ConnId, bytes: &[u8]) {
        self.clients.desk.counters.bytes_received += bytes.len() as u64;
        let entry = &mut self.clients.peers.conns[conn.index()];
        if entry.is_established() {
            entry.active_at = tick(now_ms);
        }
        if entry.stage() == Stage::Verifying {
            return self.keep_behind_connect(now_ms, conn, bytes);
        }
        if self.is_held(conn) {
            self.keep_partial(now_ms, conn, bytes);
            return self.end_event(now_ms);
        }
        self.collect_replies(conn, |broker| {
            let rest = match broker.clients.peers.conns[conn.index()].partial.is_some() {
                true => broker.complete_partial(now_ms, conn, bytes),
                false => bytes,
            };
            if !rest.is_empty() {
                broker.packets(now_ms, conn, rest);
            }
        });
        self.end_event(now_ms);
    }

    fn is_reading(&self, conn: ConnId) -> bool {
        matches!(
            self.clients.peers.conns[conn.index()].stage(),
            Stage::Connecting | Stage::Established
        ) && !self.is_held(conn)
    }

    /// Bytes of the largest packet that is accepted now: little until the client has been let in.
    fn packet_bytes_max(&self, conn: ConnId) -> u32 {
        let max = self.clients.packet_bytes_max();
        match self.clients.peers.conns[conn.index()].stage() {
            Stage::Established => max,
            _ => max.min(limits::CONNECT_BYTES_MAX),
        }
    }

    /// Handles all whole packets and keeps the rest.
    pub(in crate::broker) fn packets(&mut self, now_ms: u64, conn: ConnId, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            let entry = &self.clients.peers.conns[conn.index()];
            let (state, is_traced) = (entry.state, entry.is_traced());
            let max = match state.stage() {
                Stage::Established if !state.is_held() => {
                    // Who has many subscribers reads little else than these.
                    if !is_traced && let Some((kind, id)) = mqtt::short_ack(rest) {
                        self.on_short_ack(now_ms, conn, kind, id);
                        self.note_told(conn);
                        rest = &rest[SHORT_ACK_BYTES..];
                        continue;
                    }
                    self.clients.packet_bytes_max()
                }
                Stage::Connecting if !may_be_connect(rest) => {
                    return self.on_no_connect(now_ms, conn, first);
                }
                Stage::Connecting => self.packet_bytes_max(conn),
                _ => break,
            };
            match mqtt::frame(rest, max) {
                Ok(FrameStatus::Complete(frame)) => {
                    let (packet, after) = rest.split_at(frame.total_len);
                    let mut held = self.must_wait(now_ms, conn, first);
                    if held.is_none() && (!state.is_dropping() || !self.is_dropped(first)) {
                        held = self.packet(now_ms, conn, packet, &frame, after);
                        self.note_told(conn);
                    }
                    if let Some(until) = held {
                        self.hold_until(conn, until);
                        return self.keep_partial(now_ms, conn, rest);
                    }
                    rest = after;
                }
                Ok(FrameStatus::Incomplete { .. }) => return self.keep_partial(now_ms, conn, rest),
                Err(error) => return self.on_bad_packet(now_ms, conn, rest, error),
            }
        }
        debug_assert!(!self.is_held(conn), "who holds it keeps what has come");
    }

    /// The first byte is not that of CONNECT (MQTT-3.1.0-1): this is something else, and its length means nothing.
    #[cold]
    fn on_no_connect(&mut self, now_ms: u64, conn: ConnId, first: u8) {
        let speaks = match first {
            0x16 => "be using TLS to connect to a non-TLS listener",
            b'G' | b'P' | b'H' | b'O' => "speak HTTP, or WebSocket, to a listener for MQTT",
            _ => "speak no MQTT",
        };
        // Whatever else is said of connections: the operator of that client is looking for this.
        if self.clients.may_tell(now_ms, conn, Doing::Fault) {
            self.clients.log_client(LogKind::Notice, conn, |client| {
                format!("Client from {client} appears to {speaks}.")
            });
        }
        self.clients.log_end(now_ms, conn, "protocol error");
        self.clients.desk.counters.protocol_errors += 1;
        self.shut(now_ms, conn, CloseHow::Now);
    }

    /// Adds to the packet that was begun; handles it when it is whole. Returns the bytes behind it.
    fn complete_partial<'a>(&mut self, now_ms: u64, conn: ConnId, bytes: &'a [u8]) -> &'a [u8] {
        let mut rest = bytes;
        loop {
            let max = self.packet_bytes_max(conn);
            let Some(partial) = &self.clients.peers.conns[conn.index()].partial else {
                return rest;
            };
            let partial = &partial.bytes;
            let first = partial.first().copied().unwrap_or_default();
            let (status, len) = (mqtt::frame(partial, max), partial.len());
            let missing = match status {
                Ok(FrameStatus::Complete(frame)) => {
                    if let Some(until) = self.must_wait(now_ms, conn, first) {
                        self.hold_until(conn, until);
                        self.keep_partial(now_ms, conn, rest);
                        return &[];
                    }
                    let Some(partial) = self.take_partial(conn) else {
                        return rest;
                    };
                    let held = self.packet(now_ms, conn, &partial, &frame, rest);
                    self.note_told(conn);
                    let Some(until) = held else {
                        return rest;
                    };
                    self.hold_until(conn, until);
                    self.keep_partial(now_ms, conn, &partial);
                    self.keep_partial(now_ms, conn, rest);
                    return &[];
                }
                Ok(FrameStatus::Incomplete {
                    total_len: Some(total),
                }) => total - len,
                Ok(FrameStatus::Incomplete { total_len: None }) => 1,
                Err(error) => {
                    let Some(partial) = self.take_partial(conn) else {
                        return &[];
                    };
                    self.on_bad_packet(now_ms, conn, &partial, error);
                    return &[];
                }
            };
            if rest.is_empty() || !self.is_reading(conn) {
                return &[];
            }
            let (take, after) = rest.split_at(missing.min(rest.len()));
            self.keep_partial(now_ms, conn, take);
            rest = after;
        }
    }

    /// Handles one whole packet. `after` are the bytes behind it, for a connection that moves to another shard. Returns until
    /// when it has to wait, if it has: then it counts as not yet received.
    fn packet(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        packet: &[u8],
        frame: &Frame,
        after: &[u8],
    ) -> Option<Until> {
        let entry = &self.clients.peers.conns[conn.index()];
        if entry.stage() == Stage::Connecting {
            self.clients.desk.counters.packets_received += 1;
            self.on_first_packet(now_ms, conn, packet, frame, after);
            return None;
        }
        let is_traced = entry.is_traced();
        // Looked at where it was decoded: a copy would be of fields that have just been written, which takes longer.
        let decoded = mqtt::decode(entry.version(), packet, frame);
        if is_traced {
            self.clients
                .show_received(now_ms, conn, &decoded, packet.len());
        }
        let outcome = match &decoded {
            Ok(Packet::Publish(publish)) => self.on_client_publish(now_ms, conn, publish),
            Ok(packet) => self.on_packet(now_ms, conn, packet),
            Err(error) => {
                self.on_bad_packet(now_ms, conn, packet, *error);
                Outcome::Done
            }
        };
        if let Outcome::Wait(ticket) = outcome {
            self.clients.note_shown(conn);
            return Some(Until::Over(ticket));
        }
        self.clients.desk.counters.packets_received += 1;
        if let Outcome::End(reason) = outcome {
            self.protocol_error(now_ms, conn, reason);
        }
        None
    }

    /// Handles an acknowledgement that says nothing but success.
    #[inline]
    fn on_short_ack(&mut self, now_ms: u64, conn: ConnId, kind: AckKind, id: PacketId) {
        self.clients.desk.counters.packets_received += 1;
        match kind {
            AckKind::Puback => self.on_puback(now_ms, conn, id),
            AckKind::Pubrec => self.on_pubrec(now_ms, conn, id, ReasonCode::SUCCESS),
            AckKind::Pubrel => self.on_pubrel(now_ms, conn, id),
            AckKind::Pubcomp => self.on_pubcomp(now_ms, conn, id),
        }
    }

    /// Hands a packet that is no PUBLISH to its handler.
    fn on_packet(&mut self, now_ms: u64, conn: ConnId, packet: &Packet<'_>) -> Outcome {
        match packet {
            Packet::Puback(ack) => self.on_puback(now_ms, conn, ack.packet_id),
            Packet::Pubrec(ack) => self.on_pubrec(now_ms, conn, ack.packet_id, ack.reason),
            Packet::Pubrel(ack) => self.on_pubrel(now_ms, conn, ack.packet_id),
            Packet::Pubcomp(ack) => self.on_pubcomp(now_ms, conn, ack.packet_id),
            Packet::Subscribe(subscribe) => return self.on_subscribe(now_ms, conn, subscribe),
            Packet::Unsubscribe(packet) => return self.on_unsubscribe(now_ms, conn, packet),
            Packet::Pingreq => self.clients.reply(conn, mqtt::encode_pingresp),
            Packet::Disconnect(disconnect) => return self.on_disconnect(now_ms, conn, disconnect),
            // AUTH without an authentication method in CONNECT (MQTT-4.12.0-1), a second CONNECT (MQTT-3.1.0-2), and
            // packets that only a server sends.
            _ => return Outcome::End(ReasonCode::PROTOCOL_ERROR),
        }
        Outcome::Done
    }

    /// A packet that is malformed or forbidden.
    fn on_bad_packet(&mut self, now_ms: u64, conn: ConnId, packet: &[u8], error: DecodeError) {
        if self.clients.peers.conns[conn.index()].stage() == Stage::Connecting {
            return self.refuse_bad_connect(now_ms, conn, packet, error);
        }
        self.clients.show_malformed(now_ms, conn, packet, error);
        if self.clients.may_tell(now_ms, conn, Doing::Fault) {
            self.clients.log_client(LogKind::Information, conn, |id| {
                format!("Protocol error from {id}: {error}.")
            });
        }
        // A second CONNECT may be bad in ways that DISCONNECT has no word for; it must not come at all (MQTT-3.1.0-2).
        let reason = match error.reason() {
            reason if reason.belongs_to(PacketType::Disconnect) => reason,
            _ => ReasonCode::PROTOCOL_ERROR,
        };
        self.protocol_error(now_ms, conn, reason);
    }
}

/// Whether bytes may be the start of CONNECT. Flags beside its type mean nothing in MQTT 3.1, and the version stands behind
/// them. A TLS record of a handshake begins with the same type, and would be a packet of 3 bytes.
fn may_be_connect(bytes: &[u8]) -> bool {
    let is_connect = |&first: &u8| PacketType::from_first(first) == Some(PacketType::Connect);
    bytes.first().is_some_and(is_connect) && !bytes.starts_with(&TLS_HANDSHAKE)
}
