//! A client's session, packet by packet.

use super::*;
use crate::mqtt::{ConnackOut, FrameStatus, PublishHead, SubackOut, frame};

fn settings(version: Version) -> Settings {
    Settings {
        version,
        keep_alive: 0,
        username: None,
        password: None,
        in_flight_max: 3,
    }
}

fn feed(client: &mut Client, version: Version, packet: &[u8], out: &mut Vec<u8>) -> String {
    let Ok(FrameStatus::Complete(found)) = frame(packet, u32::MAX) else {
        panic!("not a packet: {packet:?}");
    };
    let event = client.on_packet(&settings(version), packet, &found, out);
    format!("{:?}", event.unwrap())
}

fn connected(version: Version) -> Client {
    let mut client = Client::default();
    let (mut sent, mut packet) = (Vec::new(), Vec::new());
    client.connect(&settings(version), "c", false, &mut sent);
    ConnackOut::default().encode(version, &mut packet);
    let event = feed(&mut client, version, &packet, &mut sent);
    assert_eq!(event, "Connected { session_present: false }");
    client
}

fn publish(version: Version, qos: QoS, id: u16) -> Vec<u8> {
    let head = PublishHead {
        version,
        dup: false,
        qos,
        retain: false,
        topic: b"t",
        packet_id: PacketId::new(id),
        topic_alias: None,
        message_expiry: None,
        subscription_ids: &[],
        properties: &[],
        payload_len: 0,
    };
    let mut packet = vec![0; head.head_len()];
    head.write_head(&mut packet);
    packet
}

#[test]
fn a_subscription_is_granted_or_not() {
    for version in Version::ALL {
        let mut client = connected(version);
        let (mut sent, mut packet) = (Vec::new(), Vec::new());
        client.subscribe(&settings(version), "a/#", QoS::AtLeastOnce, &mut sent);
        let reasons: &[ReasonCode] = if version == Version::V31 {
            &[ReasonCode::GRANTED_QOS_0]
        } else {
            &[ReasonCode::UNSPECIFIED_ERROR]
        };
        SubackOut {
            packet_id: PacketId::new(1).unwrap(),
            reasons,
        }
        .encode(version, &mut packet);
        let event = feed(&mut client, version, &packet, &mut sent);
        assert_eq!(event.contains("None"), version == Version::V31, "{event}");
    }
}

#[test]
fn publishes_are_acknowledged_in_one_step_or_two() {
    let version = Version::V5;
    let mut client = connected(version);
    let first = client.begin_publish(100);
    let second = client.begin_publish(200);
    let third = client.begin_publish(300);
    assert!(!client.may_publish());
    let mut out = Vec::new();
    let mut ack = |client: &mut Client, kind, id| {
        let mut packet = Vec::new();
        mqtt::AckOut::success(kind, id).encode(version, &mut packet);
        feed(client, version, &packet, &mut out)
    };
    assert!(ack(&mut client, AckKind::Puback, second).contains("at_ns: 200"));
    assert_eq!(ack(&mut client, AckKind::Puback, second), "Stray");
    assert_eq!(ack(&mut client, AckKind::Pubrec, first), "Nothing");
    assert!(ack(&mut client, AckKind::Pubcomp, first).contains("at_ns: 100"));
    assert_eq!(ack(&mut client, AckKind::Pubcomp, third), "Stray");
    assert_eq!(client.in_flight(), 1);
    assert!(client.may_publish());
}

#[test]
fn a_message_at_qos_2_is_delivered_once_until_it_is_released() {
    let version = Version::V311;
    let mut client = connected(version);
    let mut out = Vec::new();
    let packet = publish(version, QoS::ExactlyOnce, 5);
    assert!(feed(&mut client, version, &packet, &mut out).starts_with("Delivery"));
    assert_eq!(feed(&mut client, version, &packet, &mut out), "Nothing");
    let pubrel = [0x62, 2, 0, 5];
    assert_eq!(feed(&mut client, version, &pubrel, &mut out), "Nothing");
    assert!(feed(&mut client, version, &packet, &mut out).starts_with("Delivery"));
    assert_eq!(out.len(), 4 * 4);
}

#[test]
fn identifiers_come_round_without_meeting_one_in_flight() {
    let mut client = connected(Version::V311);
    let oldest = client.begin_publish(0);
    let mut packet = Vec::new();
    for _ in 0..70_000 {
        let id = client.begin_publish(1);
        assert_ne!(id, oldest);
        packet.clear();
        let kind = AckKind::Puback;
        mqtt::AckOut::success(kind, id).encode(Version::V311, &mut packet);
        feed(&mut client, Version::V311, &packet, &mut Vec::new());
    }
    assert_eq!(client.lost(), 1);
}
