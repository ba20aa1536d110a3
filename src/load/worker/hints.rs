//! What it may be when a broker does not answer as one should: words that follow an error.
//!
//! A hint names an option only where the command that was typed has it.

use crate::load::client::Settings;
use crate::mqtt::{ReasonCode, Version};

use super::layer::{Layer, OptionsOf, Wire};

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
pub(super) fn of_login(
    reason: ReasonCode,
    settings: &Settings,
    has_certificate: bool,
) -> Option<String> {
    let is_login = [
        ReasonCode::BAD_USER_NAME_OR_PASSWORD,
        ReasonCode::NOT_AUTHORIZED,
        ReasonCode::BAD_AUTHENTICATION_METHOD,
    ];
    is_login.contains(&reason).then(|| {
        match (&settings.username, &settings.password) {
            (None, _) if has_certificate => {
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
pub(super) fn before_connack(options: OptionsOf) -> &'static str {
    options.say(
        " before CONNACK (a port that speaks TLS may do so: --cafile or --insecure; one for WebSocket: --websocket; \
         and a broker that does not take this version: --mqtt)",
        " before CONNACK (a port that speaks TLS may do so: --cafile; one for WebSocket, or a broker that does not take \
         MQTT 3.1.1, is nothing for this test)",
    )
}

/// It closed the connection while what lies below MQTT was agreed on, or before CONNACK.
pub(super) fn of_layer(layer: &Layer, wire: &Wire) -> &'static str {
    let reached = (layer.is_handshaking(), layer.is_ready());
    closed_at(
        reached,
        layer.has_tls(),
        wire.has_certificate(),
        wire.options,
    )
}

/// The same by what is going on: a TLS handshake, or MQTT.
fn closed_at(
    reached: (bool, bool),
    has_tls: bool,
    has_certificate: bool,
    options: OptionsOf,
) -> &'static str {
    match reached {
        (true, _) if has_certificate => options.say(
            " in the TLS handshake (a port without TLS does so: leave out --cafile and --insecure; \
             and one that does not take the certificate of --cert)",
            " in the TLS handshake (a port without TLS does so: leave out --cafile; \
             and one that does not take the certificate of --cert)",
        ),
        (true, _) => options.say(
            " in the TLS handshake (a port without TLS does so: leave out --cafile and --insecure; \
             and one that requires a certificate: --cert FILE with --key FILE)",
            " in the TLS handshake (a port without TLS does so: leave out --cafile; \
             and one that requires a certificate: --cert FILE with --key FILE)",
        ),
        (false, false) => options.say(
            " in the WebSocket upgrade (a port without WebSocket does so: leave out --websocket)",
            "",
        ),
        // With TLS 1.3 the handshake is over for a client before the broker has looked for its certificate.
        (false, true) if has_certificate => {
            " before CONNACK (one that does not take the certificate of --cert may do so)"
        }
        (false, true) if has_tls => {
            " before CONNACK (one that requires a certificate may do so: --cert FILE with --key FILE)"
        }
        (false, true) => " before CONNACK",
    }
}

/// What the first bytes of an answer are, if they are of another protocol.
pub(super) fn of_answer(bytes: &[u8], options: OptionsOf) -> Option<&'static str> {
    match bytes {
        [b'H', b'T', b'T', b'P', ..] => Some(options.say(
            " (the port speaks HTTP: --websocket)",
            " (the port speaks HTTP)",
        )),
        _ => of_record(bytes, options),
    }
}

/// The same for TLS alone, where HTTP is what is expected.
pub(super) fn of_record(bytes: &[u8], options: OptionsOf) -> Option<&'static str> {
    match bytes {
        // A record of TLS: an alert or a part of the handshake, versions 3.0 to 3.4.
        [0x15 | 0x16, 0x03, 0..=4, ..] => Some(options.say(
            " (the port speaks TLS: --cafile FILE, or --insecure)",
            " (the port speaks TLS: --cafile FILE)",
        )),
        _ => None,
    }
}

/// What it may be that TLS or WebSocket came to nothing, by the words of the error.
pub(super) fn of_failed_layer(error: &str, wire: &Wire) -> &'static str {
    failed(error, wire.has_certificate(), wire.options)
}

fn failed(error: &str, has_certificate: bool, options: OptionsOf) -> &'static str {
    let about = |words: &[&str]| words.iter().any(|word| error.contains(word));
    if let Some((_, alert)) = error.split_once("received fatal alert: ") {
        of_alert(alert, has_certificate)
    } else if about(&["UnknownIssuer", "unknown issuer"]) {
        options.say(
            " (--cafile has to hold the authority that signed the broker's certificate, or that certificate itself \
             where it signed itself; --insecure takes any)",
            " (--cafile has to hold the authority that signed the broker's certificate, or that certificate itself \
             where it signed itself)",
        )
    } else if about(&["NotValidForName", "not valid for name"]) {
        " (--host has to be a name or an address that the broker's certificate holds)"
    } else if about(&["Expired", "expired"]) {
        options.say(
            " (the broker's certificate has expired; --insecure takes it)",
            " (the broker's certificate has expired)",
        )
    } else if about(&["CaUsedAsEndEntity", "UnsupportedCertVersion"]) {
        options.say(" (--insecure takes any certificate)", "")
    } else if about(&["InvalidContentType", "corrupt message", "InvalidMessage"]) {
        options.say(
            " (what replies does not speak TLS: leave out --cafile and --insecure)",
            " (what replies does not speak TLS: leave out --cafile)",
        )
    } else if about(&["is not HTTP"]) {
        options.say(
            " (a port without WebSocket replies so: leave out --websocket)",
            "",
        )
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

/// All that may be said to who typed a command.
#[cfg(test)]
pub fn all(options: OptionsOf) -> Vec<String> {
    const ERRORS: [&str; 7] = [
        "UnknownIssuer",
        "NotValidForName",
        "Expired",
        "CaUsedAsEndEntity",
        "InvalidContentType",
        "is not HTTP",
        "anything else",
    ];
    const ALERTS: [&str; 11] = [
        "CertificateRequired",
        "HandshakeFailure",
        "UnknownCA",
        "CertificateExpired",
        "CertificateRevoked",
        "UnsupportedCertificate",
        "BadCertificate",
        "CertificateUnknown",
        "DecryptError",
        "AccessDenied",
        "anything else",
    ];
    let mut all = vec![before_connack(options).to_owned()];
    for bytes in [&b"HTTP/1.1"[..], &[0x15, 3, 3], &[0x10]] {
        all.extend(of_answer(bytes, options).map(str::to_owned));
    }
    for has_certificate in [false, true] {
        for bits in 0..8 {
            let [handshakes, is_ready, has_tls] = [1, 2, 4].map(|bit| bits & bit > 0);
            let hint = closed_at((handshakes, is_ready), has_tls, has_certificate, options);
            all.push(hint.to_owned());
        }
        let alerts = ALERTS.map(|name| format!("received fatal alert: {name}"));
        let errors = ERRORS
            .iter()
            .copied()
            .chain(alerts.iter().map(String::as_str));
        all.extend(errors.map(|error| failed(error, has_certificate, options).to_owned()));
        for (user, password) in [(None, None), (Some("u"), None), (Some("u"), Some("p"))] {
            let settings = Settings {
                version: Version::V5,
                keep_alive: 0,
                username: user.map(Into::into),
                password: password.and_then(|password: &str| password.parse().ok()),
                in_flight_max: 1,
            };
            let refused = ReasonCode::NOT_AUTHORIZED;
            all.extend(of_login(refused, &settings, has_certificate));
        }
    }
    all
}
