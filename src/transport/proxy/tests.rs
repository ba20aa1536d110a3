//! Headers of both versions, whole and in pieces.

use super::*;

fn version_2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = STARTS[1].to_vec();
    bytes.extend([0x20 | command, family]);
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend(body);
    bytes
}

type Read = (Vec<u8>, Option<SocketAddr>);

/// Feeds in pieces; the rest behind the header, and the address.
fn feed(bytes: &[u8], size: usize) -> Result<Option<Read>, Failure> {
    let mut header = Header::new();
    let mut at = 0;
    for part in bytes.chunks(size) {
        if let Some((used, source)) = header.receive(part)? {
            return Ok(Some((bytes[at + used..].to_vec(), source)));
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
            assert_eq!(found, source, "{header:?}");
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
