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
        match option {
            None => suites.extend(known.iter().map(|(_, suite)| *suite)),
            Some(text) => suites.extend(listed(text, known, &mut unknown)),
        }
    }
    (suites, unknown)
}

/// Those of a list as openssl-ciphers(1) describes it: names and groups, `!` and `-` take away, `+` and `@` only order.
fn listed<'a>(
    text: &'a str,
    known: &[(&str, SupportedCipherSuite)],
    unknown: &mut Vec<&'a str>,
) -> Vec<SupportedCipherSuite> {
    let words = || {
        text.split([':', ',', ' '])
            .filter(|word| !word.is_empty() && !word.starts_with(['@', '+']))
    };
    let mut found: Vec<&(&str, SupportedCipherSuite)> = Vec::new();
    for word in words() {
        if let Some(group) = word.strip_prefix(['!', '-']) {
            found.retain(|(name, _)| !is_in(name, group));
            continue;
        }
        let mut is_known = false;
        for entry in known.iter().filter(|(name, _)| is_in(name, word)) {
            is_known = true;
            let is_barred = words()
                .filter_map(|word| word.strip_prefix('!'))
                .any(|group| is_in(entry.0, group));
            if !is_barred && !found.iter().any(|(name, _)| *name == entry.0) {
                found.push(entry);
            }
        }
        if !is_known {
            unknown.push(word);
        }
    }
    found.into_iter().map(|(_, suite)| *suite).collect()
}

/// Whether a suite has this name, or is in all of these groups, which `+` joins.
fn is_in(name: &str, word: &str) -> bool {
    name == word || word.split('+').all(|group| is_in_group(name, group))
}

fn is_in_group(name: &str, group: &str) -> bool {
    if name.starts_with("TLS_") {
        return false;
    }
    match group {
        "ALL" | "DEFAULT" | "HIGH" | "TLSv1.2" => true,
        "ECDHE" | "EECDH" | "kECDHE" | "kEECDH" => true,
        "AES" | "AESGCM" => name.contains("-AES"),
        "AES128" => name.contains("-AES128"),
        "AES256" => name.contains("-AES256"),
        "CHACHA20" => name.contains("-CHACHA20"),
        "ECDSA" | "aECDSA" => name.contains("-ECDSA-"),
        "aRSA" => name.contains("-RSA-"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::chosen;

    #[test]
    fn groups_of_openssl_are_known() {
        for (text, count, strange) in [
            ("HIGH:!aNULL:!MD5:@STRENGTH", 6, 0),
            ("DEFAULT:!CHACHA20", 4, 0),
            ("ECDHE+AESGCM:-AES128", 2, 0),
            ("ECDHE-RSA-AES256-GCM-SHA384:AES256-SHA", 1, 1),
            ("HIGH:!ECDSA:ECDHE-ECDSA-AES256-GCM-SHA384", 3, 0),
            ("NULL", 0, 1),
        ] {
            let (suites, unknown) = chosen(Some(text), Some("TLS_AES_128_GCM_SHA256"));
            assert_eq!(
                (suites.len() - 1, unknown.len()),
                (count, strange),
                "{text}"
            );
        }
    }
}
