//! The chain that goes with a certificate of ours: completed from the CAs that are trusted, as OpenSSL does, and what an
//! operator should know of it.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::identity;
use super::verify::Certificate;
use crate::limits::CERTIFICATE_PATH_MAX;

/// Whose files a certificate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// That of the certificate with this index, with its chain.
    Certificate(usize),
    /// Those of the CAs.
    Authorities,
}

/// From when to when a certificate is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validity {
    pub source: Source,
    /// The certificate's subject (RFC 2253).
    pub subject: String,
    /// Seconds since 1970.
    pub first_s: i64,
    /// Seconds since 1970.
    pub last_s: i64,
}

/// A chain that does not end with a certificate that has signed itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The certificate's index.
    pub index: usize,
    /// Whose certificate is the last one.
    pub subject: String,
    /// Whose is missing.
    pub issuer: String,
    last: Vec<u8>,
}

impl Gap {
    /// Whether the one that is missing is a CA among these (PEM): one that clients know.
    pub fn is_closed_by(&self, authorities: &[u8]) -> bool {
        let Ok(last) = Certificate::parse(&self.last) else {
            return false;
        };
        let mut all = CertificateDer::pem_slice_iter(authorities).flatten();
        all.any(|der| Certificate::parse(&der).is_ok_and(|issuer| has_signed(&issuer, &last)))
    }
}

/// Adds what is missing between the last certificate and one that has signed itself, which clients have themselves.
/// Returns where that is not to be found.
pub(super) fn complete(
    index: usize,
    chain: &mut Vec<CertificateDer<'static>>,
    authorities: &[CertificateDer<'static>],
) -> Option<Gap> {
    while let Some(last) = chain.last() {
        let parsed = Certificate::parse(last).ok()?;
        if parsed.is_self_issued() {
            return None;
        }
        let mut candidates = authorities.iter().filter(|der| !chain.contains(der));
        let found = candidates
            .find(|der| Certificate::parse(der).is_ok_and(|issuer| has_signed(&issuer, &parsed)));
        let issuer = found.filter(|_| chain.len() <= CERTIFICATE_PATH_MAX);
        let Some(issuer) = issuer else {
            return Some(Gap {
                index,
                subject: identity::rfc2253(parsed.parsed.subject()),
                issuer: identity::rfc2253(parsed.parsed.issuer()),
                last: last.to_vec(),
            });
        };
        if Certificate::parse(issuer).is_ok_and(|issuer| issuer.is_self_issued()) {
            return None;
        }
        chain.push(issuer.clone());
    }
    None
}

/// Whether the key of one has signed the other.
fn has_signed(issuer: &Certificate<'_>, certificate: &Certificate<'_>) -> bool {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let algorithms = provider.signature_verification_algorithms.all;
    issuer.subject() == certificate.issuer()
        && (issuer.is_v1() || issuer.is_authority())
        && issuer
            .key()
            .is_some_and(|key| key.has_signed(&certificate.signed, algorithms).is_ok())
}

/// The dates of certificates, as far as they can be read.
pub(super) fn validities<'a>(
    source: Source,
    certificates: &'a [CertificateDer<'_>],
) -> impl Iterator<Item = Validity> + 'a {
    certificates.iter().filter_map(move |der| {
        let certificate = Certificate::parse(der).ok()?;
        let validity = certificate.parsed.validity();
        Some(Validity {
            source,
            subject: identity::rfc2253(certificate.parsed.subject()),
            first_s: validity.not_before.timestamp(),
            last_s: validity.not_after.timestamp(),
        })
    })
}
