//! Cipher suites by the names that OpenSSL, and so mosquitto.conf, gives them.

use rustls::SupportedCipherSuite;
use rustls::crypto::aws_lc_rs::cipher_suite as suite;

/// TLS 1.3 (`ciphers_tls1.3`).
const V13: [(&str, SupportedCipherSuite); 3] = [
    ("TLS_AES_256_GCM_SHA384", suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_AES_128_GCM_SHA256", suite::TLS13_AES_128_GCM_SHA256),
    (
        "TLS_CHACHA20_POLY1305_SHA256",
        suite::TLS13_CHACHA20_POLY1305_SHA256,
    ),
];

/// TLS 1.2 (`ciphers`): those with forward secrecy and authenticated encryption.
const V12: [(&str, SupportedCipherSuite); 6] = [
    (
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "ECDHE-RSA-AES256-GCM-SHA384",
        suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "ECDHE-RSA-AES128-GCM-SHA256",
        suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "ECDHE-RSA-CHACHA20-POLY1305",
        suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// The suites of both options, in the order given; an option that is absent stands for all of its version. Names that
/// are not known are returned beside them: OpenSSL has many that TLS should not be used with any more.
pub(super) fn chosen<'a>(
    v12: Option<&'a str>,
    v13: Option<&'a str>,
) -> (Vec<SupportedCipherSuite>, Vec<&'a str>) {
    let (mut suites, mut unknown) = (Vec::new(), Vec::new());
    for (option, known) in [(v13, &V13[..]), (v12, &V12[..])] {
        let Some(text) = option else {
            suites.extend(known.iter().map(|(_, suite)| *suite));
            continue;
        };
        for name in text.split([':', ',', ' ']).filter(|name| !name.is_empty()) {
            match known.iter().find(|(known, _)| *known == name) {
                Some((_, suite)) => suites.push(*suite),
                None => unknown.push(name),
            }
        }
    }
    (suites, unknown)
}
