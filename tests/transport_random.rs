//! The fuzz targets of transports and access files without a fuzzer: bytes from a seed, and samples with some of their
//! bytes changed.

#[path = "../fuzz/src/files.rs"]
mod files;
#[path = "../fuzz/src/transport.rs"]
mod transport;

use proptest::prelude::*;

const REQUEST: &str = "GET /mqtt HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

const ACCESS: &str = "topic read a/#\nuser me\ntopic readwrite b/+\npattern write %u/%c\n\
    me:$7$101$MTIzNDU2Nzg5MDEy$MTIzNDU2Nzg5MDEy\n";

const CONFIGURATION: &str = "per_listener_settings true\nlistener 1883 localhost\nprotocol websockets\nmax_connections -1\n\
    clientid_prefixes a\nlistener 8883\ntls_version tlsv1.3\nciphers x:y\nmax_publish_rate 5/s\nlog_type all\n";

const WITH_TLS: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x1c\xc0\0\x02\x07\xc0\0\x02\x01\x13\x88\x07\x5b\
    \x20\0\x0d\x07\0\0\0\0\x22\0\x05infra";

/// A masked frame with an opcode and FIN at random.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        Just(0x82u8),
        Just(0x02),
        Just(0x00),
        Just(0x80),
        Just(0x89),
        Just(0x8a),
        Just(0x88)
    ];
    let payload = prop::collection::vec(any::<u8>(), 0..126);
    (first, any::<[u8; 4]>(), payload).prop_map(|(first, key, payload)| {
        [&[first, 0x80 | payload.len() as u8], &key[..], &payload].concat()
    })
}

/// A sample with one byte changed, perhaps, and bytes behind it.
fn changed(sample: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let behind = prop::collection::vec(any::<u8>(), 0..50);
    (any::<u8>(), 0..2 * sample.len(), any::<u8>(), behind).prop_map(
        move |(size, at, byte, behind)| {
            let mut bytes = sample.clone();
            if let Some(old) = bytes.get_mut(at) {
                *old = byte;
            }
            [&[size], &bytes[..], &behind].concat()
        },
    )
}

proptest! {
    #[test]
    fn anything(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        transport::frames(&bytes);
        transport::upgrade(&bytes);
        transport::proxy(&bytes);
        files::access(&bytes);
    }

    #[test]
    fn frames(size in any::<u8>(), frames in prop::collection::vec(frame(), 0..20)) {
        transport::frames(&[&[size], &frames.concat()[..]].concat());
    }

    #[test]
    fn requests(bytes in changed(REQUEST.into())) {
        transport::upgrade(&bytes);
    }

    #[test]
    fn headers_1(bytes in changed(b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 1883\r\n".into())) {
        transport::proxy(&bytes);
    }

    #[test]
    fn headers_2(bytes in changed(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\xc0\0\x02\x07\xc0\0\x02\x01\x13\x88\x07\x5b\x04\0\0".into())) {
        transport::proxy(&bytes);
    }

    #[test]
    fn headers_2_with_tls(bytes in changed(WITH_TLS.into())) {
        transport::proxy(&bytes);
    }

    #[test]
    fn configurations(bytes in changed(CONFIGURATION.into())) {
        files::configuration(&bytes);
    }

    #[test]
    fn access_files(bytes in changed(ACCESS.into())) {
        files::access(&bytes[1..]);
    }
}
