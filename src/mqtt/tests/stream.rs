//! A stream of packets cut anywhere gives the same packets.

use proptest::prelude::*;

use super::*;

/// Packets of each kind that clients send, one after the other, with the length of each.
fn conversation(version: Version, payload: &[u8]) -> (Vec<u8>, Vec<usize>) {
    let (mut stream, mut lengths) = (Vec::new(), Vec::new());
    let mut packet = |write: &dyn Fn(&mut Vec<u8>)| {
        let before = stream.len();
        write(&mut stream);
        lengths.push(stream.len() - before);
    };
    let user_properties = [("name", "value")];
    packet(&|out| {
        let connect = ConnectOut {
            client_id: "client",
            username: Some("me"),
            keep_alive: 60,
            ..Default::default()
        };
        connect.encode(version, out);
    });
    packet(&|out| {
        let filters = [
            ("a/#", SubscribeOptions::default()),
            ("$share/g/b", SubscribeOptions::with_qos(QoS::AtLeastOnce)),
        ];
        let subscription_id = Some(300);
        SubscribeOut {
            packet_id: id(1),
            subscription_id,
            user_properties: &user_properties,
            filters: &filters,
        }
        .encode(version, out);
    });
    packet(&|out| {
        let head = PublishHead {
            version,
            qos: QoS::AtLeastOnce,
            packet_id: Some(id(2)),
            message_expiry: Some(7),
            payload_len: payload.len(),
            ..super::round_trip::HEAD
        };
        let start = out.len();
        out.resize(start + head.head_len(), 0);
        head.write_head(&mut out[start..]);
        out.extend_from_slice(payload);
    });
    packet(&|out| {
        AckOut {
            kind: AckKind::Pubrel,
            packet_id: id(3),
            reason: ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
            reason_string: None,
        }
        .encode(version, out)
    });
    packet(&encode_pingreq);
    packet(&|out| {
        UnsubscribeOut {
            packet_id: id(4),
            user_properties: &[],
            filters: &["a/#"],
        }
        .encode(version, out);
    });
    packet(&|out| DisconnectOut::default().encode(version, out));
    (stream, lengths)
}

/// Cuts packets from `buffer` as a connection does; gives their lengths.
fn drain(version: Version, buffer: &mut Vec<u8>) -> Vec<usize> {
    let mut lengths = Vec::new();
    loop {
        match frame(buffer, u32::MAX).unwrap() {
            FrameStatus::Complete(frame) => {
                decode(version, &buffer[..frame.total_len], &frame).unwrap();
                buffer.drain(..frame.total_len);
                lengths.push(frame.total_len);
            }
            FrameStatus::Incomplete { total_len } => {
                assert!(total_len.is_none_or(|len| len > buffer.len()));
                return lengths;
            }
        }
    }
}

#[test]
fn byte_by_byte() {
    for version in Version::ALL {
        let (stream, expected) = conversation(version, &[7; 200]);
        let (mut buffer, mut lengths) = (Vec::new(), Vec::new());
        for &byte in &stream {
            buffer.push(byte);
            lengths.extend(drain(version, &mut buffer));
        }
        assert_eq!(lengths, expected);
        assert!(buffer.is_empty());
    }
}

proptest! {
    #[test]
    fn cut_anywhere(
        version in prop::sample::select(&Version::ALL[..]),
        payload in 0..20_000usize,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let (stream, expected) = conversation(version, &vec![0x55; payload]);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let (mut buffer, mut lengths) = (Vec::new(), Vec::new());
        for cut in cuts.windows(2) {
            buffer.extend_from_slice(&stream[cut[0]..cut[1]]);
            lengths.extend(drain(version, &mut buffer));
        }
        prop_assert_eq!(lengths, expected);
    }

    #[test]
    fn a_packet_cut_short_is_refused_or_shorter(cut in any::<prop::sample::Index>()) {
        // Bytes missing inside a frame whose length agrees: never a panic, whatever is left of the packet.
        for version in Version::ALL {
            let (stream, lengths) = conversation(version, b"payload");
            let mut rest = &stream[..];
            for len in lengths {
                let (packet, after) = rest.split_at(len);
                rest = after;
                let total_len = 2 + cut.index(len - 1);
                let frame = Frame { first: packet[0], header_len: 2, total_len: total_len.min(len) };
                let _ = decode(version, &packet[..frame.total_len], &frame);
            }
        }
    }
}

#[test]
fn a_frame_that_is_none_is_refused() {
    let packet = [0xC0, 0x00];
    for (header_len, total_len) in [(2, 3), (3, 2), (9, 9), (usize::MAX, usize::MAX), (0, 0)] {
        let frame = Frame {
            first: 0xC1,
            header_len,
            total_len,
        };
        assert!(decode(Version::V5, &packet, &frame).is_err());
    }
}
