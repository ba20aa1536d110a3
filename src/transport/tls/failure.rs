//! Why a TLS connection failed, as an operator understands it.

use std::fmt;

use rustls::{CertificateError, Error, InvalidMessage, PeerIncompatible};

/// One line, without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(Box<str>);

impl Failure {
    pub(super) fn new(text: &str) -> Failure {
        Failure(text.into())
    }

    /// From rustls' error, and the first byte that the peer sent where nothing was understood yet.
    pub(super) fn of(error: &Error, first: Option<u8>) -> Failure {
        let text = match error {
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => match first {
                Some(0x10) => "it speaks MQTT without TLS on a TLS port".into(),
                Some(b'A'..=b'Z') => "it speaks HTTP without TLS on a TLS port".into(),
                _ => "it does not speak TLS on a TLS port".into(),
            },
            Error::NoCertificatesPresented => {
                "it has presented no certificate, and require_certificate is true".into()
            }
            Error::InvalidCertificate(error) => format!("its certificate {}", certificate(error)),
            Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => {
                "it offers no cipher suite that is allowed here".into()
            }
            Error::PeerIncompatible(
                PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::Tls13RequiredForQuic,
            ) => "it offers no version of TLS that is allowed here".into(),
            Error::AlertReceived(alert) => format!("it ends TLS with the alert {alert:?}"),
            Error::NoApplicationProtocol => "it offers none of the protocols of tls_alpn".into(),
            other => format!("TLS error: {other}"),
        };
        Failure(text.into())
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet".into()
        }
        CertificateError::Revoked => "is revoked".into(),
        CertificateError::UnknownIssuer => "is not from a CA of cafile or capath".into(),
        CertificateError::UnknownRevocationStatus => {
            "is from a CA that crlfile has no list of".into()
        }
        CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => {
            "cannot be judged, because the list in crlfile has expired".into()
        }
        CertificateError::BadSignature => "is not signed by the CA that it names".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not for clients".into()
        }
        CertificateError::Other(reason) => format!("is not accepted: {reason}"),
        other => format!("is not accepted: {other}"),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}
