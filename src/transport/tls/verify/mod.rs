//! Whose certificates are accepted, on both sides.
//!
//! rustls' own verifier (webpki) judges whatever it can. It knows no certificate of X.509 version 1, which is what
//! mosquitto-tls(7) makes, takes no certificate that is itself trusted, and always looks at dates: those are judged
//! here (`path`), by the rules of RFC 5280. A CA of version 1 is one only where it is configured.

#[cfg(any(test, fuzzing))]
mod any;
mod certificate;
mod constraints;
mod path;
mod revocation;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use x509_parser::prelude::GeneralName;

#[cfg(any(test, fuzzing))]
pub use any::any_certificates;
pub(super) use certificate::Certificate;
use path::{Purpose, Trust};
use revocation::Lists;

/// What is alike in all judges: that a peer has the key of its certificate, whoever vouches for it. By algorithms of the judge.
macro_rules! signatures_by {
    ($judge:ident.$algorithms:ident) => {
        fn verify_tls12_signature(
            &$judge,
            message: &[u8],
            leaf: &rustls_pki_types::CertificateDer<'_>,
            signed: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            $crate::transport::tls::verify::check_v12(message, leaf, signed, &$judge.$algorithms)
        }

        fn verify_tls13_signature(
            &$judge,
            message: &[u8],
            leaf: &rustls_pki_types::CertificateDer<'_>,
            signed: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            $crate::transport::tls::verify::check_v13(message, leaf, signed, &$judge.$algorithms)
        }

        fn supported_verify_schemes(&$judge) -> Vec<rustls::SignatureScheme> {
            $judge.$algorithms.supported_schemes()
        }
    };
}
pub(super) use signatures_by;

/// Judges clients. As OpenSSL with X509_V_FLAG_CRL_CHECK: with revocation lists a client whose CA has none is refused,
/// and so is everybody when a list has expired; CAs themselves are not looked up.
#[derive(Debug)]
pub(super) struct Clients {
    /// `None` where no configured certificate is a CA's.
    webpki: Option<Arc<dyn ClientCertVerifier>>,
    trust: Trust,
    /// Names of CAs that clients are told.
    hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Which part of what is trusted cannot be used.
#[derive(Debug)]
pub(super) enum Unusable {
    Authorities(String),
    Revocations(String),
}

/// What both judges begin with: who is trusted, those of them that webpki is shown, and all.
struct Roots {
    trust: Trust,
    authorities: RootCertStore,
    all: RootCertStore,
}

impl Roots {
    fn new(mut trust: Trust, certificates: &[CertificateDer<'_>]) -> Result<Roots, String> {
        let (mut authorities, mut all) = (RootCertStore::empty(), RootCertStore::empty());
        for certificate in certificates {
            let certificate = certificate.clone().into_owned();
            // What only webpki can read is for webpki only.
            let is_authority = trust.add(&certificate).unwrap_or(false);
            all.add(certificate.clone())
                .map_err(|error| error.to_string())?;
            // webpki takes all of them for CAs.
            if is_authority {
                authorities
                    .add(certificate)
                    .map_err(|error| error.to_string())?;
            }
        }
        Ok(Roots {
            trust,
            authorities,
            all,
        })
    }
}

impl Clients {
    /// `has_dates`: whether the dates of certificates are looked at.
    ///
    /// # Errors
    /// A certificate or list cannot be used.
    pub(super) fn new(
        certificates: &[CertificateDer<'_>],
        lists: Vec<CertificateRevocationListDer<'static>>,
        has_dates: bool,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Clients, Unusable> {
        let algorithms = provider.signature_verification_algorithms;
        let unreadable = || Unusable::Revocations("the list cannot be read".into());
        let own_lists = match lists.is_empty() {
            true => None,
            false => {
                let lists = lists.iter().map(|list| list.as_ref());
                Some(Lists::new(lists).ok_or_else(unreadable)?)
            }
        };
        let trust = Trust::new(Purpose::Client, algorithms.all, own_lists, has_dates);
        let roots = Roots::new(trust, certificates).map_err(Unusable::Authorities)?;
        let webpki = match roots.authorities.is_empty() {
            true => None,
            false => {
                let authorities = Arc::new(roots.authorities);
                let mut builder =
                    WebPkiClientVerifier::builder_with_provider(authorities, provider.clone());
                if !lists.is_empty() {
                    builder = builder
                        .with_crls(lists)
                        .only_check_end_entity_revocation()
                        .enforce_revocation_expiration();
                }
                let built = builder.build();
                Some(built.map_err(|error| Unusable::Revocations(error.to_string()))?)
            }
        };
        Ok(Clients {
            webpki,
            trust: roots.trust,
            hints: roots.all.subjects(),
            algorithms,
        })
    }
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let is_for_webpki =
            self.trust.has_dates() && certificate::names_version(leaf) && !self.trust.holds(leaf);
        match (&self.webpki, is_for_webpki) {
            (Some(webpki), true) => webpki.verify_client_cert(leaf, others, now),
            _ => {
                self.trust.judge(leaf, others, seconds(now))?;
                Ok(ClientCertVerified::assertion())
            }
        }
    }

    signatures_by!(self.algorithms);
}

/// Judges servers, for the load tester.
#[derive(Debug)]
pub(super) struct Servers {
    webpki: Option<Arc<WebPkiServerVerifier>>,
    trust: Trust,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Servers {
    /// # Errors
    /// A certificate cannot be used; a line.
    pub(super) fn new(
        certificates: &[CertificateDer<'_>],
        provider: &Arc<CryptoProvider>,
    ) -> Result<Servers, String> {
        let algorithms = provider.signature_verification_algorithms;
        let trust = Trust::new(Purpose::Server, algorithms.all, None, true);
        let roots = Roots::new(trust, certificates)?;
        let webpki = match roots.authorities.is_empty() {
            true => None,
            false => {
                let authorities = Arc::new(roots.authorities);
                let builder =
                    WebPkiServerVerifier::builder_with_provider(authorities, provider.clone());
                Some(builder.build().map_err(|error| error.to_string())?)
            }
        };
        Ok(Servers {
            webpki,
            trust: roots.trust,
            algorithms,
        })
    }
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = Certificate::parse(leaf);
        // webpki knows no common names.
        let is_named = |one: &Certificate<'_>| !one.alternative_names().is_empty();
        let is_for_webpki = parsed.as_ref().is_ok_and(is_named) && !self.trust.holds(leaf);
        match (&self.webpki, is_for_webpki) {
            (Some(webpki), true) => webpki.verify_server_cert(leaf, others, name, ocsp, now),
            _ => {
                self.trust.judge(leaf, others, seconds(now))?;
                match is_for(&parsed?, name) {
                    true => Ok(ServerCertVerified::assertion()),
                    false => Err(CertificateError::NotValidForName.into()),
                }
            }
        }
    }

    signatures_by!(self.algorithms);
}

fn seconds(now: UnixTime) -> i64 {
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// Whether a certificate is for this server. One without other names is for its common name, be it an address.
fn is_for(certificate: &Certificate<'_>, name: &ServerName<'_>) -> bool {
    match name {
        ServerName::DnsName(name) => {
            let wanted = name.as_ref().to_ascii_lowercase();
            let names = certificate.dns_names();
            names.iter().any(|name| is_host(name, &wanted))
        }
        ServerName::IpAddress(ip) => {
            let ip = std::net::IpAddr::from(*ip);
            let octets = match ip {
                std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
                std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            let names = certificate.alternative_names();
            match names.is_empty() {
                true => certificate.common_name() == Some(ip.to_string()),
                false => names.iter().any(
                    |name| matches!(name, GeneralName::IPAddress(bytes) if **bytes == octets[..]),
                ),
            }
        }
        _ => false,
    }
}

/// Whether a certificate's name is for this one: `*` stands for one label (RFC 6125, 6.4.3).
pub(super) fn is_host(name: &str, wanted: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(parent) => wanted
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
        None => name == wanted,
    }
}

/// Checks that a peer has the key of its certificate, in TLS 1.2: by whichever algorithm of the scheme suits the key.
pub(super) fn check_v12(
    message: &[u8],
    leaf: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    known: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    if certificate::names_version(leaf) {
        return rustls::crypto::verify_tls12_signature(message, leaf, signed, known);
    }
    let certificate = Certificate::parse(leaf)?;
    let key = certificate.key().ok_or(CertificateError::BadEncoding)?;
    let schemes = known.mapping.iter();
    let suitable = schemes
        .filter(|(scheme, _)| *scheme == signed.scheme)
        .flat_map(|(_, algorithms)| algorithms.iter())
        .find(|algorithm| key.suits(**algorithm));
    let refused = || certificate::refused("its key does not suit the signature");
    let algorithm = suitable.ok_or_else(refused)?;
    key.check(*algorithm, message, signed.signature())?;
    Ok(HandshakeSignatureValid::assertion())
}

/// The same for TLS 1.3, where a scheme is one algorithm.
pub(super) fn check_v13(
    message: &[u8],
    leaf: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    known: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    if certificate::names_version(leaf) {
        return rustls::crypto::verify_tls13_signature(message, leaf, signed, known);
    }
    let key = Certificate::parse(leaf)?.public_key();
    rustls::crypto::verify_tls13_signature_with_raw_key(message, &key, signed, known)
}
