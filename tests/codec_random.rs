//! The fuzz targets of the codec without a fuzzer: bytes from a seed, and packets with some of their bytes changed.

#[path = "../fuzz/src/codec.rs"]
mod codec;

use firehose::mqtt::*;

/// SplitMix64: enough for bytes that are to be anything.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Packets that exercise every property and every field.
fn samples() -> Vec<Vec<u8>> {
    let id = PacketId::new(0x1234).unwrap();
    let users = [("name", "value"), ("", "ä")];
    let mut samples = Vec::new();
    for version in Version::ALL {
        let mut add = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            samples.push(out);
        };
        let will = WillOut {
            qos: QoS::AtLeastOnce,
            retain: true,
            topic: "will/topic",
            payload: b"gone",
            delay_s: 5,
            message_expiry: Some(60),
            payload_format: Some(1),
            content_type: Some("text"),
            response_topic: Some("answer"),
            correlation_data: Some(b"\x00\x01"),
            user_properties: &users,
        };
        add(&|out| {
            let connect = ConnectOut {
                clean_start: true,
                keep_alive: 60,
                client_id: "client",
                username: Some("user"),
                password: Some(b"password"),
                will: Some(will),
                session_expiry: Some(3600),
                receive_maximum: Some(20),
                maximum_packet_size: Some(100_000),
                topic_alias_maximum: Some(10),
                request_response_information: Some(true),
                request_problem_information: Some(false),
                user_properties: &users,
                authentication_method: Some("SCRAM"),
                authentication_data: Some(b"data"),
            };
            connect.encode(version, out);
        });
        add(&|out| {
            let connack = ConnackOut {
                session_present: true,
                maximum_qos: Some(QoS::AtLeastOnce),
                retain_available: Some(false),
                assigned_client_id: Some("auto-1"),
                server_keep_alive: Some(30),
                user_properties: &users,
                server_reference: Some("other"),
                ..ConnackOut::default()
            };
            connack.encode(version, out);
        });
        add(&|out| {
            let mut properties = Vec::new();
            Property::ResponseTopic("answer").encode(&mut properties);
            Property::UserProperty("name", "value").encode(&mut properties);
            let head = PublishHead {
                version,
                dup: true,
                qos: QoS::ExactlyOnce,
                retain: false,
                topic: b"a/topic/name",
                packet_id: Some(id),
                topic_alias: Some(3),
                message_expiry: Some(60),
                subscription_ids: &[1, 200, 20_000],
                properties: &properties,
                payload_len: 3,
            };
            out.resize(head.head_len(), 0);
            head.write_head(out);
            out.extend_from_slice(b"abc");
        });
        for kind in [
            AckKind::Puback,
            AckKind::Pubrec,
            AckKind::Pubrel,
            AckKind::Pubcomp,
        ] {
            add(&|out| {
                AckOut {
                    kind,
                    packet_id: id,
                    reason: ReasonCode::SUCCESS,
                    reason_string: Some("why"),
                }
                .encode(version, out)
            });
        }
        add(&|out| {
            let filters = [
                ("a/+/#", SubscribeOptions::default()),
                ("$share/group/b", SubscribeOptions::default()),
            ];
            SubscribeOut {
                packet_id: id,
                subscription_id: Some(300),
                user_properties: &users,
                filters: &filters,
            }
            .encode(version, out);
        });
        add(&|out| {
            UnsubscribeOut {
                packet_id: id,
                user_properties: &users,
                filters: &["a", "b/#"],
            }
            .encode(version, out);
        });
        let reasons = [ReasonCode::SUCCESS, ReasonCode::NOT_AUTHORIZED];
        add(&|out| {
            SubackOut {
                packet_id: id,
                reasons: &reasons,
            }
            .encode(version, out)
        });
        add(&|out| {
            UnsubackOut {
                packet_id: id,
                reasons: &reasons,
            }
            .encode(version, out)
        });
        add(&|out| {
            let reason = ReasonCode::DISCONNECT_WITH_WILL;
            DisconnectOut {
                reason,
                reason_string: Some("bye"),
                session_expiry: Some(1),
                server_reference: Some("x"),
            }
            .encode(version, out);
        });
        add(&|out| {
            let reason = ReasonCode::CONTINUE_AUTHENTICATION;
            AuthOut {
                reason,
                method: Some("SCRAM"),
                data: Some(b"data"),
                reason_string: None,
            }
            .encode(out);
        });
    }
    samples
}

#[test]
fn random_bytes() {
    let mut random = Random(1);
    for _ in 0..100_000 {
        let mut bytes: Vec<u8> = (0..random.below(64)).map(|_| random.next() as u8).collect();
        // Most first bytes and lengths are refused at once: in three of four cases, make them plausible.
        if bytes.len() >= 2 && random.below(4) > 0 {
            let types = [
                0x10, 0x20, 0x30, 0x32, 0x3D, 0x40, 0x50, 0x62, 0x70, 0x82, 0x90, 0xA2, 0xB0, 0xC0,
                0xE0, 0xF0,
            ];
            bytes[0] = types[random.below(types.len())];
            bytes[1] = (bytes.len() - 2) as u8;
        }
        codec::decode_stream(&bytes);
    }
}

#[test]
fn packets_with_changed_bytes() {
    let samples = samples();
    let mut random = Random(2);
    for _ in 0..100_000 {
        let mut bytes = samples[random.below(samples.len())].clone();
        for _ in 0..random.below(4) {
            let index = random.below(bytes.len());
            bytes[index] = match random.below(4) {
                0 => random.next() as u8,
                1 => bytes[index].wrapping_add(1),
                2 => bytes[index].wrapping_sub(1),
                _ => bytes[index] ^ 1 << random.below(8),
            };
        }
        if random.below(4) == 0 {
            bytes.extend_from_slice(&samples[random.below(samples.len())]);
        }
        codec::decode_stream(&bytes);
    }
}

#[test]
fn unchanged_packets_are_decoded() {
    for sample in samples() {
        let accepted = Version::ALL.iter().any(|&version| {
            let Ok(FrameStatus::Complete(frame)) = frame(&sample, u32::MAX) else {
                return false;
            };
            decode(version, &sample, &frame).is_ok()
        });
        assert!(accepted, "{sample:02X?}");
        codec::decode_stream(&sample);
    }
}

#[test]
fn random_topics() {
    let mut random = Random(3);
    let letters = ["a", "b", "/", "/", "+", "#", "$", "$share/", "\0", "ä"];
    for _ in 0..100_000 {
        let text: String = (0..random.below(12))
            .map(|_| letters[random.below(letters.len())])
            .collect();
        codec::compare_topics(text.as_bytes());
    }
}
