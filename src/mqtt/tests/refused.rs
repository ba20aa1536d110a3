//! Each misdeed by the statement that it breaks.

use std::collections::HashSet;

use super::*;
use DecodeError::*;
use Version::{V5, V31, V311};

/// One test per line, and one that there is a line for each error.
macro_rules! refused {
    ($($name:ident: $version:expr, $first:literal, $body:expr => $error:ident;)*) => {
        $(#[test] fn $name() {
            let body = $body;
            assert_eq!(decode_one($version, &framed($first, body.as_ref())), Err($error));
        })*

        #[test]
        fn every_error_has_a_test() {
            let mut tested = HashSet::from([VarintTooLong, VarintNotMinimal, PacketTooLarge, TopicTooDeep, FilterTooDeep]);
            tested.extend([$($error),*]);
            for error in DecodeError::ALL {
                assert!(tested.contains(error), "{error:?} has no test");
            }
        }
    };
}

/// A CONNECT body of MQTT 5 with these flags and what follows the keep alive.
fn connect5(flags: u8, rest: &[u8]) -> Vec<u8> {
    [b"\0\x04MQTT\x05", &[flags, 0, 60][..], rest].concat()
}

/// A CONNECT body of MQTT 3.1.1.
fn connect4(flags: u8, rest: &[u8]) -> Vec<u8> {
    [b"\0\x04MQTT\x04", &[flags, 0, 60][..], rest].concat()
}

refused! {
    mqtt_2_1_2_type_0: V5, 0x00, b"" => PacketTypeReserved;
    mqtt_2_1_2_auth_before_5: V311, 0xF0, b"" => PacketTypeReserved;
    mqtt_2_1_3_1_connect_flags: V5, 0x11, connect5(2, b"\0\0\0") => FlagsReserved;
    mqtt_2_1_3_1_subscribe_flags: V311, 0x80, b"\0\x01\0\x01a\0" => FlagsReserved;
    mqtt_2_1_3_1_subscribe_dup_after_3_1: V311, 0x8A, b"\0\x01\0\x01a\0" => FlagsReserved;
    mqtt_2_1_3_1_pubrel_flags: V31, 0x60, b"\0\x01" => FlagsReserved;
    mqtt_2_1_3_1_puback_flags: V5, 0x41, b"\0\x01" => FlagsReserved;
    mqtt_2_1_3_1_pingreq_flags: V311, 0xC1, b"" => FlagsReserved;
    mqtt_2_1_3_1_disconnect_flags: V5, 0xE1, b"" => FlagsReserved;
    mqtt_3_3_1_4_qos_3: V311, 0x36, b"\0\x01a\0\x01" => PublishQosReserved;
    mqtt_3_3_1_2_dup_at_qos_0: V311, 0x38, b"\0\x01a" => PublishDupAtQos0;

    mqtt_4_13_1_publish_empty: V311, 0x30, b"" => Truncated;
    mqtt_4_13_1_topic_beyond_packet: V311, 0x30, b"\0\x05abc" => Truncated;
    mqtt_4_13_1_properties_beyond_packet: V5, 0x30, b"\0\x01a\x05\x01\x01" => Truncated;
    mqtt_4_13_1_property_beyond_properties: V5, 0x30, b"\0\x01a\x03\x03\0\x01abc" => Truncated;
    mqtt_4_13_1_properties_missing: V5, 0x30, b"\0\x01a" => Truncated;
    mqtt_4_13_1_puback_of_one_byte: V311, 0x40, b"\x01" => Truncated;
    mqtt_4_13_1_subscribe_without_options: V311, 0x82, b"\0\x01\0\x01a" => Truncated;
    mqtt_4_13_1_auth_without_property_length: V5, 0xF0, b"\x18" => Truncated;
    mqtt_4_13_1_username_missing_after_3_1: V311, 0x10, connect4(0x82, b"\0\x01c") => Truncated;
    mqtt_4_13_1_will_missing: V311, 0x10, connect4(0x06, b"\0\x01c") => Truncated;
    mqtt_2_1_4_pingreq_with_body: V311, 0xC0, b"\0" => TrailingBytes;
    mqtt_2_1_4_puback_before_5: V311, 0x40, b"\0\x01\0" => TrailingBytes;
    mqtt_2_1_4_disconnect_before_5: V31, 0xE0, b"\0" => TrailingBytes;
    mqtt_2_1_4_connect: V311, 0x10, connect4(2, b"\0\x01c!") => TrailingBytes;
    mqtt_2_1_4_puback_after_properties: V5, 0x40, b"\0\x01\0\0!" => TrailingBytes;
    mqtt_2_1_4_unsuback_before_5: V311, 0xB0, b"\0\x01\0" => TrailingBytes;
    mqtt_1_5_4_1_overlong: V311, 0x30, b"\0\x02\xC0\x80" => Utf8IllFormed;
    mqtt_1_5_4_1_surrogate: V311, 0x30, b"\0\x03\xED\xA0\x80" => Utf8IllFormed;
    mqtt_1_5_4_1_client_id: V5, 0x10, connect5(2, b"\0\0\x01\xFF") => Utf8IllFormed;
    mqtt_1_5_4_2_topic: V311, 0x30, b"\0\x03a\0b" => Utf8Nul;
    mqtt_1_5_4_2_client_id: V311, 0x10, connect4(2, b"\0\x01\0") => Utf8Nul;
    mqtt_1_5_4_2_user_property: V5, 0x30, b"\0\x01a\x07\x26\0\x01\0\0\x01v" => Utf8Nul;
    mqtt_1_5_4_control_topic: V311, 0x30, b"\0\x03a\nb" => Utf8Control;
    mqtt_1_5_4_control_delete: V311, 0x30, b"\0\x03a\x7Fb" => Utf8Control;
    mqtt_1_5_4_control_of_two_bytes: V5, 0x30, b"\0\x04a\xC2\x9Fb\0" => Utf8Control;
    mqtt_1_5_4_control_before_wildcard: V311, 0x30, b"\0\x03a\t#" => Utf8Control;
    mqtt_1_5_4_control_filter: V311, 0x82, b"\0\x01\0\x03a/\x1B\0" => Utf8Control;
    mqtt_1_5_4_control_filter_to_leave: V5, 0xA2, b"\0\x01\0\0\x02a\x01" => Utf8Control;
    mqtt_1_5_4_control_client_id: V311, 0x10, connect4(2, b"\0\x02c\r") => Utf8Control;
    mqtt_1_5_4_control_will_topic: V311, 0x10, connect4(6, b"\0\x01c\0\x02w\n\0\0") => Utf8Control;
    mqtt_1_5_4_control_user_name: V311, 0x10, connect4(0x82, b"\0\x01c\0\x02u\n") => Utf8Control;
    mqtt_1_5_4_control_user_property: V5, 0x30, b"\0\x01a\x08\x26\0\x01n\0\x02v\n" => Utf8Control;
    mqtt_1_5_4_control_response_topic: V5, 0x30, b"\0\x01a\x05\x08\0\x02r\n" => Utf8Control;
    mqtt_1_5_4_control_content_type: V5, 0x30, b"\0\x01a\x05\x03\0\x02t\n" => Utf8Control;
    mqtt_1_5_4_control_reason_string: V5, 0x40, b"\0\x01\0\x05\x1F\0\x02r\n" => Utf8Control;
    mqtt_1_5_4_control_authentication_method: V5, 0x10, connect5(2, b"\x05\x15\0\x02m\n\0\0") => Utf8Control;
    mqtt_1_5_4_non_character_of_the_block: V311, 0x30, b"\0\x03\xEF\xB7\x90" => Utf8NonCharacter;
    mqtt_1_5_4_non_character_last: V311, 0x30, b"\0\x03\xEF\xBF\xBF" => Utf8NonCharacter;
    mqtt_1_5_4_non_character_of_a_plane: V5, 0x82, b"\0\x01\0\0\x04\xF0\x9F\xBF\xBE\0" => Utf8NonCharacter;
    mqtt_2_2_1_3_publish: V311, 0x32, b"\0\x01a\0\0" => PacketIdZero;
    mqtt_2_2_1_3_subscribe: V5, 0x82, b"\0\0\0\0\x01a\0" => PacketIdZero;
    mqtt_2_2_1_3_unsubscribe: V311, 0xA2, b"\0\0\0\x01a" => PacketIdZero;
    mqtt_2_2_1_3_puback: V311, 0x40, b"\0\0" => PacketIdZero;
    mqtt_3_4_2_1_puback: V5, 0x40, b"\0\x01\x92" => ReasonCodeInvalid;
    mqtt_3_6_2_1_pubrel: V5, 0x62, b"\0\x01\x10" => ReasonCodeInvalid;
    mqtt_3_14_2_1_disconnect: V5, 0xE0, b"\x01" => ReasonCodeInvalid;
    mqtt_3_15_2_1_auth: V5, 0xF0, b"\x87\0" => ReasonCodeInvalid;
    mqtt_3_9_3_suback_before_5: V311, 0x90, b"\0\x01\x87" => ReasonCodeInvalid;
    mqtt_3_11_3_2_unsuback: V5, 0xB0, b"\0\x01\0\x01" => ReasonCodeInvalid;
    mqtt_3_2_2_8_connack: V5, 0x20, b"\0\x8D\0" => ReasonCodeInvalid;
    mqtt_3_2_2_3_connack_before_5: V311, 0x20, b"\0\x06" => ReasonCodeInvalid;

    mqtt_2_2_2_2_unknown: V5, 0x30, b"\0\x01a\x02\x7F\0" => PropertyUnknown;
    mqtt_2_2_2_2_unknown_of_two_bytes: V5, 0x30, b"\0\x01a\x03\x81\x01\0" => PropertyUnknown;
    mqtt_2_2_2_2_misplaced: V5, 0x30, b"\0\x01a\x05\x11\0\0\0\x01" => PropertyMisplaced;
    mqtt_2_2_2_2_will_delay_in_connect: V5, 0x10, connect5(2, b"\x05\x18\0\0\0\x01\0\0") => PropertyMisplaced;
    mqtt_2_2_2_2_subscription_id_in_unsubscribe: V5, 0xA2, b"\0\x01\x02\x0B\x01\0\x01a" => PropertyMisplaced;
    mqtt_2_2_2_2_repeated: V5, 0x30, b"\0\x01a\x06\x23\0\x01\x23\0\x02" => PropertyRepeated;
    mqtt_3_8_2_1_2_repeated: V5, 0x82, b"\0\x01\x04\x0B\x01\x0B\x02\0\x01a\0" => PropertyRepeated;
    mqtt_3_3_2_3_2_payload_format: V5, 0x30, b"\0\x01a\x02\x01\x02" => PropertyFlagInvalid;
    mqtt_3_1_2_11_6_request_response: V5, 0x10, connect5(2, b"\x02\x19\x02\0\0") => PropertyFlagInvalid;
    mqtt_3_2_2_3_4_maximum_qos: V5, 0x20, b"\0\0\x02\x24\x02" => PropertyFlagInvalid;
    mqtt_3_1_2_11_3: V5, 0x10, connect5(2, b"\x03\x21\0\0\0\0") => ReceiveMaximumZero;
    mqtt_3_1_2_11_4: V5, 0x10, connect5(2, b"\x05\x27\0\0\0\0\0\0") => MaximumPacketSizeZero;
    mqtt_3_3_2_8: V5, 0x30, b"\0\x01a\x03\x23\0\0" => TopicAliasZero;
    mqtt_3_8_2_1_2_zero: V5, 0x82, b"\0\x01\x02\x0B\0\0\x01a\0" => SubscriptionIdZero;
    mqtt_3_3_2_14_wildcard: V5, 0x30, b"\0\x01a\x04\x08\0\x01#" => ResponseTopicInvalid;
    mqtt_3_3_2_14_empty: V5, 0x30, b"\0\x01a\x03\x08\0\0" => ResponseTopicInvalid;
    mqtt_3_1_2_11_10: V5, 0x10, connect5(2, b"\x04\x16\0\x01d\0\0") => AuthenticationMethodMissing;
    mqtt_3_15_2_2_2: V5, 0xF0, b"\x18\0" => AuthenticationMethodMissing;

    mqtt_3_1_2_1_name: V5, 0x10, b"\0\x04MQTX\x04\x02\0\x3C\0\0" => ProtocolNameUnknown;
    mqtt_3_1_2_1_http: V5, 0x10, b"GET / HTTP/1.1\r\n\r\n" => Truncated;
    mqtt_3_1_2_2_level: V5, 0x10, b"\0\x04MQTT\x06\x02\0\x3C\0\0" => ProtocolLevelUnsupported;
    mqtt_3_1_2_2_bridge_bit: V5, 0x10, b"\0\x04MQTT\x85\x02\0\x3C\0\0\0" => ProtocolLevelUnsupported;
    mqtt_3_1_2_2_bridge_bit_of_another_level: V5, 0x10, b"\0\x04MQTT\x83\x02\0\x3C\0\0" => ProtocolLevelUnsupported;
    mqtt_3_1_2_2_level_of_the_other_name: V5, 0x10, b"\0\x06MQIsdp\x04\x02\0\x3C\0\0" => ProtocolLevelUnsupported;
    mqtt_3_1_2_3: V311, 0x10, connect4(3, b"\0\x01c") => ConnectFlagReserved;
    mqtt_3_1_2_11_qos: V311, 0x10, connect4(0x0A, b"\0\x01c") => WillFlagsWithoutWill;
    mqtt_3_1_2_13_retain: V5, 0x10, connect5(0x22, b"\0\0\x01c") => WillFlagsWithoutWill;
    mqtt_3_1_2_12: V311, 0x10, connect4(0x1E, b"\0\x01c\0\x01t\0\0") => WillQosReserved;
    mqtt_3_1_3_3_wildcard: V311, 0x10, connect4(0x06, b"\0\x01c\0\x01+\0\0") => WillTopicInvalid;
    mqtt_3_1_3_3_empty: V5, 0x10, connect5(0x06, b"\0\0\x01c\0\0\0\0\0") => WillTopicInvalid;
    mqtt_3_1_2_22: V311, 0x10, connect4(0x42, b"\0\x01c\0\x01p") => PasswordWithoutUsername;
    mqtt_3_2_2_1: V311, 0x20, b"\x02\0" => ConnackFlagsReserved;
    mqtt_3_2_2_6: V311, 0x20, b"\x01\x05" => SessionPresentRefused;

    mqtt_4_7_3_1_topic: V311, 0x30, b"\0\0" => TopicEmpty;
    mqtt_3_3_2_1_no_alias: V5, 0x30, b"\0\0\0" => TopicEmpty;
    mqtt_3_3_2_2_plus: V311, 0x30, b"\0\x03a/+" => TopicWildcard;
    mqtt_3_3_2_2_hash: V5, 0x30, b"\0\x03a/#\0" => TopicWildcard;
    mqtt_3_8_3_2: V311, 0x82, b"\0\x01" => FiltersMissing;
    mqtt_3_10_3_2: V5, 0xA2, b"\0\x01\0" => FiltersMissing;
    mqtt_4_7_3_1_filter: V311, 0x82, b"\0\x01\0\0\0" => FilterInvalid;
    mqtt_4_7_1_1: V5, 0x82, b"\0\x01\0\0\x03#/a\0" => FilterInvalid;
    mqtt_4_7_1_2: V311, 0xA2, b"\0\x01\0\x02a+" => FilterInvalid;
    mqtt_4_8_2_1: V5, 0x82, b"\0\x01\0\0\x09$share//a\0" => ShareInvalid;
    mqtt_4_8_2_2: V5, 0xA2, b"\0\x01\0\0\x09$share/g/" => ShareInvalid;
    mqtt_3_8_3_4: V5, 0x82, b"\0\x01\0\0\x0A$share/g/a\x04" => ShareNoLocal;
    mqtt_3_8_3_1_qos: V5, 0x82, b"\0\x01\0\0\x01a\x03" => SubscribeQosReserved;
    mqtt_3_8_3_5: V5, 0x82, b"\0\x01\0\0\x01a\x40" => SubscribeOptionsReserved;
    mqtt_3_8_3_5_before_5: V311, 0x82, b"\0\x01\0\x01a\x04" => SubscribeOptionsReserved;
    mqtt_3_8_3_1_retain_handling: V5, 0x82, b"\0\x01\0\0\x01a\x30" => RetainHandlingReserved;
    mqtt_3_8_4_5: V311, 0x90, b"\0\x01" => ReasonCodesMissing;
    mqtt_3_11_3_1: V5, 0xB0, b"\0\x01\0" => ReasonCodesMissing;
}

/// The code points that libmosquitto's `mosquitto_validate_utf8` refuses, all of them looked at.
#[test]
fn mqtt_1_5_4_each_code_point() {
    for letter in (0..=0x10_FFFF).filter_map(char::from_u32) {
        let code = u32::from(letter);
        let refused = code < 0x20
            || (0x7F..=0x9F).contains(&code)
            || (0xFDD0..=0xFDEF).contains(&code)
            || code & 0xFFFF >= 0xFFFE;
        let mut bytes = [0; 4];
        let text = letter.encode_utf8(&mut bytes).as_bytes();
        let body = [&[0, text.len() as u8], text].concat();
        let publish = framed(0x30, &body);
        let decoded = decode_one(V311, &publish);
        let is_wildcard = matches!(letter, '+' | '#');
        assert_eq!(decoded.is_err(), refused || is_wildcard, "U+{code:04X}");
        let body = [&[0, 1, 0, text.len() as u8], text, &[0]].concat();
        let subscribe = framed(0x82, &body);
        let decoded = decode_one(V311, &subscribe);
        assert_eq!(decoded.is_err(), refused, "U+{code:04X}");
    }
}

/// What a string may be beside: binary data, and characters that only look odd.
#[test]
fn mqtt_1_5_4_binary_data_and_other_characters_stay() {
    let connect = framed(
        0x10,
        &connect4(0xC6, b"\0\x01c\0\x01w\0\x01\n\0\x01u\0\x02\0\n"),
    );
    assert!(matches!(
        decode_one(V311, &connect),
        Ok(Packet::Connect(connect)) if connect.password == Some(b"\0\n")
    ));
    let publish = framed(0x30, b"\0\x01a\x05\x09\0\x02\0\n");
    assert!(decode_one(V5, &publish).is_ok());
    let topic = "\u{A0}\u{AD}\u{200B}\u{202E}\u{2028}\u{FEFF}\u{E000}\u{FFFD}\u{10FFFD}";
    let body = [&[0, topic.len() as u8], topic.as_bytes()].concat();
    assert!(decode_one(V311, &framed(0x30, &body)).is_ok());
}

#[test]
fn mqtt_1_5_5_length_of_five_bytes() {
    assert_eq!(
        frame(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF], u32::MAX),
        Err(VarintTooLong)
    );
    assert_eq!(
        frame(&[0x30, 0x80, 0x80, 0x80, 0x80, 0x00], u32::MAX),
        Err(VarintTooLong)
    );
    let subscription_id = framed(0x82, b"\0\x01\x06\x0B\x80\x80\x80\x80\x01\0\x01a\0");
    assert_eq!(decode_one(V5, &subscription_id), Err(VarintTooLong));
}

#[test]
fn mqtt_1_5_5_1_more_bytes_than_needed() {
    let padded_length = [0xC0, 0x80, 0x00];
    assert_eq!(decode_one(V5, &padded_length), Err(VarintNotMinimal));
    assert_eq!(decode_one(V311, &padded_length), Ok(Packet::Pingreq));
    let subscription_id = framed(0x82, b"\0\x01\x03\x0B\x81\x00\0\x01a\0");
    assert_eq!(decode_one(V5, &subscription_id), Err(VarintNotMinimal));
}

#[test]
fn mqtt_3_2_2_15_as_soon_as_the_length_is_known() {
    assert_eq!(frame(&[0x30, 0x63], 100), Err(PacketTooLarge));
    assert_eq!(
        frame(&[0x30, 0x62], 100),
        Ok(FrameStatus::Incomplete {
            total_len: Some(100)
        })
    );
    assert_eq!(PacketTooLarge.reason(), ReasonCode::PACKET_TOO_LARGE);
}

#[test]
fn mqtt_4_7_3_levels() {
    let levels = crate::limits::TOPIC_LEVELS_MAX;
    assert_eq!(levels, 201);
    for (slashes, too_deep) in [(levels - 1, false), (levels, true)] {
        let topic = "/".repeat(slashes);
        let mut publish = vec![0; 3 + 2 + slashes];
        let head = PublishHead {
            topic: topic.as_bytes(),
            ..super::round_trip::HEAD
        };
        publish.truncate(head.head_len());
        head.write_head(&mut publish);
        assert_eq!(
            decode_one(V311, &publish).err(),
            too_deep.then_some(TopicTooDeep)
        );

        let mut subscribe = Vec::new();
        let filters = [(topic.as_str(), SubscribeOptions::default())];
        let out = SubscribeOut {
            packet_id: id(1),
            subscription_id: None,
            user_properties: &[],
            filters: &filters,
        };
        out.encode(V311, &mut subscribe);
        assert_eq!(
            decode_one(V311, &subscribe).err(),
            too_deep.then_some(FilterTooDeep)
        );
    }
}

#[test]
fn mqtt_3_1_has_looser_headers_and_connects() {
    // DUP on a repeated SUBSCRIBE, UNSUBSCRIBE or PUBREL; flags that are "not used" on a PUBACK.
    assert!(decode_one(V31, &framed(0x8A, b"\0\x01\0\x01a\0")).is_ok());
    assert!(decode_one(V31, &framed(0xAA, b"\0\x01\0\x01a")).is_ok());
    assert!(decode_one(V31, &framed(0x6A, b"\0\x01")).is_ok());
    assert!(decode_one(V31, &framed(0x42, b"\0\x01")).is_ok());
    // "The User Name flag is set, but the User Name string is missing. This is valid."
    let connect = framed(0x10, b"\0\x06MQIsdp\x03\xC2\0\x3C\0\x01c");
    let Ok(Packet::Connect(connect)) = decode_one(V311, &connect) else {
        panic!("a CONNECT")
    };
    assert_eq!(
        (connect.version, connect.username, connect.password),
        (V31, None, None)
    );
}

/// Mosquitto's bridges say what they are by a bit of the level.
#[test]
fn bridges_are_told_from_other_clients() {
    for (body, version, expected) in [
        (&b"\0\x06MQIsdp\x03\x02\0\x3C\0\x01c"[..], V31, false),
        (b"\0\x06MQIsdp\x83\x02\0\x3C\0\x01c", V31, true),
        (b"\0\x04MQTT\x04\x02\0\x3C\0\x01c", V311, false),
        (b"\0\x04MQTT\x84\x02\0\x3C\0\x01c", V311, true),
    ] {
        let packet = framed(0x10, body);
        let Ok(Packet::Connect(connect)) = decode_one(V5, &packet) else {
            panic!("a CONNECT")
        };
        assert_eq!((connect.version, connect.is_bridge), (version, expected));
        assert_eq!(connect_version_hint(&packet), Some(version));
    }
}

#[test]
fn mqtt_3_1_2_2_answered_in_the_form_of_the_client() {
    let hint = |body: &[u8]| connect_version_hint(&framed(0x10, body));
    assert_eq!(hint(b"\0\x06MQIsdp\x03"), Some(V31));
    assert_eq!(hint(b"\0\x04MQTT\x04"), Some(V311));
    assert_eq!(hint(b"\0\x04MQTT\x05"), Some(V5));
    assert_eq!(hint(b"\0\x04MQTT\x06"), Some(V311));
    assert_eq!(hint(b"\0\x04MQTT"), None);
    assert_eq!(hint(b"\0\x04HTTP\x04"), None);
    assert_eq!(
        connect_version_hint(b"\x10\xFF\xFF\xFF\x7F\0\x04MQTT\x05"),
        Some(V5)
    );
    assert_eq!(connect_version_hint(b"\x30\x07\0\x04MQTT\x05"), None);
    assert_eq!(connect_version_hint(b""), None);
}

#[test]
fn errors_tell_reason_statement_and_words() {
    for error in DecodeError::ALL {
        assert!(error.reason().is_error());
        assert!(error.statement().starts_with("MQTT"));
        assert_eq!(
            error.to_string(),
            format!("{} [{}]", error.text(), error.statement())
        );
    }
    assert_eq!(ReasonCode::TOPIC_ALIAS_INVALID, TopicAliasZero.reason());
}
