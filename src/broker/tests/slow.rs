//! Clients that take little or nothing.

use super::*;
use crate::mqtt::{Packet, PublishHead, decode, frame};

impl World {
    /// Connects with this CONNECT and takes the CONNACK.
    pub(super) fn connect_as(&mut self, connect: &ConnectOut<'_>, version: Version) -> ConnId {
        let conn = self.broker.on_accept(self.now_ms, peer());
        let mut bytes = Vec::new();
        connect.encode(version, &mut bytes);
        self.broker.on_bytes(self.now_ms, conn, &bytes);
        conn
    }

    /// Publishes for a client.
    pub(super) fn publish(
        &mut self,
        conn: ConnId,
        topic: &str,
        qos: u8,
        retain: bool,
        payload: &[u8],
    ) {
        let bytes = publish(topic, qos, retain, payload);
        self.broker.on_bytes(self.now_ms, conn, &bytes);
    }
}

/// A PUBLISH of 3.1.1.
pub(super) fn publish(topic: &str, qos: u8, retain: bool, payload: &[u8]) -> Vec<u8> {
    let head = PublishHead {
        version: Version::V311,
        dup: false,
        qos: QoS::try_from(qos).unwrap(),
        retain,
        topic: topic.as_bytes(),
        packet_id: PacketId::new(1).filter(|_| qos > 0),
        topic_alias: None,
        message_expiry: None,
        subscription_ids: &[],
        properties: &[],
        payload_len: payload.len(),
    };
    let mut bytes = vec![0; head.head_len()];
    head.write_head(&mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

/// Calls `each` for every packet.
pub(super) fn packets(version: Version, mut bytes: &[u8], mut each: impl FnMut(Packet<'_>)) {
    while !bytes.is_empty() {
        let crate::mqtt::FrameStatus::Complete(frame) = frame(bytes, u32::MAX).unwrap() else {
            panic!("an incomplete packet");
        };
        let (packet, rest) = bytes.split_at(frame.total_len);
        each(decode(version, packet, &frame).unwrap());
        bytes = rest;
    }
}

/// A message that is dropped must not be the one that tells the client what an alias stands for.
#[test]
fn an_alias_is_never_used_before_the_client_knows_it() {
    let mut world = World::new(Settings::default());
    let connect = ConnectOut {
        client_id: "s",
        clean_start: true,
        topic_alias_maximum: Some(10),
        ..ConnectOut::default()
    };
    let slow = world.connect_as(&connect, Version::V5);
    world.output(slow);
    world.subscribe(slow, Version::V5, "#", QoS::AtMostOnce);
    let publisher = world.connect("p", Version::V311);
    let payload = [7; 20_000];
    for round in 0..600 {
        let topics = if round < 300 { "first" } else { "second" };
        world.publish(publisher, topics, 0, false, &payload);
    }
    assert!(world.broker.counters().publish_dropped > 0);
    let mut known = vec![None; 10];
    packets(Version::V5, &world.output(slow), |packet| {
        let Packet::Publish(publish) = packet else {
            return;
        };
        let alias = publish.properties.topic_alias.unwrap().get();
        if !publish.topic.is_empty() {
            known[usize::from(alias)] = Some(publish.topic.to_string());
        }
        assert!(known[usize::from(alias)].is_some(), "alias {alias}");
    });
    assert!(known.iter().flatten().any(|topic| topic == "second"));
}

/// The greatest packet that a client takes is reached, and not passed, with a topic alias and with a mount point.
#[test]
fn the_greatest_packet_is_the_same_with_alias_and_mount_point() {
    let listener = ListenerSettings {
        mount_point: "mounted/".into(),
        ..ListenerSettings::default()
    };
    for alias_max in [0, 10] {
        let mut world = World::new(Settings {
            listeners: vec![listener.clone()],
            ..Settings::default()
        });
        let connect = ConnectOut {
            client_id: "s",
            clean_start: true,
            topic_alias_maximum: Some(alias_max),
            maximum_packet_size: Some(40),
            ..ConnectOut::default()
        };
        let subscriber = world.connect_as(&connect, Version::V5);
        world.output(subscriber);
        world.subscribe(subscriber, Version::V5, "#", QoS::AtMostOnce);
        let publisher = world.connect("p", Version::V311);
        // Fixed header 2, topic 3, property length 1.
        world.publish(publisher, "t", 0, false, &[1; 34]);
        let received = world.output(subscriber);
        assert_eq!(received.len(), 40);
        packets(Version::V5, &received, |packet| {
            assert!(matches!(packet, Packet::Publish(publish) if publish.topic == "t"));
        });
    }
}

/// MQTT-3.1.2-22: whoever has sent something is not closed before one and a half times the keep alive.
#[test]
fn a_client_is_not_closed_before_its_time() {
    let mut world = World::new(Settings::default());
    let connect = ConnectOut {
        client_id: "c",
        clean_start: true,
        keep_alive: 2,
        ..ConnectOut::default()
    };
    let conn = world.connect_as(&connect, Version::V5);
    world.output(conn);
    world.now_ms += 1099;
    let sent_ms = world.now_ms;
    world.broker.on_bytes(world.now_ms, conn, b"\xc0\x00");
    assert_eq!(world.output(conn), b"\xd0\x00");
    let mut closed_ms = None;
    while closed_ms.is_none() {
        world.now_ms += 1;
        world.broker.on_timers(world.now_ms);
        closed_ms = (world.output(conn).first() == Some(&0xe0)).then_some(world.now_ms);
    }
    let silent_ms = closed_ms.unwrap() - sent_ms;
    assert!((3000..3200).contains(&silent_ms), "{silent_ms}");
}
