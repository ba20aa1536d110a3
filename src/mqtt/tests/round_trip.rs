//! What is written comes back: every kind of packet, in every version that has it.

use std::num::NonZeroU16;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// A PUBLISH to start from.
pub(super) const HEAD: PublishHead<'static> = PublishHead {
    version: Version::V311,
    dup: false,
    qos: QoS::AtMostOnce,
    retain: false,
    topic: b"a/b",
    packet_id: None,
    topic_alias: None,
    message_expiry: None,
    subscription_ids: &[],
    properties: &[],
    payload_len: 0,
};

fn versions() -> impl Strategy<Value = Version> {
    select(&Version::ALL[..])
}

fn qos() -> impl Strategy<Value = QoS> {
    select(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][..])
}

fn ids() -> impl Strategy<Value = PacketId> {
    (1u16..).prop_map(id)
}

/// Any string that MQTT allows, now and then a long one.
fn text() -> impl Strategy<Value = String> {
    let short = "[^\x00-\x1F\x7F-\u{9F}]{0,12}".prop_filter("non-characters", |text| is_text(text));
    prop_oneof![9 => short, 1 => "[a-z]{100,300}"]
}

fn topic() -> impl Strategy<Value = String> {
    "[^\x00-\x1F\x7F-\u{9F}+#]{1,24}".prop_filter("non-characters", |text| is_text(text))
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
    vec((text(), text()), 0..3)
}

fn filters() -> impl Strategy<Value = Vec<String>> {
    let plain = "([$]?[a-z]{1,3}|[+]|)(/([a-z]{0,3}|[+])){1,3}(/#)?";
    vec(
        prop_oneof![
            Just("#".to_string()),
            plain,
            "[$]share/[a-z]{1,3}/([a-z]|[+])(/#)?"
        ],
        1..5,
    )
}

fn reasons(packet: PacketType) -> impl Strategy<Value = ReasonCode> {
    let all: Vec<_> = (0..=0xFF)
        .map(ReasonCode)
        .filter(|reason| reason.belongs_to(packet))
        .collect();
    select(all)
}

fn borrowed(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// What is left of a value in this version.
fn only5<T>(version: Version, value: Option<T>) -> Option<T> {
    value.filter(|_| version == Version::V5)
}

/// The user properties that come back in this version.
fn users<'a>(version: Version, pairs: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    if version == Version::V5 {
        pairs.to_vec()
    } else {
        Vec::new()
    }
}

/// Encodes behind something else, checks the announced length, and takes the packet off again.
fn encoded(announced: usize, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![0xAA; 3];
    write(&mut out);
    assert_eq!(out.len(), 3 + announced);
    out.split_off(3)
}

macro_rules! decoded {
    ($version:expr, $bytes:expr, $kind:ident) => {
        match decode_one($version, $bytes) {
            Ok(Packet::$kind(packet)) => packet,
            other => panic!("not what was written: {other:?}"),
        }
    };
}

proptest! {
    #[test]
    fn publish(
        version in versions(), dup: bool, qos in qos(), retain: bool, topic in topic(), packet_id in ids(),
        alias in of(1u16..), message_expiry: Option<u32>, subscription_ids in vec(1u32..0x1000_0000, 0..4),
        payload in vec(any::<u8>(), 0..400), content_type in of(text()), users in pairs(),
    ) {
        let users = borrowed(&users);
        let mut properties = Vec::new();
        if let Some(content_type) = &content_type {
            Property::ContentType(content_type).encode(&mut properties);
        }
        for (name, value) in &users {
            Property::UserProperty(name, value).encode(&mut properties);
        }
        let (dup, packet_id) = if qos == QoS::AtMostOnce { (false, None) } else { (dup, Some(packet_id)) };
        let no_topic = version == Version::V5 && alias.is_some_and(|alias| alias & 1 == 0);
        let topic = if no_topic { "" } else { &topic };
        let head = PublishHead {
            version, dup, qos, retain, topic: topic.as_bytes(), packet_id, topic_alias: alias, message_expiry,
            subscription_ids: &subscription_ids, properties: &properties, payload_len: payload.len(),
        };
        let bytes = encoded(head.packet_len(), |out| {
            let start = out.len();
            out.resize(start + head.head_len(), 0);
            head.write_head(&mut out[start..]);
            out.extend_from_slice(&payload);
        });
        let publish = decoded!(version, &bytes, Publish);
        prop_assert_eq!((publish.dup, publish.qos, publish.retain), (dup, qos, retain));
        prop_assert_eq!((publish.topic, publish.packet_id, publish.payload), (topic, packet_id, &payload[..]));
        let got = publish.properties;
        let alias = alias.and_then(NonZeroU16::new);
        prop_assert_eq!((got.topic_alias, got.message_expiry), (only5(version, alias), only5(version, message_expiry)));
        prop_assert_eq!(got.content_type(), only5(version, content_type.as_deref()));
        if version == Version::V5 {
            prop_assert_eq!(got.subscription_ids().collect::<Vec<_>>(), subscription_ids);
            prop_assert_eq!(got.user_properties().collect::<Vec<_>>(), users);
            let mut forwarded = Vec::new();
            got.forward_into(&mut forwarded);
            prop_assert_eq!(got.forwardable_len(), forwarded.len());
            prop_assert_eq!(got.forward_whole, forwarded.len() == got.raw.len());
            prop_assert_eq!(forwarded, properties);
        } else {
            prop_assert!(got.raw.is_empty() && got.forward_whole);
        }
    }

    #[test]
    fn acks(version in versions(), packet_id in ids(), text in of(text()), pick: prop::sample::Index) {
        for kind in [AckKind::Puback, AckKind::Pubrec, AckKind::Pubrel, AckKind::Pubcomp] {
            let valid: Vec<_> = (0..=0xFF).map(ReasonCode).filter(|code| code.belongs_to(kind.packet_type())).collect();
            let reason = *pick.get(&valid);
            let ack = AckOut { kind, packet_id, reason, reason_string: text.as_deref() };
            let bytes = encoded(ack.encoded_len(version), |out| ack.encode(version, out));
            let ack = match (kind, decode_one(version, &bytes)) {
                (AckKind::Puback, Ok(Packet::Puback(ack)))
                | (AckKind::Pubrec, Ok(Packet::Pubrec(ack)))
                | (AckKind::Pubrel, Ok(Packet::Pubrel(ack)))
                | (AckKind::Pubcomp, Ok(Packet::Pubcomp(ack))) => ack,
                (_, other) => panic!("not what was written: {other:?}"),
            };
            prop_assert_eq!(ack.packet_id, packet_id);
            prop_assert_eq!(ack.reason, only5(version, Some(reason)).unwrap_or_default());
            prop_assert_eq!(ack.reason_string(), only5(version, text.as_deref()));
        }
    }

    #[test]
    fn subscribe(
        version in versions(), packet_id in ids(), subscription_id in of(1u32..0x1000_0000), users_out in pairs(),
        filters in filters(), options in vec((qos(), any::<bool>(), any::<bool>(), 0u8..3), 5),
    ) {
        let filters: Vec<_> = filters.iter().zip(options).map(|(filter, (qos, no_local, retain_as_published, retain_handling))| {
            let no_local = no_local && topic::share(filter).is_none();
            (filter.as_str(), SubscribeOptions { qos, no_local, retain_as_published, retain_handling })
        }).collect();
        let user_properties = borrowed(&users_out);
        let out = SubscribeOut { packet_id, subscription_id, user_properties: &user_properties, filters: &filters };
        let bytes = encoded(out.encoded_len(version), |o| out.encode(version, o));
        let subscribe = decoded!(version, &bytes, Subscribe);
        prop_assert_eq!(subscribe.packet_id, packet_id);
        prop_assert_eq!(subscribe.subscription_id, only5(version, subscription_id));
        let got: Vec<_> = subscribe.properties.user_properties().collect();
        prop_assert_eq!(got, users(version, &user_properties));
        let plain = |(filter, options): &(_, SubscribeOptions)| (*filter, SubscribeOptions::with_qos(options.qos));
        let expected: Vec<_> =
            if version == Version::V5 { filters.clone() } else { filters.iter().map(plain).collect() };
        prop_assert_eq!(subscribe.filters().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn unsubscribe(version in versions(), packet_id in ids(), users_out in pairs(), filters in filters()) {
        let filters: Vec<_> = filters.iter().map(String::as_str).collect();
        let user_properties = borrowed(&users_out);
        let out = UnsubscribeOut { packet_id, user_properties: &user_properties, filters: &filters };
        let bytes = encoded(out.encoded_len(version), |o| out.encode(version, o));
        let unsubscribe = decoded!(version, &bytes, Unsubscribe);
        prop_assert_eq!(unsubscribe.packet_id, packet_id);
        let got: Vec<_> = unsubscribe.properties.user_properties().collect();
        prop_assert_eq!(got, users(version, &user_properties));
        prop_assert_eq!(unsubscribe.filters().collect::<Vec<_>>(), filters);
    }

    #[test]
    fn suback_and_unsuback(
        version in versions(), packet_id in ids(), subscribed in vec(reasons(PacketType::Suback), 1..200),
        unsubscribed in vec(reasons(PacketType::Unsuback), 1..200),
    ) {
        let out = SubackOut { packet_id, reasons: &subscribed };
        let bytes = encoded(out.encoded_len(version), |o| out.encode(version, o));
        let suback = decoded!(version, &bytes, Suback);
        prop_assert_eq!(suback.packet_id, packet_id);
        let plain = |&code: &ReasonCode| match version {
            Version::V5 => code,
            _ if code.is_error() => ReasonCode::UNSPECIFIED_ERROR,
            _ => code,
        };
        prop_assert_eq!(suback.reasons().collect::<Vec<_>>(), subscribed.iter().map(plain).collect::<Vec<_>>());

        let out = UnsubackOut { packet_id, reasons: &unsubscribed };
        let bytes = encoded(out.encoded_len(version), |o| out.encode(version, o));
        let unsuback = decoded!(version, &bytes, Unsuback);
        prop_assert_eq!(unsuback.packet_id, packet_id);
        let expected = if version == Version::V5 { unsubscribed } else { Vec::new() };
        prop_assert_eq!(unsuback.reasons().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn disconnect(
        version in versions(), reason in reasons(PacketType::Disconnect), reason_string in of(text()),
        session_expiry: Option<u32>, server_reference in of(text()),
    ) {
        let out = DisconnectOut {
            reason, session_expiry, reason_string: reason_string.as_deref(),
            server_reference: server_reference.as_deref(),
        };
        let bytes = encoded(out.encoded_len(version), |o| out.encode(version, o));
        let disconnect = decoded!(version, &bytes, Disconnect);
        prop_assert_eq!(disconnect.reason, only5(version, Some(reason)).unwrap_or_default());
        prop_assert_eq!(disconnect.session_expiry, only5(version, session_expiry));
        prop_assert_eq!(disconnect.reason_string, only5(version, reason_string.as_deref()));
        prop_assert_eq!(disconnect.server_reference, only5(version, server_reference.as_deref()));
    }

    #[test]
    fn auth(reason in reasons(PacketType::Auth), method in text(), data in of(bytes()), reason_string in of(text())) {
        let out = AuthOut {
            reason, method: Some(&method), data: data.as_deref(), reason_string: reason_string.as_deref(),
        };
        let bytes = encoded(out.encoded_len(), |o| out.encode(o));
        let auth = decoded!(Version::V5, &bytes, Auth);
        prop_assert_eq!((auth.reason, auth.method, auth.data), (reason, Some(&method[..]), data.as_deref()));
        prop_assert_eq!(auth.properties.reason_string(), reason_string.as_deref());
    }

    #[test]
    fn connect(
        version in versions(), clean_start: bool, keep_alive: u16, client_id in text(), username in of(text()),
        password in of(bytes()), numbers: (Option<u32>, Option<u16>, Option<bool>, Option<bool>),
        maxima in (of(1u16..), of(1u32..)), users_out in pairs(), auth in of((text(), of(bytes()))),
        will in of((qos(), any::<bool>(), topic(), bytes(), any::<(u32, Option<u32>)>(), pairs())),
    ) {
        let password = password.filter(|_| version == Version::V5 || username.is_some());
        let user_properties = borrowed(&users_out);
        let will_users = will.as_ref().map_or(Vec::new(), |will| borrowed(&will.5));
        let will_out = will.as_ref().map(|(qos, retain, topic, payload, (delay_s, message_expiry), _)| WillOut {
            qos: *qos, retain: *retain, topic, payload, delay_s: *delay_s, message_expiry: *message_expiry,
            correlation_data: Some(payload), user_properties: &will_users, ..Default::default()
        });
        let out = ConnectOut {
            clean_start, keep_alive, client_id: &client_id, username: username.as_deref(),
            password: password.as_deref(), will: will_out, session_expiry: numbers.0, receive_maximum: maxima.0,
            maximum_packet_size: maxima.1, topic_alias_maximum: numbers.1, request_response_information: numbers.2,
            request_problem_information: numbers.3, user_properties: &user_properties,
            authentication_method: auth.as_ref().map(|auth| auth.0.as_str()),
            authentication_data: auth.as_ref().and_then(|auth| auth.1.as_deref()),
        };
        let bytes = encoded(out.encoded_len(version), |o| out.encode(version, o));
        let connect = decoded!(Version::V31, &bytes, Connect);
        prop_assert_eq!((connect.version, connect.clean_start, connect.keep_alive), (version, clean_start, keep_alive));
        prop_assert_eq!((connect.client_id, connect.username), (&client_id[..], username.as_deref()));
        prop_assert_eq!(connect.password, password.as_deref());
        let got = connect.properties;
        prop_assert_eq!(got.session_expiry, only5(version, numbers.0));
        prop_assert_eq!(got.receive_maximum, only5(version, maxima.0));
        prop_assert_eq!(got.maximum_packet_size, only5(version, maxima.1));
        prop_assert_eq!(got.topic_alias_maximum, only5(version, numbers.1).unwrap_or(0));
        prop_assert_eq!(got.request_response_information, only5(version, numbers.2).unwrap_or(false));
        prop_assert_eq!(got.request_problem_information, only5(version, numbers.3).unwrap_or(true));
        prop_assert_eq!(got.authentication_method, only5(version, out.authentication_method));
        prop_assert_eq!(got.authentication_data, only5(version, out.authentication_data));
        prop_assert_eq!(got.user_properties().collect::<Vec<_>>(), users(version, &user_properties));
        prop_assert_eq!(connect.will.is_some(), will.is_some());
        if let (Some(got), Some(will)) = (connect.will, out.will) {
            prop_assert_eq!((got.qos, got.retain, got.topic, got.payload), (will.qos, will.retain, will.topic, will.payload));
            prop_assert_eq!(got.delay_s, only5(version, Some(will.delay_s)).unwrap_or(0));
            prop_assert_eq!(got.message_expiry, only5(version, will.message_expiry));
        }
    }

    #[test]
    fn connack(
        version in versions(), session_present: bool, reason in reasons(PacketType::Connack),
        numbers: (Option<u32>, Option<u16>, Option<u16>), maxima in (of(1u16..), of(1u32..)), maximum_qos in of(qos()),
        flags: [Option<bool>; 4], texts in (of(text()), of(text()), of(text()), of(text())), users_out in pairs(),
        auth in of((text(), of(bytes()))),
    ) {
        let user_properties = borrowed(&users_out);
        let out = ConnackOut {
            session_present, reason, session_expiry: numbers.0, receive_maximum: maxima.0, maximum_qos,
            retain_available: flags[0], maximum_packet_size: maxima.1, assigned_client_id: texts.0.as_deref(),
            topic_alias_maximum: numbers.1, reason_string: texts.1.as_deref(), user_properties: &user_properties,
            wildcard_available: flags[1], subscription_ids_available: flags[2], shared_available: flags[3],
            server_keep_alive: numbers.2, response_information: texts.2.as_deref(),
            server_reference: texts.3.as_deref(),
            authentication_method: auth.as_ref().map(|auth| auth.0.as_str()),
            authentication_data: auth.as_ref().and_then(|auth| auth.1.as_deref()),
        };
        let bytes = encoded(out.encoded_len(version), |o| out.encode(version, o));
        let connack = decoded!(version, &bytes, Connack);
        if version != Version::V5 {
            let present = session_present && reason == ReasonCode::SUCCESS && version == Version::V311;
            prop_assert_eq!(connack.session_present, present);
            prop_assert_eq!(connack.reason.connack_v3(), reason.connack_v3());
            prop_assert_eq!(connack.properties, Properties::default());
            return Ok(());
        }
        prop_assert_eq!(connack.user_properties().collect::<Vec<_>>(), &user_properties[..]);
        let expected = Connack {
            session_present: session_present && reason == ReasonCode::SUCCESS, reason,
            session_expiry: out.session_expiry, receive_maximum: out.receive_maximum,
            maximum_qos: maximum_qos.filter(|&qos| qos != QoS::ExactlyOnce), retain_available: out.retain_available,
            maximum_packet_size: out.maximum_packet_size, assigned_client_id: out.assigned_client_id,
            topic_alias_maximum: out.topic_alias_maximum, reason_string: out.reason_string,
            wildcard_available: out.wildcard_available, subscription_ids_available: out.subscription_ids_available,
            shared_available: out.shared_available, server_keep_alive: out.server_keep_alive,
            response_information: out.response_information, server_reference: out.server_reference,
            authentication_method: out.authentication_method, authentication_data: out.authentication_data,
            properties: connack.properties,
        };
        prop_assert_eq!(connack, expected);
    }
}
