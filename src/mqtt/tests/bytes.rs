//! Packets byte by byte, as the standard shows them.

use super::*;
use Version::{V5, V31, V311};

fn encoded(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

#[test]
fn connect_of_the_standard() {
    // MQTT 5, figure 3-6, with a client id and credentials behind it.
    let body = b"\0\x04MQTT\x05\xC2\0\x0A\x05\x11\0\0\0\x0A\0\x01c\0\x02me\0\x01\xFF";
    let out = ConnectOut {
        clean_start: true,
        keep_alive: 10,
        client_id: "c",
        username: Some("me"),
        password: Some(&[0xFF]),
        session_expiry: Some(10),
        ..Default::default()
    };
    assert_eq!(encoded(|o| out.encode(V5, o)), framed(0x10, body));
    let v31 = ConnectOut {
        client_id: "c",
        clean_start: true,
        ..Default::default()
    };
    assert_eq!(
        encoded(|o| v31.encode(V31, o)),
        framed(0x10, b"\0\x06MQIsdp\x03\x02\0\0\0\x01c")
    );
}

#[test]
fn connack_in_each_version() {
    let accepted = ConnackOut {
        session_present: true,
        topic_alias_maximum: Some(10),
        ..Default::default()
    };
    assert_eq!(encoded(|o| accepted.encode(V31, o)), b"\x20\x02\0\0");
    assert_eq!(encoded(|o| accepted.encode(V311, o)), b"\x20\x02\x01\0");
    assert_eq!(
        encoded(|o| accepted.encode(V5, o)),
        b"\x20\x06\x01\0\x03\x22\0\x0A"
    );
    // MQTT-3.2.2-6: no session is present in a CONNACK that refuses.
    let refused = ConnackOut {
        session_present: true,
        reason: ReasonCode::NOT_AUTHORIZED,
        ..Default::default()
    };
    assert_eq!(encoded(|o| refused.encode(V311, o)), b"\x20\x02\0\x05");
    assert_eq!(encoded(|o| refused.encode(V5, o)), b"\x20\x03\0\x87\0");
    // Maximum QoS 2 is said by leaving it out (MQTT 5, 3.2.2.3.4).
    let qos = ConnackOut {
        maximum_qos: Some(QoS::ExactlyOnce),
        ..Default::default()
    };
    assert_eq!(encoded(|o| qos.encode(V5, o)), b"\x20\x03\0\0\0");
}

#[test]
fn acks_in_their_shortest_form() {
    let ack = |kind, version, reason, text| {
        encoded(|o| {
            AckOut {
                kind,
                packet_id: id(0x102),
                reason,
                reason_string: text,
            }
            .encode(version, o)
        })
    };
    let (success, refused) = (ReasonCode::SUCCESS, ReasonCode::NOT_AUTHORIZED);
    assert_eq!(
        ack(AckKind::Puback, V311, refused, Some("x")),
        b"\x40\x02\x01\x02"
    );
    assert_eq!(ack(AckKind::Pubrec, V5, success, None), b"\x50\x02\x01\x02");
    assert_eq!(
        ack(AckKind::Pubrel, V31, success, None),
        b"\x62\x02\x01\x02"
    );
    assert_eq!(
        ack(
            AckKind::Pubcomp,
            V5,
            ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
            None
        ),
        b"\x70\x03\x01\x02\x92"
    );
    assert_eq!(
        ack(AckKind::Puback, V5, refused, Some("no")),
        b"\x40\x09\x01\x02\x87\x05\x1F\0\x02no"
    );
    let len = |version, reason_string| {
        let success = AckOut::success(AckKind::Puback, id(0x102));
        let ack = AckOut {
            reason: refused,
            reason_string,
            ..success
        };
        ack.encoded_len(version)
    };
    assert_eq!(len(V5, Some("no")), 11);
    assert_eq!(len(V5, None), 5);
    assert_eq!(len(V311, Some("no")), 4);
}

#[test]
fn subscription_packets() {
    let options = SubscribeOptions {
        qos: QoS::ExactlyOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: 2,
    };
    let filters = [("a", options)];
    let out = SubscribeOut {
        packet_id: id(10),
        subscription_id: Some(128),
        user_properties: &[],
        filters: &filters,
    };
    assert_eq!(
        encoded(|o| out.encode(V311, o)),
        b"\x82\x06\0\x0A\0\x01a\x02"
    );
    assert_eq!(
        encoded(|o| out.encode(V5, o)),
        b"\x82\x0A\0\x0A\x03\x0B\x80\x01\0\x01a\x2E"
    );

    let reasons = [ReasonCode::GRANTED_QOS_1, ReasonCode::NOT_AUTHORIZED];
    let out = SubackOut {
        packet_id: id(10),
        reasons: &reasons,
    };
    assert_eq!(encoded(|o| out.encode(V311, o)), b"\x90\x04\0\x0A\x01\x80");
    assert_eq!(encoded(|o| out.encode(V5, o)), b"\x90\x05\0\x0A\0\x01\x87");

    let out = UnsubscribeOut {
        packet_id: id(11),
        user_properties: &[],
        filters: &["a", "b"],
    };
    assert_eq!(
        encoded(|o| out.encode(V31, o)),
        b"\xA2\x08\0\x0B\0\x01a\0\x01b"
    );
    let reasons = [ReasonCode::SUCCESS, ReasonCode::NO_SUBSCRIPTION_EXISTED];
    let out = UnsubackOut {
        packet_id: id(11),
        reasons: &reasons,
    };
    assert_eq!(encoded(|o| out.encode(V311, o)), b"\xB0\x02\0\x0B");
    assert_eq!(encoded(|o| out.encode(V5, o)), b"\xB0\x05\0\x0B\0\0\x11");
}

#[test]
fn small_packets() {
    assert_eq!(encoded(encode_pingreq), b"\xC0\0");
    assert_eq!(encoded(encode_pingresp), b"\xD0\0");
    let out = DisconnectOut {
        reason: ReasonCode::SERVER_SHUTTING_DOWN,
        ..Default::default()
    };
    assert_eq!(encoded(|o| out.encode(V311, o)), b"\xE0\0");
    assert_eq!(encoded(|o| out.encode(V5, o)), b"\xE0\x01\x8B");
    let out = DisconnectOut {
        server_reference: Some("s"),
        ..Default::default()
    };
    assert_eq!(encoded(|o| out.encode(V5, o)), b"\xE0\x06\0\x04\x1C\0\x01s");
    assert_eq!(encoded(|o| AuthOut::default().encode(o)), b"\xF0\0");
    let out = AuthOut {
        reason: ReasonCode::CONTINUE_AUTHENTICATION,
        method: Some("m"),
        ..Default::default()
    };
    assert_eq!(encoded(|o| out.encode(o)), b"\xF0\x06\x18\x04\x15\0\x01m");
}

#[test]
fn publish_and_what_is_passed_on() {
    let bytes = framed(
        0x3B,
        b"\0\x03a/b\0\x0A\x19\x02\0\0\0\x05\x26\0\x01k\0\x01v\x23\0\x07\x01\x01\x0B\x01\x0B\x80\x01\x03\0\0hi",
    );
    let Ok(Packet::Publish(publish)) = decode_one(V5, &bytes) else {
        panic!("a PUBLISH")
    };
    assert!(publish.dup && publish.retain && publish.qos == QoS::AtLeastOnce);
    assert_eq!(
        (publish.topic, publish.packet_id, publish.payload),
        ("a/b", Some(id(10)), &b"hi"[..])
    );
    let properties = publish.properties;
    assert_eq!(properties.message_expiry, Some(5));
    assert_eq!(properties.topic_alias.map(|alias| alias.get()), Some(7));
    assert!(!properties.forward_whole && properties.has_subscription_ids());
    assert_eq!(properties.subscription_ids().collect::<Vec<_>>(), [1, 128]);
    assert_eq!(
        properties.user_properties().collect::<Vec<_>>(),
        [("k", "v")]
    );
    assert_eq!(
        (properties.payload_format(), properties.content_type()),
        (Some(1), Some(""))
    );
    let forwarded = encoded(|o| properties.forward_into(o));
    assert_eq!(forwarded, b"\x26\0\x01k\0\x01v\x01\x01\x03\0\0");
    assert_eq!(properties.forwardable_len(), forwarded.len());
}

#[test]
fn will_without_delay_and_expiry_is_passed_on() {
    let out = ConnectOut {
        client_id: "c",
        will: Some(WillOut {
            topic: "t",
            delay_s: 5,
            message_expiry: Some(6),
            content_type: Some("x"),
            user_properties: &[("k", "v")],
            ..Default::default()
        }),
        ..Default::default()
    };
    let bytes = encoded(|o| out.encode(V5, o));
    let Ok(Packet::Connect(connect)) = decode_one(V5, &bytes) else {
        panic!("a CONNECT")
    };
    let will = connect.will.unwrap();
    assert_eq!((will.delay_s, will.message_expiry), (5, Some(6)));
    assert_eq!(
        encoded(|o| will.forward_into(o)),
        b"\x03\0\x01x\x26\0\x01k\0\x01v"
    );
}

#[test]
fn mqtt_1_5_4_3_a_byte_order_mark_stays() {
    let bytes = framed(0x30, b"\0\x04\xEF\xBB\xBFa");
    let Ok(Packet::Publish(publish)) = decode_one(V311, &bytes) else {
        panic!("a PUBLISH")
    };
    assert_eq!(publish.topic, "\u{FEFF}a");
}

#[test]
fn connack_return_codes_of_mqtt_3() {
    for code in 0..=5 {
        assert_eq!(
            ReasonCode::from_connack_v3(code).map(ReasonCode::connack_v3),
            Some(code)
        );
    }
    assert_eq!(ReasonCode::from_connack_v3(6), None);
    for code in 0x80..=0xFF {
        assert!((1..=5).contains(&ReasonCode(code).connack_v3()));
    }
    assert_eq!(ReasonCode::BANNED.to_string(), "Banned (0x8A)");
}

#[test]
fn strings_end_at_their_longest_in_release_builds() {
    if cfg!(debug_assertions) {
        return;
    }
    let long = "ä".repeat(40_000);
    let out = DisconnectOut {
        reason_string: Some(&long),
        ..Default::default()
    };
    let bytes = encoded(|o| out.encode(V5, o));
    assert_eq!(bytes.len(), out.encoded_len(V5));
    let Ok(Packet::Disconnect(disconnect)) = decode_one(V5, &bytes) else {
        panic!("a DISCONNECT")
    };
    assert_eq!(disconnect.reason_string.map(str::len), Some(65_534));
}

/// What is read without decoding says the same as what is decoded, in all versions; and all four have a shortest form.
#[test]
fn short_acknowledgements_are_what_decoding_makes_of_them() {
    let mut short = 0;
    for version in Version::ALL {
        for first in 0..=u8::MAX {
            for len in 0..4 {
                for body in [[0, 0], [0, 1], [0x12, 0x34], [0xff, 0xff]] {
                    let bytes = [first, len, body[0], body[1], 0x40];
                    let Some((kind, packet_id)) = short_ack(&bytes) else {
                        continue;
                    };
                    short += 1;
                    let decoded = decode_one(version, &bytes[..SHORT_ACK_BYTES]).unwrap();
                    let ack = match (kind, decoded) {
                        (AckKind::Puback, Packet::Puback(ack))
                        | (AckKind::Pubrec, Packet::Pubrec(ack))
                        | (AckKind::Pubrel, Packet::Pubrel(ack))
                        | (AckKind::Pubcomp, Packet::Pubcomp(ack)) => ack,
                        (_, other) => panic!("{bytes:?} is {other:?}"),
                    };
                    assert_eq!(ack.packet_id, packet_id);
                    assert_eq!(ack.reason, ReasonCode::SUCCESS);
                    assert_eq!(ack.reason_string(), None);
                }
            }
        }
    }
    assert_eq!(short, 3 * 4 * 3);
    for len in 0..SHORT_ACK_BYTES {
        assert_eq!(short_ack(&[0x40, 2, 0, 1][..len]), None);
    }
}
