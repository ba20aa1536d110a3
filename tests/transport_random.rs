//! The fuzz targets of transports and access files without a fuzzer: bytes from a seed, and samples with some of their
//! bytes changed.

#[path = "../fuzz/src/files.rs"]
mod files;
#[path = "../fuzz/src/transport.rs"]
mod transport;

use std::sync::LazyLock;

use firehose::transport::tls::judge_any;
use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

const REQUEST: &str = "GET /mqtt HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

const ACCESS: &str = "topic read a/#\nuser me\ntopic readwrite b/+\npattern write %u/%c\n\
    me:$7$101$MTIzNDU2Nzg5MDEy$MTIzNDU2Nzg5MDEy\n";

const CONFIGURATION: &str = "per_listener_settings true\nlistener 1883 localhost\nprotocol websockets\nmax_connections -1\n\
    clientid_prefixes a\nlistener 8883\ntls_version tlsv1.3\nciphers x:y\nmax_publish_rate 5/s\nlog_type all\n";

const WITH_TLS: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x1c\xc0\0\x02\x07\xc0\0\x02\x01\x13\x88\x07\x5b\
    \x20\0\x0d\x07\0\0\0\0\x22\0\x05infra";

/// A client's certificate, that of a root CA, and that of the CA between them.
static CHAIN: LazyLock<(Vec<u8>, Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params, KeyPair::generate().unwrap())
    };
    let ((root, root_key), (between, between_key)) = (authority("root"), authority("between"));
    let root_der = root.self_signed(&root_key).unwrap().der().to_vec();
    let root = Issuer::new(root, root_key);
    let between_der = between.signed_by(&between_key, &root).unwrap();
    let between = Issuer::new(between, between_key);
    let mut leaf = CertificateParams::new(vec!["a.example.org".into()]).unwrap();
    leaf.distinguished_name.push(DnType::CommonName, "infra");
    let leaf = leaf.signed_by(&KeyPair::generate().unwrap(), &between);
    let leaf = leaf.unwrap().der().to_vec();
    assert!(judge_any(&[&root_der], &leaf, &[between_der.der()]));
    (leaf, root_der, between_der.der().to_vec())
});

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
    fn certificates(at in 0..3000usize, by in 1u8.., bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        transport::certificates(&bytes);
        let (leaf, anchor, between) = &*CHAIN;
        let mut all: Vec<u8> = Vec::new();
        for part in [leaf, anchor, between] {
            all.extend((part.len() as u16).to_be_bytes());
            all.extend(part);
        }
        let at = at % all.len();
        all[at] ^= by;
        transport::certificates(&all);
        // Whatever is changed of what is signed: nobody is let in by it.
        let mut leaf = leaf.clone();
        let at = at % leaf.len();
        leaf[at] ^= by;
        assert!(!judge_any(&[anchor], &leaf, &[between]), "{at} {by}");
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
