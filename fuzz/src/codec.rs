//! What holds for the codec whatever the bytes; shared by the fuzz targets and by `tests/codec_random.rs`.
#![allow(dead_code, reason = "each user needs a part of it")]

use firehose::mqtt::*;

/// Decodes a stream in each version as a connection does, until something is refused.
pub fn decode_stream(bytes: &[u8]) {
    for version in Version::ALL {
        let mut rest = bytes;
        while let Some(frame) = whole_frame(rest) {
            let (packet, after) = rest.split_at(frame.total_len);
            rest = after;
            let Ok(decoded) = decode(version, packet, &frame) else {
                break;
            };
            check(version, &decoded);
        }
        let _ = connect_version_hint(bytes);
    }
}

/// The frame at the start of the bytes. As many bytes as it says are enough for it, and fewer are not.
fn whole_frame(bytes: &[u8]) -> Option<Frame> {
    let Ok(FrameStatus::Complete(found)) = frame(bytes, u32::MAX) else {
        return None;
    };
    assert!(
        found.header_len >= 2
            && found.header_len <= found.total_len
            && found.total_len <= bytes.len()
    );
    assert_eq!(
        frame(&bytes[..found.total_len], u32::MAX),
        Ok(FrameStatus::Complete(found))
    );
    let incomplete = frame(&bytes[..found.total_len - 1], u32::MAX);
    assert!(matches!(incomplete, Ok(FrameStatus::Incomplete { .. })));
    assert_eq!(
        frame(bytes, found.total_len as u32 - 1),
        Err(DecodeError::PacketTooLarge)
    );
    Some(found)
}

/// What was decoded can be written, that can be decoded, and is then written the same again.
fn check(version: Version, decoded: &Packet<'_>) {
    let version = if let Packet::Connect(connect) = decoded {
        connect.version
    } else {
        version
    };
    let (mut first, mut second) = (Vec::new(), Vec::new());
    write(version, decoded, &mut first);
    let Some(frame) = whole_frame(&first) else {
        panic!("no packet was written for {decoded:?}")
    };
    assert_eq!(frame.total_len, first.len());
    match decode(version, &first, &frame) {
        Ok(again) => write(version, &again, &mut second),
        Err(error) => panic!("{error} in what was written for {decoded:?}"),
    }
    assert_eq!(first, second);
}

fn write(version: Version, packet: &Packet<'_>, out: &mut Vec<u8>) {
    match packet {
        Packet::Connect(connect) => write_connect(connect, out),
        Packet::Connack(connack) => write_connack(version, connack, out),
        Packet::Publish(publish) => write_publish(version, publish, out),
        Packet::Puback(ack) => write_ack(AckKind::Puback, version, ack, out),
        Packet::Pubrec(ack) => write_ack(AckKind::Pubrec, version, ack, out),
        Packet::Pubrel(ack) => write_ack(AckKind::Pubrel, version, ack, out),
        Packet::Pubcomp(ack) => write_ack(AckKind::Pubcomp, version, ack, out),
        Packet::Subscribe(subscribe) => write_subscribe(version, subscribe, out),
        Packet::Unsubscribe(unsubscribe) => write_unsubscribe(version, unsubscribe, out),
        Packet::Suback(suback) => {
            let reasons: Vec<_> = suback.reasons().collect();
            SubackOut {
                packet_id: suback.packet_id,
                reasons: &reasons,
            }
            .encode(version, out);
        }
        Packet::Unsuback(unsuback) => {
            let reasons: Vec<_> = unsuback.reasons().collect();
            UnsubackOut {
                packet_id: unsuback.packet_id,
                reasons: &reasons,
            }
            .encode(version, out);
        }
        Packet::Pingreq => encode_pingreq(out),
        Packet::Pingresp => encode_pingresp(out),
        Packet::Disconnect(disconnect) => DisconnectOut {
            reason: disconnect.reason,
            reason_string: disconnect.reason_string,
            session_expiry: disconnect.session_expiry,
            server_reference: disconnect.server_reference,
        }
        .encode(version, out),
        Packet::Auth(auth) => AuthOut {
            reason: auth.reason,
            method: auth.method,
            data: auth.data,
            reason_string: auth.properties.reason_string(),
        }
        .encode(out),
    }
}

/// No string that was accepted has a control character or a non-character.
fn assert_text<'a>(text: &str, mut users: impl Iterator<Item = (&'a str, &'a str)>) {
    assert!(is_text(text), "{text:?}");
    assert!(users.all(|(name, value)| is_text(name) && is_text(value)));
}

fn write_publish(version: Version, publish: &Publish<'_>, out: &mut Vec<u8>) {
    assert!(topic::topic_name_valid(publish.topic) || publish.properties.topic_alias.is_some());
    assert_text(publish.topic, publish.properties.user_properties());
    let named = [
        publish.properties.content_type(),
        publish.properties.response_topic(),
    ];
    named
        .into_iter()
        .flatten()
        .for_each(|text| assert!(is_text(text)));
    assert_eq!(publish.packet_id.is_some(), publish.qos > QoS::AtMostOnce);
    let mut properties = Vec::new();
    publish.properties.forward_into(&mut properties);
    assert_eq!(properties.len(), publish.properties.forwardable_len());
    assert_eq!(
        publish.properties.forward_whole,
        properties.len() == publish.properties.raw.len()
    );
    let subscription_ids: Vec<_> = publish.properties.subscription_ids().collect();
    assert_eq!(
        publish.properties.has_subscription_ids(),
        !subscription_ids.is_empty()
    );
    let head = PublishHead {
        version,
        dup: publish.dup,
        qos: publish.qos,
        retain: publish.retain,
        topic: publish.topic.as_bytes(),
        packet_id: publish.packet_id,
        topic_alias: publish.properties.topic_alias.map(|alias| alias.get()),
        message_expiry: publish.properties.message_expiry,
        subscription_ids: &subscription_ids,
        properties: &properties,
        payload_len: publish.payload.len(),
    };
    out.resize(head.head_len(), 0);
    head.write_head(out);
    out.extend_from_slice(publish.payload);
    assert_eq!(out.len(), head.packet_len());
}

fn write_ack(kind: AckKind, version: Version, ack: &Ack<'_>, out: &mut Vec<u8>) {
    let ack = AckOut {
        kind,
        packet_id: ack.packet_id,
        reason: ack.reason,
        reason_string: ack.reason_string(),
    };
    ack.encode(version, out);
    assert_eq!(out.len(), ack.encoded_len(version));
}

fn write_subscribe(version: Version, subscribe: &Subscribe<'_>, out: &mut Vec<u8>) {
    let filters: Vec<_> = subscribe.filters().collect();
    assert!(!filters.is_empty());
    assert!(
        filters
            .iter()
            .all(|(filter, _)| topic::topic_filter_valid(filter))
    );
    for (filter, _) in &filters {
        assert_text(filter, subscribe.properties.user_properties());
    }
    let user_properties: Vec<_> = subscribe.properties.user_properties().collect();
    let out_packet = SubscribeOut {
        packet_id: subscribe.packet_id,
        subscription_id: subscribe.subscription_id,
        user_properties: &user_properties,
        filters: &filters,
    };
    out_packet.encode(version, out);
    assert_eq!(out.len(), out_packet.encoded_len(version));
}

fn write_unsubscribe(version: Version, unsubscribe: &Unsubscribe<'_>, out: &mut Vec<u8>) {
    let filters: Vec<_> = unsubscribe.filters().collect();
    assert!(!filters.is_empty());
    let user_properties: Vec<_> = unsubscribe.properties.user_properties().collect();
    UnsubscribeOut {
        packet_id: unsubscribe.packet_id,
        user_properties: &user_properties,
        filters: &filters,
    }
    .encode(version, out);
}

fn write_connect(connect: &Connect<'_>, out: &mut Vec<u8>) {
    let properties = connect.properties;
    let user_properties: Vec<_> = properties.user_properties().collect();
    assert_text(connect.client_id, user_properties.iter().copied());
    assert_text(connect.username.unwrap_or_default(), [].into_iter());
    let will_users: Vec<_> = connect
        .will
        .iter()
        .flat_map(|will| will.iter())
        .filter_map(user_property)
        .collect();
    let will = connect.will.map(|will| {
        let mut forwarded = Vec::new();
        will.forward_into(&mut forwarded);
        assert_text(will.topic, will_users.iter().copied());
        assert!(forwarded.len() <= will.properties.len());
        let mut will_out = WillOut {
            qos: will.qos,
            retain: will.retain,
            topic: will.topic,
            payload: will.payload,
            delay_s: will.delay_s,
            message_expiry: will.message_expiry,
            user_properties: &will_users,
            ..WillOut::default()
        };
        for property in will.iter() {
            match property {
                Property::PayloadFormatIndicator(format) => will_out.payload_format = Some(format),
                Property::ContentType(text) => will_out.content_type = Some(text),
                Property::ResponseTopic(topic) => will_out.response_topic = Some(topic),
                Property::CorrelationData(data) => will_out.correlation_data = Some(data),
                _ => {}
            }
        }
        will_out
    });
    let out_packet = ConnectOut {
        clean_start: connect.clean_start,
        keep_alive: connect.keep_alive,
        client_id: connect.client_id,
        username: connect.username,
        password: connect.password,
        will,
        session_expiry: properties.session_expiry,
        receive_maximum: properties.receive_maximum,
        maximum_packet_size: properties.maximum_packet_size,
        topic_alias_maximum: Some(properties.topic_alias_maximum),
        request_response_information: Some(properties.request_response_information),
        request_problem_information: Some(properties.request_problem_information),
        user_properties: &user_properties,
        authentication_method: properties.authentication_method,
        authentication_data: properties.authentication_data,
    };
    out_packet.encode(connect.version, out);
    assert_eq!(out.len(), out_packet.encoded_len(connect.version));
}

fn user_property(property: Property<'_>) -> Option<(&str, &str)> {
    match property {
        Property::UserProperty(name, value) => Some((name, value)),
        _ => None,
    }
}

fn write_connack(version: Version, connack: &Connack<'_>, out: &mut Vec<u8>) {
    let user_properties: Vec<_> = connack.user_properties().collect();
    ConnackOut {
        session_present: connack.session_present,
        reason: connack.reason,
        session_expiry: connack.session_expiry,
        receive_maximum: connack.receive_maximum,
        maximum_qos: connack.maximum_qos,
        retain_available: connack.retain_available,
        maximum_packet_size: connack.maximum_packet_size,
        assigned_client_id: connack.assigned_client_id,
        topic_alias_maximum: connack.topic_alias_maximum,
        reason_string: connack.reason_string,
        user_properties: &user_properties,
        wildcard_available: connack.wildcard_available,
        subscription_ids_available: connack.subscription_ids_available,
        shared_available: connack.shared_available,
        server_keep_alive: connack.server_keep_alive,
        response_information: connack.response_information,
        server_reference: connack.server_reference,
        authentication_method: connack.authentication_method,
        authentication_data: connack.authentication_data,
    }
    .encode(version, out);
}

/// Takes the bytes as a filter, a NUL and a topic, and compares what the topic rules say of them.
pub fn compare_topics(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (filter, name) = text.split_once('\0').unwrap_or((text, "a"));
    let filter_valid = topic::topic_filter_valid(filter);
    if let Some(Ok((group, inner))) = topic::share(filter) {
        assert!(
            filter_valid && topic::topic_filter_valid(inner) && !group.contains(['/', '+', '#'])
        );
    }
    if !filter_valid || !topic::topic_name_valid(name) {
        return;
    }
    assert!(topic::topic_filter_valid(name) && topic::matches(name, name));
    assert_eq!(topic::matches("#", name), !name.starts_with('$'));
    if topic::matches(filter, name) && !filter.contains(['+', '#']) {
        assert_eq!(filter, name);
    }
}
