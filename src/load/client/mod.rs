//! One MQTT client's session, sans-io: bytes in, events out, answers appended to the connection's output.
//!
//! It is as small as it can be, since a tester holds tens of thousands: what all clients share is in `Settings`.
//! The clock and the verification are the worker's affair.

use std::collections::VecDeque;

use crate::load::secrets::Secret;
use crate::mqtt::{
    self, AckKind, ConnectOut, DecodeError, DisconnectOut, Frame, Packet, PacketId, Publish, QoS,
    ReasonCode, SubscribeOptions, SubscribeOut, Version,
};
use crate::session::Inbound;

/// What all clients of a run have in common.
#[derive(Clone, Debug)]
pub struct Settings {
    pub version: Version,
    /// Seconds; 0 is off.
    pub keep_alive: u16,
    pub username: Option<String>,
    pub password: Option<Secret>,
    /// Publishes with QoS above 0 that a client keeps unacknowledged, at most.
    pub in_flight_max: u16,
}

/// A publish that is not yet acknowledged.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    id: u16,
    /// When it was (to be) sent.
    at_ns: u64,
    /// QoS 2: PUBREC has come, PUBCOMP has not.
    released: bool,
}

/// The state of one client.
#[derive(Debug, Default)]
pub struct Client {
    /// Whether CONNACK has come.
    connected: bool,
    /// The last packet identifier used.
    last_id: u16,
    /// What the server takes unacknowledged.
    receive_max: u16,
    in_flight: VecDeque<InFlight>,
    /// QoS 2 identifiers whose message was delivered and not yet released.
    unreleased: Inbound,
}

/// What a packet meant.
#[derive(Debug, PartialEq)]
pub enum Event<'a> {
    /// CONNACK, success.
    Connected { session_present: bool },
    /// CONNACK, anything else.
    Refused(ReasonCode),
    /// SUBACK; the first reason that is an error, if any is.
    Subscribed(Option<ReasonCode>),
    /// A message for the application.
    Delivery(Publish<'a>),
    /// A publish is acknowledged; when it was sent, and what the server said.
    Acked { at_ns: u64, reason: ReasonCode },
    /// The server closes the connection.
    Disconnected(ReasonCode),
    /// Nothing that anybody waits for.
    Nothing,
    /// An answer to nothing.
    Stray,
}

impl Client {
    /// Whether the server has let it in.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Publishes that are not acknowledged.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether another publish with QoS above 0 may be sent.
    #[inline]
    pub fn may_publish(&self) -> bool {
        self.in_flight.len() < usize::from(self.receive_max)
    }

    /// Appends CONNECT. `durable`: the session is to outlive the connection.
    pub fn connect(&mut self, settings: &Settings, id: &str, durable: bool, out: &mut Vec<u8>) {
        self.connected = false;
        let v5 = settings.version.has_properties();
        ConnectOut {
            clean_start: !durable,
            keep_alive: settings.keep_alive,
            client_id: id,
            username: settings.username.as_deref(),
            password: settings.password.as_ref().map(Secret::bytes),
            session_expiry: (v5 && durable).then_some(3600),
            ..ConnectOut::default()
        }
        .encode(settings.version, out);
    }

    /// Appends SUBSCRIBE for one filter.
    pub fn subscribe(&mut self, settings: &Settings, filter: &str, qos: QoS, out: &mut Vec<u8>) {
        SubscribeOut {
            packet_id: self.next_id(),
            subscription_id: None,
            user_properties: &[],
            filters: &[(filter, SubscribeOptions::with_qos(qos))],
        }
        .encode(settings.version, out);
    }

    /// Appends DISCONNECT.
    pub fn disconnect(&mut self, settings: &Settings, out: &mut Vec<u8>) {
        self.connected = false;
        DisconnectOut::default().encode(settings.version, out);
    }

    /// Takes note of a publish with QoS above 0 that is about to be sent; its packet identifier.
    pub fn begin_publish(&mut self, at_ns: u64) -> PacketId {
        let id = self.next_id();
        self.in_flight.push_back(InFlight {
            id: id.get(),
            at_ns,
            released: false,
        });
        id
    }

    /// The connection is gone: what was unacknowledged is forgotten, and how much that was.
    pub fn lost(&mut self) -> usize {
        self.connected = false;
        self.unreleased = Inbound::default();
        let lost = self.in_flight.len();
        self.in_flight = VecDeque::new();
        lost
    }

    /// An identifier that no publish in flight has: they are taken in turn, and far fewer are in flight than there are.
    fn next_id(&mut self) -> PacketId {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if let Some(id) = PacketId::new(self.last_id)
                && !self.is_in_flight(self.last_id)
            {
                return id;
            }
        }
    }

    fn is_in_flight(&self, id: u16) -> bool {
        // Identifiers rise: only one that has come round can be taken.
        self.in_flight
            .front()
            .is_some_and(|oldest| oldest.id >= id || oldest.id == 0)
            && self.in_flight.iter().any(|publish| publish.id == id)
    }

    /// One packet from the server. Answers are appended to `out`.
    #[inline]
    pub fn on_packet<'a>(
        &mut self,
        settings: &Settings,
        packet: &'a [u8],
        frame: &Frame,
        out: &mut Vec<u8>,
    ) -> Result<Event<'a>, DecodeError> {
        match mqtt::decode(settings.version, packet, frame)? {
            Packet::Publish(publish) => Ok(self.on_publish(settings, publish, out)),
            other => Ok(self.on_other(settings, other, out)),
        }
    }

    #[inline]
    fn on_publish<'a>(
        &mut self,
        settings: &Settings,
        publish: Publish<'a>,
        out: &mut Vec<u8>,
    ) -> Event<'a> {
        let Some(id) = publish.packet_id else {
            return Event::Delivery(publish);
        };
        let answer = |kind, out: &mut Vec<u8>| {
            mqtt::AckOut::success(kind, id).encode(settings.version, out);
        };
        if publish.qos == QoS::AtLeastOnce {
            answer(AckKind::Puback, out);
            return Event::Delivery(publish);
        }
        answer(AckKind::Pubrec, out);
        if self.unreleased.insert(id.get()) {
            Event::Delivery(publish)
        } else {
            // Sent again and not yet released: the same message (MQTT-4.3.3-10).
            Event::Nothing
        }
    }

    fn on_other<'a>(
        &mut self,
        settings: &Settings,
        packet: Packet<'a>,
        out: &mut Vec<u8>,
    ) -> Event<'a> {
        match packet {
            Packet::Connack(connack) if connack.reason.is_error() => Event::Refused(connack.reason),
            Packet::Connack(connack) => {
                self.connected = true;
                self.receive_max = connack
                    .receive_maximum
                    .unwrap_or(u16::MAX)
                    .min(settings.in_flight_max);
                Event::Connected {
                    session_present: connack.session_present,
                }
            }
            Packet::Suback(suback) => {
                Event::Subscribed(suback.reasons().find(|reason| reason.is_error()))
            }
            Packet::Puback(ack) => self.acknowledged(ack.packet_id, ack.reason, false),
            Packet::Pubcomp(ack) => self.acknowledged(ack.packet_id, ack.reason, true),
            Packet::Pubrec(ack) if ack.reason.is_error() => {
                self.acknowledged(ack.packet_id, ack.reason, false)
            }
            Packet::Pubrec(ack) => self.on_pubrec(settings, ack.packet_id, out),
            Packet::Pubrel(ack) => {
                self.unreleased.remove(ack.packet_id.get());
                mqtt::AckOut::success(AckKind::Pubcomp, ack.packet_id)
                    .encode(settings.version, out);
                Event::Nothing
            }
            Packet::Disconnect(disconnect) => Event::Disconnected(disconnect.reason),
            Packet::Pingresp => Event::Nothing,
            _ => Event::Stray,
        }
    }

    fn on_pubrec(
        &mut self,
        settings: &Settings,
        id: PacketId,
        out: &mut Vec<u8>,
    ) -> Event<'static> {
        let Some(publish) = self.in_flight.iter_mut().find(|p| p.id == id.get()) else {
            return Event::Stray;
        };
        publish.released = true;
        mqtt::AckOut::success(AckKind::Pubrel, id).encode(settings.version, out);
        Event::Nothing
    }

    fn acknowledged(&mut self, id: PacketId, reason: ReasonCode, released: bool) -> Event<'static> {
        // Acknowledgements come in the order of the publishes, as a rule: the search ends at once.
        let found = self
            .in_flight
            .iter()
            .position(|publish| publish.id == id.get() && publish.released == released);
        match found.and_then(|at| self.in_flight.remove(at)) {
            Some(publish) => Event::Acked {
                at_ns: publish.at_ns,
                reason,
            },
            None => Event::Stray,
        }
    }
}

#[cfg(test)]
mod tests;
