//! Headers of both versions, whole and in pieces.

use super::*;

fn version_2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = STARTS[1].to_vec();
    bytes.extend([0x20 | command, family]);
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend(body);
    bytes
}

type Read = (Vec<u8>, Told);

/// Feeds in pieces; the rest behind the header, and what it tells.
fn feed(bytes: &[u8], size: usize) -> Result<Option<Read>, Failure> {
    let mut header = Header::new();
    let mut at = 0;
    for part in bytes.chunks(size) {
        if let Some((used, told)) = header.receive(part)? {
            return Ok(Some((bytes[at + used..].to_vec(), told)));
        }
        at += part.len();
    }
    Ok(None)
}

#[test]
fn headers_are_read_however_they_are_split() {
    let v4: SocketAddr = "192.0.2.7:5000".parse().unwrap();
    let v6: SocketAddr = "[2001:db8::7]:5000".parse().unwrap();
    let body_4 = [&[192, 0, 2, 7, 192, 0, 2, 1][..], &[0x13, 0x88, 0x07, 0x5b]].concat();
    let mut body_6 = [0u8; 36];
    body_6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    (body_6[15], body_6[32], body_6[33]) = (7, 0x13, 0x88);
    let with_tlv = [&body_4[..], &[4, 0, 3, 1, 2, 3]].concat();
    let cases = [
        (
            b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 1883\r\n".to_vec(),
            Some(v4),
        ),
        (
            b"PROXY TCP6 2001:db8::7 2001:db8::1 5000 1883\r\n".to_vec(),
            Some(v6),
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (version_2(1, 0x11, &body_4), Some(v4)),
        (version_2(1, 0x21, &body_6), Some(v6)),
        (version_2(1, 0x11, &with_tlv), Some(v4)),
        (version_2(0, 0x00, &[]), None),
        (version_2(0, 0x11, &body_4), None),
    ];
    for (header, source) in cases {
        for size in [1, 5, 1000] {
            let bytes = [&header[..], b"\x10behind"].concat();
            let (rest, found) = feed(&bytes, size).unwrap().unwrap();
            // Pieces that the header does not reach are not looked at.
            assert!(
                b"\x10behind".ends_with(&rest) || rest == b"\x10behind",
                "{header:?}"
            );
            assert_eq!(found.source, source, "{header:?}");
        }
    }
}

#[test]
fn what_is_no_header_is_refused_at_once() {
    for bytes in [
        &b"\x10\x10\0\x04MQTT"[..],
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"PROXX",
    ] {
        assert!(feed(bytes, 1).is_err(), "{bytes:?}");
    }
    assert!(feed(b"PROXY TCP4 1.2.3 4.5.6.7 1 2\r\n", 100).is_err());
    assert!(feed(&[&b"PROXY TCP4 "[..], &[b'1'; 5000]].concat(), 100).is_err());
}

#[test]
fn an_unfinished_header_waits_within_bounds() {
    assert_eq!(feed(b"PROXY TCP4 192.0", 3), Ok(None));
    let long = version_2(1, 0x11, &[0; 60_000]);
    assert!(feed(&long, 1000).is_err());
}

const ADDRESSES: [u8; 12] = [192, 0, 2, 7, 192, 0, 2, 1, 0x13, 0x88, 0x07, 0x5b];

fn field(kind: u8, value: &[u8]) -> Vec<u8> {
    let len = (value.len() as u16).to_be_bytes();
    [&[kind][..], &len, value].concat()
}

/// A header with what HAProxy's `send-proxy-v2-ssl-cn` adds.
fn with_tls(flags: u8, result: u32, name: Option<&str>) -> Vec<u8> {
    let mut value = vec![flags];
    value.extend(result.to_be_bytes());
    value.extend(field(0x21, b"TLSv1.3"));
    value.extend(name.iter().flat_map(|name| field(0x22, name.as_bytes())));
    version_2(1, 0x11, &[&ADDRESSES[..], &field(0x20, &value)].concat())
}

fn told(header: &[u8]) -> Told {
    feed(header, 7).unwrap().unwrap().1
}

/// A header, what is wanted, and what comes of it.
type Case<'a> = (&'a [u8], Rules, Result<Option<&'a str>, &'a str>);

#[test]
fn what_the_proxy_knows_of_tls_decides() {
    let plain = Rules::default();
    let tls = Rules {
        needs_tls: true,
        ..plain
    };
    let certified = Rules {
        needs_certificate: true,
        is_named: true,
        ..tls
    };
    let bare = version_2(1, 0x11, &ADDRESSES);
    let unspecified = version_2(1, 0x00, &[]);
    let local = version_2(0, 0x00, &[]);
    let line = b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 1883\r\n".to_vec();
    let no_tls = "client did not connect using TLS";
    let no_certificate = "client did not provide a certificate";
    let cases: [Case<'_>; 17] = [
        (&bare, plain, Ok(None)),
        (&bare, tls, Err(no_tls)),
        (&line, tls, Err(no_tls)),
        (&unspecified, plain, Ok(None)),
        (&unspecified, tls, Err(no_tls)),
        // The proxy itself is no client.
        (&local, certified, Ok(None)),
        (&with_tls(0, 0, None), tls, Err(no_tls)),
        (&with_tls(1, 0, None), tls, Ok(None)),
        (&with_tls(1, 0, None), certified, Err(no_certificate)),
        (&with_tls(7, 0, Some("infra")), certified, Ok(Some("infra"))),
        (&with_tls(5, 0, Some("infra")), certified, Ok(Some("infra"))),
        (&with_tls(5, 0, None), certified, Ok(None)),
        (&with_tls(5, 0, Some("")), certified, Ok(None)),
        // In this connection only, or not verified, or without TLS: nobody's.
        (
            &with_tls(3, 0, Some("infra")),
            certified,
            Err(no_certificate),
        ),
        (
            &with_tls(5, 18, Some("infra")),
            certified,
            Err(no_certificate),
        ),
        (&with_tls(4, 0, Some("infra")), certified, Err(no_tls)),
        (&with_tls(7, 0, Some("infra")), tls, Ok(None)),
    ];
    for (header, rules, expected) in cases {
        let admitted = rules.admit(&told(header));
        let admitted = admitted.as_ref().map(|name| name.as_deref());
        assert_eq!(
            admitted.map_err(|failure| failure.0),
            expected,
            "{header:?}"
        );
    }
    // A name that was not verified is nobody's, whether or not a certificate is wanted.
    let named = Rules {
        is_named: true,
        ..plain
    };
    let unverified = with_tls(5, 18, Some("admin"));
    assert_eq!(named.admit(&told(&unverified)), Ok(None));
}

#[test]
fn corrupt_headers_are_refused_as_soon_as_they_can_be_told() {
    let behind = |fields: &[u8]| version_2(1, 0x11, &[&ADDRESSES[..], fields].concat());
    let start = |command: u8, rest: &[u8]| [STARTS[1], &[command], rest].concat();
    for bytes in [
        // A version, a command, a family and a length that are not: nothing more is waited for.
        start(0x31, &[]),
        start(0x22, &[]),
        start(0x21, &[0x13]),
        start(0x21, &[0x51]),
        start(0x21, &[0x11, 0, 11]),
        start(0x21, &[0x21, 0, 12]),
        start(0x21, &[0x31, 0, 215]),
        start(0x21, &[0x11, 0x10, 0]),
        [b"PROXY TCP4 ".as_slice(), &[b'1'; 96]].concat(),
        // Fields that end early, outside and inside.
        behind(&[4]),
        behind(&[4, 0]),
        behind(&[4, 0, 3, 1, 2]),
        behind(&field(0x20, &[1, 0, 0, 0])),
        behind(&field(0x20, &[1, 0, 0, 0, 0, 0x22])),
        behind(&field(0x20, &[1, 0, 0, 0, 0, 0x22, 0, 2, b'x'])),
        behind(&field(0x20, &[1, 0, 0, 0, 0, 0x22, 0, 1, 0xff])),
        // A checksum that is wrong, or none.
        behind(&field(3, &[1, 2, 3, 4])),
        behind(&field(3, &[1, 2, 3])),
    ] {
        for size in [1, 1000] {
            let failure = feed(&bytes, size).expect_err(&format!("{bytes:?}"));
            assert!(failure.0.starts_with("corrupt PROXY header"), "{failure}");
        }
    }
    // LOCAL is accepted whatever else it says, and so is a family that nobody knows.
    for bytes in [
        version_2(0, 0x77, &[1, 2, 3]),
        version_2(0, 0x11, &[4, 0, 9]),
        version_2(1, 0x00, &[4, 0, 9]),
    ] {
        let (_, told) = feed(&bytes, 1).unwrap().unwrap();
        assert_eq!((told.source, told.tls), (None, None), "{bytes:?}");
    }
}

#[test]
fn a_checksum_that_is_right_is_accepted() {
    // Worked out by other means, over a header whose checksum is zero.
    const CHECKSUM: [u8; 4] = [0x7f, 0xf1, 0x13, 0xbe];
    let mut header = version_2(1, 0x11, &[&ADDRESSES[..], &field(3, &[0; 4])].concat());
    let at = header.len() - 4;
    header[at..].copy_from_slice(&CHECKSUM);
    assert!(told(&header).source.is_some());
    header[at - 5] ^= 1;
    assert!(feed(&header, 100).is_err());
}
