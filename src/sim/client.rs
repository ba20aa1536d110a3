//! A client without sockets: speaks MQTT by the codec, acknowledges now or later, and remembers what a client must.

use super::exchanges::Exchanges;
use crate::mqtt::{
    AckKind, AckOut, ConnectOut, DisconnectOut, FrameStatus, Packet, PacketId, PublishHead, QoS,
    ReasonCode, SubscribeOptions, SubscribeOut, UnsubscribeOut, Version, WillOut, decode, frame,
};

/// What came and the world should know.
#[derive(Debug)]
pub(super) enum Event {
    Connected {
        session_present: bool,
    },
    Refused,
    Acknowledged(usize),
    /// Sent once more, because there was no answer.
    Resent(usize),
    Subscribed(Vec<String>),
    Unsubscribed(String),
    Arrived(Came),
    Closed(ReasonCode),
}

/// A message that came for the first time, or with QoS 1 again.
#[derive(Debug)]
pub(super) struct Came {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub dup: bool,
    pub retain: bool,
}

/// See the module.
pub(super) struct Client {
    pub id: String,
    pub user: Option<&'static str>,
    pub version: Version,
    pub durable: bool,
    /// Whether it is a member of the shared group.
    pub shares: bool,
    /// Never disturbed.
    pub steady: bool,
    pub receive_maximum: u16,
    /// What the broker takes at once.
    pub send_maximum: u16,
    pub link: Option<usize>,
    pub connected: bool,
    pub incarnation: u32,
    pub will: Option<String>,
    /// Seconds that its will waits.
    pub will_delay_s: u32,
    /// Seconds that its session outlives its connection, if it is durable.
    pub expiry_s: u32,
    /// Seconds within which it sends something; 0 for no bound.
    pub keep_alive_s: u16,
    /// It does not know which session it would find: it begins a new one.
    pub starts_clean: bool,
    /// When it left a connection that it had been let in by, and the will that it left behind.
    pub left: Option<(u64, Option<String>)>,
    buffer: Vec<u8>,
    /// What is not over, by packet identifiers.
    pub exchanges: Exchanges,
    /// Acknowledgements that it has put off.
    pub later: Vec<Vec<u8>>,
}

impl Client {
    pub(super) fn new(id: String, version: Version, durable: bool) -> Self {
        Client {
            id,
            user: None,
            version,
            durable,
            shares: false,
            steady: false,
            receive_maximum: u16::MAX,
            send_maximum: u16::MAX,
            link: None,
            connected: false,
            incarnation: 0,
            will: None,
            will_delay_s: 0,
            expiry_s: u32::MAX,
            keep_alive_s: 0,
            starts_clean: false,
            left: None,
            buffer: Vec::new(),
            exchanges: Exchanges::default(),
            later: Vec::new(),
        }
    }

    /// CONNECT; what belonged to the last connection is forgotten.
    pub(super) fn connect(&mut self) -> Vec<u8> {
        self.buffer.clear();
        self.later.clear();
        self.connected = false;
        self.exchanges.connect();
        let topic = format!("w/{}", self.id);
        let will = self.will.as_ref().map(|will| WillOut {
            qos: QoS::AtLeastOnce,
            topic: &topic,
            payload: will.as_bytes(),
            delay_s: self.will_delay_s,
            ..WillOut::default()
        });
        let v5 = self.version == Version::V5;
        let mut out = Vec::new();
        ConnectOut {
            client_id: &self.id,
            clean_start: !self.durable || self.starts_clean,
            username: self.user,
            will,
            keep_alive: self.keep_alive_s,
            session_expiry: (v5 && self.durable).then_some(self.expiry_s),
            receive_maximum: (v5 && self.receive_maximum < u16::MAX)
                .then_some(self.receive_maximum),
            ..ConnectOut::default()
        }
        .encode(self.version, &mut out);
        out
    }

    /// The incarnation of the session that what is sent now belongs to: CONNACK may be still to come.
    pub(super) fn next_incarnation(&self) -> u32 {
        let is_kept = self.durable && !self.starts_clean;
        match (self.link.is_some() && !self.connected, is_kept) {
            (false, _) => self.incarnation,
            (true, true) => self.incarnation.max(1),
            (true, false) => self.incarnation + 1,
        }
    }

    pub(super) fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        qos: u8,
        retain: bool,
        message: usize,
    ) -> Vec<u8> {
        let id = (qos > 0).then(|| self.exchanges.free_id());
        let head = |dup| PublishHead {
            version: self.version,
            dup,
            qos: QoS::try_from(qos).unwrap(),
            retain,
            topic: topic.as_bytes(),
            packet_id: id.and_then(PacketId::new),
            topic_alias: None,
            message_expiry: None,
            subscription_ids: &[],
            properties: &[],
            payload_len: payload.len(),
        };
        let bytes = |dup| {
            let head: PublishHead<'_> = head(dup);
            let mut bytes = vec![0; head.head_len()];
            head.write_head(&mut bytes);
            bytes.extend_from_slice(payload);
            bytes
        };
        let (first, again) = (bytes(false), bytes(qos > 0));
        if let Some(id) = id {
            self.exchanges.publish(id, message, again);
        }
        first
    }

    pub(super) fn subscribe(&mut self, filters: &[(&str, u8)]) -> Vec<u8> {
        let id = self.exchanges.free_id();
        let names = filters.iter().map(|(filter, _)| filter.to_string());
        self.exchanges.subscribe(id, names.collect());
        let filters: Vec<(&str, SubscribeOptions)> = filters
            .iter()
            .map(|&(filter, qos)| {
                (
                    filter,
                    SubscribeOptions::with_qos(QoS::try_from(qos).unwrap()),
                )
            })
            .collect();
        let mut out = Vec::new();
        SubscribeOut {
            packet_id: PacketId::new(id).unwrap(),
            subscription_id: None,
            filters: &filters,
            user_properties: &[],
        }
        .encode(self.version, &mut out);
        out
    }

    pub(super) fn unsubscribe(&mut self, filter: &str) -> Vec<u8> {
        let id = self.exchanges.free_id();
        self.exchanges.unsubscribe(id, filter.to_string());
        let mut out = Vec::new();
        UnsubscribeOut {
            packet_id: PacketId::new(id).unwrap(),
            filters: &[filter],
            user_properties: &[],
        }
        .encode(self.version, &mut out);
        out
    }

    pub(super) fn disconnect(&self) -> Vec<u8> {
        let mut out = Vec::new();
        DisconnectOut::default().encode(self.version, &mut out);
        out
    }

    /// Bytes have come. What happened goes to `events`, answers are returned; `puts_off` decides of an acknowledgement.
    pub(super) fn receive(
        &mut self,
        bytes: &[u8],
        puts_off: &mut dyn FnMut() -> bool,
        events: &mut Vec<Event>,
    ) -> Vec<u8> {
        self.buffer.extend_from_slice(bytes);
        let mut answers = Vec::new();
        while let Ok(FrameStatus::Complete(header)) = frame(&self.buffer, u32::MAX) {
            let packet: Vec<u8> = self.buffer.drain(..header.total_len).collect();
            let packet = decode(self.version, &packet, &header)
                .expect("the broker sends well-formed packets");
            let is_in_order = self.connected || matches!(packet, Packet::Connack(_));
            assert!(is_in_order, "{}: {packet:?} before CONNACK", self.id); // MQTT-3.2.0-1
            let mut answer = Vec::new();
            self.packet(&packet, &mut answer, events);
            // What follows CONNACK is what was open: it comes before anything new.
            let may_wait = !matches!(packet, Packet::Connack(_));
            if !answer.is_empty() && may_wait && puts_off() {
                self.later.push(answer);
            } else {
                answers.extend(answer);
            }
        }
        answers
    }

    fn packet(&mut self, packet: &Packet<'_>, answer: &mut Vec<u8>, events: &mut Vec<Event>) {
        let (version, exchanges) = (self.version, &mut self.exchanges);
        let mut ack = |kind, id: PacketId| AckOut::success(kind, id).encode(version, answer);
        match packet {
            Packet::Connack(connack) if connack.reason.is_error() => events.push(Event::Refused),
            Packet::Connack(connack) => {
                self.send_maximum = connack.receive_maximum.unwrap_or(u16::MAX);
                self.on_connack(connack.session_present, answer, events);
            }
            Packet::Publish(publish) => {
                let came = match publish.packet_id {
                    Some(id) => exchanges.on_publish(publish, id, self.receive_maximum, &self.id),
                    None => true,
                };
                match (publish.packet_id, publish.qos) {
                    (Some(id), QoS::ExactlyOnce) => ack(AckKind::Pubrec, id),
                    (Some(id), _) => ack(AckKind::Puback, id),
                    (None, _) => {}
                }
                if came {
                    events.push(Event::Arrived(Came {
                        topic: publish.topic.into(),
                        payload: publish.payload.into(),
                        qos: publish.qos as u8,
                        dup: publish.dup && publish.qos == QoS::AtLeastOnce,
                        retain: publish.retain,
                    }));
                }
            }
            Packet::Puback(puback) => {
                events.extend(
                    exchanges
                        .on_puback(puback.packet_id)
                        .map(Event::Acknowledged),
                );
            }
            Packet::Pubrec(pubrec) => {
                events.extend(
                    exchanges
                        .on_pubrec(pubrec.packet_id)
                        .map(Event::Acknowledged),
                );
                ack(AckKind::Pubrel, pubrec.packet_id);
            }
            Packet::Pubrel(pubrel) => {
                exchanges.on_pubrel(pubrel.packet_id);
                ack(AckKind::Pubcomp, pubrel.packet_id);
            }
            Packet::Pubcomp(pubcomp) => exchanges.on_pubcomp(pubcomp.packet_id),
            Packet::Suback(suback) => events.push(Event::Subscribed(exchanges.on_suback(suback))),
            Packet::Unsuback(unsuback) => {
                let filter = exchanges.on_unsuback(unsuback.packet_id);
                events.extend(filter.map(Event::Unsubscribed));
            }
            Packet::Pingresp => {}
            Packet::Disconnect(disconnect) => events.push(Event::Closed(disconnect.reason)),
            other => panic!("a server does not send {other:?}"),
        }
    }

    fn on_connack(&mut self, session_present: bool, answer: &mut Vec<u8>, events: &mut Vec<Event>) {
        assert!(
            (self.durable && !self.starts_clean) || !session_present,
            "{}: a session that should not be",
            self.id
        );
        self.connected = true;
        let starts_clean = std::mem::take(&mut self.starts_clean);
        // 3.1 does not say whether there is a session: a client that wants one has to take it that there is.
        let session_present = session_present
            || (self.version == Version::V31
                && self.durable
                && !starts_clean
                && self.incarnation > 0);
        if session_present {
            // It may be the one of a connection that ended before CONNACK.
            self.incarnation = self.incarnation.max(1);
            // What was open goes on: messages with DUP, releases for those that have been received.
            for (id, outgoing) in self.exchanges.open() {
                match outgoing.received {
                    false => {
                        events.push(Event::Resent(outgoing.message));
                        answer.extend_from_slice(&outgoing.bytes);
                    }
                    true => {
                        AckOut::success(AckKind::Pubrel, id).encode(self.version, answer);
                    }
                }
            }
        } else {
            self.exchanges.forget_open();
            self.incarnation += 1;
        }
        // QoS 1 and 2 that were open towards the client come again with DUP.
        self.exchanges.expect_again();
        events.push(Event::Connected { session_present });
    }
}
