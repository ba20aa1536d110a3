//! Handshakes in memory: our halves against each other, with certificates made here.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RevokedCertParams, SerialNumber,
    date_time_ymd,
};

use super::*;

/// A CA, and what it signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: Vec<u8>,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem().into_bytes();
        Authority {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    fn sign(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> CertifiedFiles {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.issuer).unwrap();
        CertifiedFiles {
            chain: chain.pem().into_bytes(),
            key: key.serialize_pem().into_bytes(),
        }
    }

    fn client(&self, serial: u64, change: impl FnOnce(&mut CertificateParams)) -> CertifiedFiles {
        self.sign(&[], |params| {
            params.serial_number = Some(SerialNumber::from(serial));
            params.distinguished_name.push(DnType::CountryName, "DE");
            params
                .distinguished_name
                .push(DnType::OrganizationName, "In, fra");
            params.distinguished_name.push(DnType::CommonName, "infra");
            change(params);
        })
    }

    fn revokes(&self, serial: u64) -> Vec<u8> {
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2025, 1, 1),
            next_update: date_time_ymd(2125, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: date_time_ymd(2025, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params
            .signed_by(&self.issuer)
            .unwrap()
            .pem()
            .unwrap()
            .into_bytes()
    }
}

/// A client of rustls with its own certificate, driven as our own.
struct Peer {
    connection: rustls::client::UnbufferedClientConnection,
    kept: Vec<u8>,
}

fn peer_plan(ca: &[u8], own: Option<&CertifiedFiles>) -> Arc<rustls::ClientConfig> {
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match own {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let chain = CertificateDer::pem_slice_iter(&files.chain);
            let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
            let key = PrivateKeyDer::from_pem_slice(&files.key).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    })
}

impl Peer {
    fn new(config: &Arc<rustls::ClientConfig>, name: &str, out: &mut Vec<u8>) -> Peer {
        let name = rustls_pki_types::ServerName::try_from(name.to_owned()).unwrap();
        let connection =
            rustls::client::UnbufferedClientConnection::new(config.clone(), name).unwrap();
        let mut peer = Peer {
            connection,
            kept: Vec::new(),
        };
        peer.receive(&[], out).unwrap();
        peer
    }

    fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Vec<u8>, rustls::Error> {
        self.kept.extend_from_slice(bytes);
        let mut plain = Vec::new();
        let (used, _) = pump::receive(&mut self.connection, &mut self.kept, out, &mut plain)?;
        self.kept.drain(..used);
        Ok(plain)
    }
}

/// What came of a connection.
struct End {
    tls: Tls,
    peer: Peer,
    received: Vec<u8>,
    failure: Option<String>,
    refusal: Option<rustls::Error>,
}

/// Lets both talk, in pieces of this size; the client says "hello" as soon as it can, the server answers "there".
fn talk(server: &Arc<Server>, config: &Arc<rustls::ClientConfig>, name: &str, size: usize) -> End {
    let mut to_server = Vec::new();
    let mut end = End {
        tls: Tls::new(server).unwrap(),
        peer: Peer::new(config, name, &mut to_server),
        received: Vec::new(),
        failure: None,
        refusal: None,
    };
    let (mut said, mut answered) = (false, false);
    for _ in 0..20 {
        let mut to_client = Vec::new();
        let bytes = std::mem::take(&mut to_server);
        for part in bytes.chunks(size) {
            let mut part = part.to_vec();
            let mut plain = Vec::new();
            let result = end.tls.receive(&mut part, &mut to_client, &mut |bytes| {
                plain.extend_from_slice(bytes);
            });
            end.received.extend(plain);
            if let Err(failure) = result {
                end.failure = Some(failure.to_string());
                break;
            }
        }
        if end.received == b"hello" && !answered {
            answered = true;
            end.tls.send(&[b"th", b"ere"], &mut to_client).unwrap();
        }
        for part in to_client.chunks(size) {
            match end.peer.receive(part, &mut to_server) {
                Ok(plain) => end.received.extend(plain),
                Err(error) => end.refusal = Some(error),
            }
        }
        if !end.peer.connection.is_handshaking() && !said && end.refusal.is_none() {
            said = true;
            let Peer { connection, kept } = &mut end.peer;
            pump::send(connection, kept, b"hello", &[5], &mut to_server).unwrap();
        }
        if to_server.is_empty() || end.failure.is_some() {
            break;
        }
    }
    end
}

const SIZES: [usize; 4] = [1, 7, 500, 100_000];

fn server(material: Material) -> Arc<Server> {
    Arc::new(Server::new(&material).unwrap_or_else(|error| panic!("{error}")))
}

fn material(authority: &Authority) -> Material {
    Material {
        certificates: vec![authority.sign(&["localhost"], |_| {})],
        ..Material::default()
    }
}

#[test]
fn both_sides_hear_each_other_however_the_bytes_are_split() {
    let ca = Authority::new("ca");
    for minimum in [Minimum::V12, Minimum::V13] {
        let server = server(Material {
            minimum,
            ..material(&ca)
        });
        let config = peer_plan(&ca.pem, None);
        for size in SIZES {
            let end = talk(&server, &config, "localhost", size);
            assert_eq!(end.failure, None);
            assert_eq!(end.received, b"hellothere", "{size}");
            assert_eq!(end.tls.held_bytes(), 0, "an idle connection owns no buffer");
            assert_eq!(end.tls.identity(), None);
        }
        let again = talk(&server, &config, "localhost", 1000);
        assert!(again.tls.summary().resumed);
        assert_eq!(again.received, b"hellothere");
    }
}

#[test]
fn certificates_of_clients_are_judged_and_name_them() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let by = |named_by, revocations: Vec<Vec<u8>>| {
        server(Material {
            authorities: vec![ca.pem.clone()],
            require_certificate: true,
            named_by,
            revocations,
            ..material(&ca)
        })
    };
    let good = ca.client(1, |_| {});
    let expired = ca.client(2, |params| params.not_after = date_time_ymd(2020, 1, 1));
    let revoked = ca.client(3, |_| {});
    let strange = other.client(1, |_| {});
    let list = ca.revokes(3);
    let cases: [(Option<&CertifiedFiles>, &str); 5] = [
        (Some(&good), ""),
        (Some(&expired), "has expired"),
        (Some(&revoked), "is revoked"),
        (Some(&strange), "is not from a CA"),
        (None, "has presented no certificate"),
    ];
    for (own, words) in cases {
        let server = by(NamedBy::CommonName, vec![list.clone()]);
        let config = peer_plan(&ca.pem, own);
        for size in SIZES {
            let end = talk(&server, &config, "localhost", size);
            match words {
                "" => {
                    assert_eq!(end.received, b"hellothere");
                    assert_eq!(end.tls.identity(), Some("infra"));
                }
                words => {
                    let failure = end.failure.unwrap();
                    assert!(failure.contains(words), "{failure}");
                    assert!(end.refusal.is_some() || !end.received.ends_with(b"there"));
                }
            }
        }
    }
    let server = by(NamedBy::Subject, Vec::new());
    let config = peer_plan(&ca.pem, Some(&good));
    for _ in 0..2 {
        // Also when the session goes on.
        let end = talk(&server, &config, "localhost", 1000);
        assert_eq!(end.tls.identity(), Some("O=In\\, fra,C=DE,CN=infra"));
    }
}

#[test]
fn clients_that_do_not_trust_the_server_say_so() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let server = server(material(&ca));
    for (trusted, name) in [(&other, "localhost"), (&ca, "example.org")] {
        for size in SIZES {
            let end = talk(&server, &peer_plan(&trusted.pem, None), name, size);
            let failure = end.failure.unwrap();
            assert!(failure.contains("ends TLS with the alert"), "{failure}");
        }
    }
}

#[test]
fn the_name_that_a_client_asks_for_chooses_the_certificate() {
    let ca = Authority::new("ca");
    let server = server(Material {
        certificates: vec![
            ca.sign(&["localhost"], |_| {}),
            ca.sign(&["bus.example.org", "*.wild.example.org"], |_| {}),
        ],
        ..Material::default()
    });
    for (name, is_there) in [
        ("localhost", true),
        ("bus.example.org", true),
        ("a.wild.example.org", true),
        ("a.b.wild.example.org", false),
        ("else.example.org", false),
    ] {
        let end = talk(&server, &peer_plan(&ca.pem, None), name, 1000);
        assert_eq!(end.failure.is_none(), is_there, "{name}");
    }
}

#[test]
fn strangers_are_told_apart() {
    let ca = Authority::new("ca");
    let server = server(material(&ca));
    for (bytes, words) in [
        (
            &b"\x10\x10\0\x04MQTT\x04\x02\0\0\0\0"[..],
            "MQTT without TLS",
        ),
        (b"GET / HTTP/1.1\r\n\r\n", "HTTP without TLS"),
        (b"\xff\xff\xff\xff\xff\xff", "does not speak TLS"),
    ] {
        let mut tls = Tls::new(&server).unwrap();
        let failure = tls.receive(&mut bytes.to_vec(), &mut Vec::new(), &mut |_| {});
        let failure = failure.unwrap_err().to_string();
        assert!(failure.contains(words), "{failure}");
    }
}

#[test]
fn material_that_cannot_be_used_is_named() {
    let ca = Authority::new("ca");
    let good = material(&ca);
    let (one, two) = (&good.certificates[0], ca.sign(&["x"], |_| {}));
    let files = |chain: &[u8], key: &[u8]| Material {
        certificates: vec![CertifiedFiles {
            chain: chain.into(),
            key: key.into(),
        }],
        ..Material::default()
    };
    let encrypted =
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let cases = [
        (files(b"", &one.key), "no certificate in it"),
        (files(&one.chain, b""), "no private key in it"),
        (files(&one.chain, &two.key), "not that of the certificate"),
        (files(&one.chain, encrypted), "encrypted"),
        (
            Material {
                require_certificate: true,
                ..good.clone()
            },
            "no CA certificate",
        ),
        (
            Material {
                ciphers: Some("NULL".into()),
                ciphers_v13: Some("NULL".into()),
                ..good.clone()
            },
            "cipher suite",
        ),
    ];
    for (material, words) in cases {
        let error = Server::new(&material).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(Server::new(&good).unwrap(), Server::new(&good).unwrap());
    assert_ne!(
        Server::new(&good).unwrap(),
        Server::new(&material(&ca)).unwrap()
    );
}

#[test]
fn goodbyes_are_heard() {
    let ca = Authority::new("ca");
    let mut end = talk(
        &server(material(&ca)),
        &peer_plan(&ca.pem, None),
        "localhost",
        1000,
    );
    let (mut out, mut back) = (Vec::new(), Vec::new());
    pump::close(&mut end.peer.connection, &mut end.peer.kept, &mut out);
    let progress = end.tls.receive(&mut out, &mut back, &mut |_| {}).unwrap();
    assert_eq!(progress, Progress::Closed);
    end.tls.close(&mut back);
    assert!(!back.is_empty());
}

/// rustls remembers where in the bytes that it was given the parts of a handshake message lie: records that carry half
/// of one, and then something to be sent, must not end the program.
#[test]
fn half_a_message_and_something_to_send() {
    let ca = Authority::new("ca");
    let server = server(material(&ca));
    let mut hello = Vec::new();
    Peer::new(&peer_plan(&ca.pem, None), "localhost", &mut hello);
    let body = &hello[5..];
    for cut in [1, 4, 50, body.len() - 1] {
        let mut tls = Tls::new(&server).unwrap();
        let mut record = vec![22, 3, 1];
        record.extend((cut as u16).to_be_bytes());
        record.extend(&body[..cut]);
        let mut out = Vec::new();
        tls.receive(&mut record, &mut out, &mut |_| {}).unwrap();
        tls.close(&mut out);
        assert!(tls.send(&[b"x"], &mut out).is_err());
        let garbage = tls.receive(&mut [0xff; 20], &mut out, &mut |_| {});
        assert!(garbage.is_err());
    }
}

#[test]
fn keys_of_rsa_work_too() {
    let ca = Authority::new("ca");
    let Ok(key) = KeyPair::generate_for(&PKCS_RSA_SHA256) else {
        return;
    };
    let params = CertificateParams::new(vec!["localhost".into()]).unwrap();
    let chain = params.signed_by(&key, &ca.issuer).unwrap();
    let server = server(Material {
        certificates: vec![CertifiedFiles {
            chain: chain.pem().into_bytes(),
            key: key.serialize_pem().into_bytes(),
        }],
        ..Material::default()
    });
    let end = talk(&server, &peer_plan(&ca.pem, None), "localhost", 1000);
    assert_eq!(end.received, b"hellothere");
}

/// What a hostile client may send: a handshake, and what follows, with some bytes changed.
fn talk_badly(
    server: &Arc<Server>,
    config: &Arc<rustls::ClientConfig>,
    at: usize,
    by: u8,
    size: usize,
) {
    let mut to_server = Vec::new();
    let mut peer = Peer::new(config, "localhost", &mut to_server);
    let mut tls = Tls::new(server).unwrap();
    let mut sent = 0;
    for round in 0..6 {
        let mut to_client = Vec::new();
        for part in std::mem::take(&mut to_server).chunks(size) {
            let mut part = part.to_vec();
            if (sent..sent + part.len()).contains(&at) {
                part[at - sent] ^= by;
            }
            sent += part.len();
            let _ = tls.receive(&mut part, &mut to_client, &mut |_| {});
            // At any moment the broker may want to send, or to close.
            let _ = tls.send(&[b"x"], &mut to_client);
        }
        if peer.receive(&to_client, &mut to_server).is_err() {
            break;
        }
        if !peer.connection.is_handshaking() && round < 4 {
            let Peer { connection, kept } = &mut peer;
            let _ = pump::send(connection, kept, b"hello", &[5], &mut to_server);
        }
    }
    tls.close(&mut Vec::new());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]
    #[test]
    fn no_bytes_end_the_program(at in 0usize..2000, by in 1u8.., size in 1usize..600, asks in proptest::bool::ANY) {
        static MADE: std::sync::LazyLock<(Authority, CertifiedFiles)> = std::sync::LazyLock::new(|| {
            let ca = Authority::new("ca");
            let own = ca.client(1, |_| {});
            (ca, own)
        });
        let (ca, own) = &*MADE;
        let server = server(Material {
            authorities: vec![ca.pem.clone()],
            require_certificate: asks,
            ..material(ca)
        });
        talk_badly(&server, &peer_plan(&ca.pem, Some(own)), at, by, size);
    }
}

/// Lengths of the records of a stream.
fn records(mut bytes: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let Some((header, rest)) = bytes.split_at_checked(5) {
        let len = usize::from(u16::from_be_bytes([header[3], header[4]]));
        lengths.push(len);
        bytes = &rest[len..];
    }
    assert!(bytes.is_empty());
    lengths
}

#[test]
fn parts_share_no_record() {
    let authority = Authority::new("ca");
    let server = server(material(&authority));
    let mut end = talk(
        &server,
        &peer_plan(&authority.pem, None),
        "localhost",
        1 << 16,
    );
    let plain: Vec<u8> = (0..40_000).map(|at| at as u8).collect();
    let (mut out, slices) = (Vec::new(), [&plain[..7], &plain[7..]]);
    end.tls.send(&slices, &mut out).unwrap();
    assert_eq!(records(&out).len(), 3);
    let together = std::mem::take(&mut out);
    end.tls
        .send_parts(&slices, &[2, 10, 20_000, 19_988], &mut out)
        .unwrap();
    let overhead = records(&together)[0] - (1 << 14);
    let payloads = records(&out).into_iter().map(|len| len - overhead);
    let expected = [
        2,
        10,
        1 << 14,
        20_000 - (1 << 14),
        1 << 14,
        19_988 - (1 << 14),
    ];
    assert_eq!(payloads.collect::<Vec<_>>(), expected);
    for sent in [together, out] {
        let got = end.peer.receive(&sent, &mut Vec::new()).unwrap();
        assert!(got == plain);
    }
}
