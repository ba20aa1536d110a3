//! What it may be when a broker does not answer as one should: words that follow an error.

use crate::load::client::Settings;
use crate::mqtt::{ReasonCode, Version};

use super::layer::{Layer, Wire};

/// Why CONNACK refuses, with the code that came: a return code before MQTT 5 (MQTT 3.1.1, 3.2.2.3).
pub(super) fn refusal(reason: ReasonCode, version: Version) -> String {
    match version {
        Version::V5 => format!("refused: {reason}"),
        _ => format!(
            "refused: {} (return code {})",
            reason.name(),
            reason.connack_v3()
        ),
    }
}

/// What it may be that a login is refused, by what was given; none where the reason is another.
pub(super) fn of_login(reason: ReasonCode, settings: &Settings, wire: &Wire) -> Option<String> {
    let is_login = [
        ReasonCode::BAD_USER_NAME_OR_PASSWORD,
        ReasonCode::NOT_AUTHORIZED,
        ReasonCode::BAD_AUTHENTICATION_METHOD,
    ];
    is_login.contains(&reason).then(|| {
        match (&settings.username, &settings.password) {
            (None, _) if wire.has_certificate() => {
                " (the name in the certificate of --cert is not let in, or the broker does not take the user name from \
                 there: then --username NAME with --password-file FILE)"
                    .into()
            }
            (None, _) => " (no login was given: --username NAME with --password-file FILE)".into(),
            (Some(_), None) => " (a user name and no password was given: --password-file FILE, or FIREHOSE_PASSWORD in \
                                the environment)"
                .into(),
            (Some(_), Some(password)) => format!(
                " (wrong user name, or wrong password, which is that of {})",
                password.source()
            ),
        }
    })
}

/// It closed the connection instead of CONNACK.
pub(super) const BEFORE_CONNACK: &str = " before CONNACK (a port that speaks TLS may do so: --cafile or --insecure; one for WebSocket: --websocket; \
     and a broker that does not take this version: --mqtt)";

/// It closed the connection while what lies below MQTT was agreed on, or before CONNACK.
pub(super) fn of_layer(layer: &Layer, wire: &Wire) -> &'static str {
    match (layer.is_handshaking(), layer.is_ready()) {
        (true, _) if wire.has_certificate() => {
            " in the TLS handshake (a port without TLS does so: leave out --cafile and --insecure; \
             and one that does not take the certificate of --cert)"
        }
        (true, _) => {
            " in the TLS handshake (a port without TLS does so: leave out --cafile and --insecure; \
             and one that requires a certificate: --cert FILE with --key FILE)"
        }
        (false, false) => {
            " in the WebSocket upgrade (a port without WebSocket does so: leave out --websocket)"
        }
        // With TLS 1.3 the handshake is over for a client before the broker has looked for its certificate.
        (false, true) if wire.has_certificate() => {
            " before CONNACK (one that does not take the certificate of --cert may do so)"
        }
        (false, true) if layer.has_tls() => {
            " before CONNACK (one that requires a certificate may do so: --cert FILE with --key FILE)"
        }
        (false, true) => " before CONNACK",
    }
}

/// What the first bytes of an answer are, if they are of another protocol.
pub(super) fn of_answer(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [b'H', b'T', b'T', b'P', ..] => Some(" (the port speaks HTTP: --websocket)"),
        _ => of_record(bytes),
    }
}

/// The same for TLS alone, where HTTP is what is expected.
pub(super) fn of_record(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        // A record of TLS: an alert or a part of the handshake, versions 3.0 to 3.4.
        [0x15 | 0x16, 0x03, 0..=4, ..] => {
            Some(" (the port speaks TLS: --cafile FILE, or --insecure)")
        }
        _ => None,
    }
}

/// What it may be that TLS or WebSocket came to nothing, by the words of the error.
pub(super) fn of_failed_layer(error: &str, wire: &Wire) -> &'static str {
    let about = |words: &[&str]| words.iter().any(|word| error.contains(word));
    if let Some((_, alert)) = error.split_once("received fatal alert: ") {
        of_alert(alert, wire.has_certificate())
    } else if about(&["UnknownIssuer", "unknown issuer"]) {
        " (--cafile has to hold the authority that signed the broker's certificate, or that certificate itself where it \
         signed itself; --insecure takes any)"
    } else if about(&["NotValidForName", "not valid for name"]) {
        " (--host has to be a name or an address that the broker's certificate holds)"
    } else if about(&["Expired", "expired"]) {
        " (the broker's certificate has expired; --insecure takes it)"
    } else if about(&["CaUsedAsEndEntity", "UnsupportedCertVersion"]) {
        " (--insecure takes any certificate)"
    } else if about(&["InvalidContentType", "corrupt message", "InvalidMessage"]) {
        " (what replies does not speak TLS: leave out --cafile and --insecure)"
    } else if about(&["is not HTTP"]) {
        " (a port without WebSocket replies so: leave out --websocket)"
    } else {
        ""
    }
}

/// What it may be that the broker ends TLS, by the name of its alert (RFC 8446, 6.2).
fn of_alert(alert: &str, has_certificate: bool) -> &'static str {
    match (alert, has_certificate) {
        ("CertificateRequired", false) => {
            " (the broker requires a certificate: --cert FILE with --key FILE)"
        }
        // With TLS 1.2 there is no alert for it alone (RFC 5246, 7.2.2).
        ("HandshakeFailure", false) => {
            " (the broker may require a certificate: --cert FILE with --key FILE; or they have no cipher in common)"
        }
        ("CertificateRequired" | "HandshakeFailure", true) => {
            " (the broker has no use for the key of --key, or they have no cipher in common)"
        }
        ("UnknownCA", true) => {
            " (the broker does not know the authority that signed the certificate of --cert; those between the two are to \
             stand behind it in the file)"
        }
        ("CertificateExpired", true) => {
            " (by the broker's clock the certificate of --cert has expired, or is not valid yet)"
        }
        ("CertificateRevoked", true) => {
            " (the broker has a list in which the certificate of --cert is revoked)"
        }
        ("UnsupportedCertificate", true) => " (the certificate of --cert is not one for clients)",
        ("BadCertificate" | "CertificateUnknown" | "DecryptError" | "AccessDenied", true) => {
            " (the broker does not take the certificate of --cert; its log may say why)"
        }
        _ => "",
    }
}
