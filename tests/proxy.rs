//! What a proxy tells of its clients' TLS decides who is let in and as whom; what cannot be read is closed at once.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use support::{PATIENCE, Server, free_port};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn header(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u16).to_be_bytes();
    [SIGNATURE, &[command, family], &len, body].concat()
}

/// As HAProxy's `send-proxy-v2-ssl-cn`; `verify` is the result of looking at the certificate.
fn with_tls(flags: u8, verify: u8, name: &str) -> Vec<u8> {
    let name = name.as_bytes();
    let mut body = vec![192, 0, 2, 7, 192, 0, 2, 1, 0x13, 0x88, 0x07, 0x5b];
    body.extend([0x20, 0, 8 + name.len() as u8, flags, 0, 0, 0, verify]);
    body.extend([0x22, 0, name.len() as u8]);
    body.extend(name);
    header(0x21, 0x11, &body)
}

/// What comes back for a header and a CONNECT behind it, to the end or to the fourth byte.
fn answer(port: u16, header: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let connect = b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01a";
    let _ = stream.write_all(&[header, connect].concat());
    let mut answer = Vec::new();
    let _ = stream.take(4).read_to_end(&mut answer);
    answer
}

const ACCEPTED: &[u8] = &[0x20, 2, 0, 0];

#[test]
fn tls_of_the_proxys_clients_decides() {
    let [plain, tls, certified] = [free_port(), free_port(), free_port()];
    let text = format!(
        "listener {plain} 127.0.0.1\nallow_anonymous true\nenable_proxy_protocol 2\n\
         listener {tls} 127.0.0.1\nallow_anonymous true\nenable_proxy_protocol 2\nproxy_protocol_v2_require_tls true\n\
         listener {certified} 127.0.0.1\nallow_anonymous false\nenable_proxy_protocol 2\n\
         proxy_protocol_v2_require_tls true\nrequire_certificate true\nuse_identity_as_username true"
    );
    let lines: Vec<&str> = text.lines().collect();
    let server = Server::under_test(2, &[&["per_listener_settings true"], &lines[..]].concat());
    let bare = header(
        0x21,
        0x11,
        &[192, 0, 2, 7, 192, 0, 2, 1, 0x13, 0x88, 0x07, 0x5b],
    );
    let local = header(0x20, 0, &[]);
    let unspecified = header(0x21, 0, &[]);
    let line = b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 1883\r\n".to_vec();
    let refused: &[u8] = &[];
    for (port, header, expected) in [
        (plain, &bare, ACCEPTED),
        (plain, &line, ACCEPTED),
        (plain, &local, ACCEPTED),
        (plain, &unspecified, ACCEPTED),
        (tls, &local, ACCEPTED),
        (tls, &with_tls(1, 0, ""), ACCEPTED),
        (tls, &bare, refused),
        (tls, &line, refused),
        (tls, &unspecified, refused),
        (certified, &with_tls(7, 0, "infra"), ACCEPTED),
        (certified, &with_tls(1, 0, ""), refused),
        (certified, &with_tls(7, 19, "infra"), refused),
        (certified, &bare, refused),
    ] {
        let text = format!("{port} {header:?}: {}", server.log());
        assert_eq!(answer(port, header), expected, "{text}");
    }
    // The proxy itself is let through, but has no name to come in with.
    assert_ne!(answer(certified, &local), ACCEPTED);
    let started = Instant::now();
    let words = [
        "client did not connect using TLS",
        "client did not provide a certificate",
        "192.0.2.7",
        "infra",
    ];
    while let Some(missing) = words.iter().find(|words| !server.log().contains(**words)) {
        assert!(started.elapsed() < PATIENCE, "{missing}: {}", server.log());
    }
}

#[test]
fn what_cannot_be_a_header_is_closed_at_once() {
    let port = free_port();
    let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\nenable_proxy_protocol 2");
    let lines: Vec<&str> = text.lines().collect();
    let server = Server::under_test(1, &lines);
    let started = Instant::now();
    // None of them is whole: who waited for the rest would wait for CONNECT's time to be over.
    for start in [
        [SIGNATURE, &[0x31]].concat(),
        [SIGNATURE, &[0x21, 0x51]].concat(),
        [SIGNATURE, &[0x21, 0x11, 0, 11]].concat(),
        [SIGNATURE, &[0x21, 0x11, 0xff, 0xff]].concat(),
        [b"PROXY TCP4 ".as_slice(), &[b'1'; 96]].concat(),
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&start).unwrap();
        let end = stream.read(&mut [0]);
        assert!(matches!(end, Ok(0)), "{start:?}: {end:?} {}", server.log());
    }
    // A field that is cut short, in a header that is whole.
    let addresses = [192, 0, 2, 7, 192, 0, 2, 1, 0x13, 0x88, 0x07, 0x5b];
    let cut = header(0x21, 0x11, &[&addresses[..], &[4, 0, 9]].concat());
    assert!(answer(port, &cut).is_empty());
    assert!(started.elapsed().as_millis() < u128::from(firehose::limits::CONNECT_MS_MAX));
}
