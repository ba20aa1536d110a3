//! One certificate as the verifier sees it: what is signed, whose key it carries, what it may be used for.
//!
//! Parsed by x509-parser, which takes X.509 version 1; signatures are checked by the provider's algorithms.

use std::sync::Arc;

use rustls::{CertificateError, OtherError};
use rustls_pki_types::{SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer};
use x509_parser::asn1_rs::FromDer;
use x509_parser::extensions::{
    BasicConstraints, ExtendedKeyUsage, KeyUsage, NameConstraints, ParsedExtension,
};
use x509_parser::prelude::{GeneralName, X509Certificate, X509Version};

use crate::limits;

/// The algorithms that signatures are checked with.
pub(in crate::transport::tls) type Algorithms =
    &'static [&'static dyn SignatureVerificationAlgorithm];

/// A sentence about a certificate, for the log: it goes on "its certificate is not accepted: ".
#[derive(Debug)]
struct Reason(&'static str);

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Reason {}

/// An error that rustls has no name for.
pub(super) fn refused(reason: &'static str) -> CertificateError {
    CertificateError::Other(OtherError(Arc::new(Reason(reason))))
}

/// The three parts of a certificate or of a revocation list (RFC 5280, 4.1 and 5.1).
pub(in crate::transport::tls) struct Signed<'a> {
    body: &'a [u8],
    /// What is in the AlgorithmIdentifier.
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// `None` where the parts are not there, or more than them, or not in DER: what no signature covers may be written
    /// in one way only.
    pub(super) fn parse(der: &'a [u8]) -> Option<Signed<'a>> {
        let (SEQUENCE, outer, []) = element(der)? else {
            return None;
        };
        let (SEQUENCE, _, after_body) = element(outer)? else {
            return None;
        };
        let (SEQUENCE, algorithm, after_algorithm) = element(after_body)? else {
            return None;
        };
        let (BIT_STRING, bits, []) = element(after_algorithm)? else {
            return None;
        };
        let (0, signature) = bits.split_first()? else {
            return None;
        };
        Some(Signed {
            body: &outer[..outer.len() - after_body.len()],
            algorithm,
            signature,
        })
    }
}

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// The first element of DER (X.690, 10.1): its tag, what is in it, and what is behind it. `None` for one that is cut
/// short, or whose length is not written in the shortest way.
pub(super) fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], mut rest) = der.split_first_chunk::<2>()?;
    let mut len = usize::from(first);
    if first >= 0x80 {
        let digits;
        (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.len() > 3 || digits.first().is_none_or(|digit| *digit == 0) {
            return None;
        }
        len = digits
            .iter()
            .fold(0, |len, digit| len << 8 | usize::from(*digit));
        if len < 0x80 {
            return None;
        }
    }
    let (content, behind) = rest.split_at_checked(len)?;
    Some((tag, content, behind))
}

/// A public key, as a certificate carries it.
pub(in crate::transport::tls) struct Key<'a> {
    /// What is in the AlgorithmIdentifier.
    algorithm: &'a [u8],
    bits: &'a [u8],
}

impl<'a> Key<'a> {
    /// From a SubjectPublicKeyInfo.
    fn parse(der: &'a [u8]) -> Option<Key<'a>> {
        let (_, outer, _) = element(der)?;
        let (_, algorithm, rest) = element(outer)?;
        let (_, bits, _) = element(rest)?;
        let (_, bits) = bits.split_first()?;
        Some(Key { algorithm, bits })
    }

    /// Whether an algorithm is for keys of this kind.
    pub(super) fn suits(&self, algorithm: &dyn SignatureVerificationAlgorithm) -> bool {
        algorithm.public_key_alg_id().as_ref() == self.algorithm
    }

    /// Checks a signature made with this key, by an algorithm that suits it.
    pub(super) fn check(
        &self,
        algorithm: &dyn SignatureVerificationAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CertificateError> {
        algorithm
            .verify_signature(self.bits, message, signature)
            .map_err(|_| CertificateError::BadSignature)
    }

    /// Checks that this key has signed a certificate or list.
    pub(in crate::transport::tls) fn has_signed(
        &self,
        signed: &Signed<'_>,
        algorithms: Algorithms,
    ) -> Result<(), CertificateError> {
        let mut found = algorithms.iter().filter(|algorithm| {
            algorithm.signature_alg_id().as_ref() == signed.algorithm && self.suits(**algorithm)
        });
        let algorithm = found
            .next()
            .ok_or_else(|| refused("it is signed by an algorithm that is not accepted"))?;
        self.check(*algorithm, signed.body, signed.signature)
    }
}

/// See the module.
pub(in crate::transport::tls) struct Certificate<'a> {
    pub der: &'a [u8],
    pub signed: Signed<'a>,
    pub parsed: X509Certificate<'a>,
}

impl<'a> Certificate<'a> {
    /// Takes versions 1 and 3: version 1 without what it does not have.
    ///
    /// # Errors
    /// What is no certificate, or contradicts itself.
    pub(in crate::transport::tls) fn parse(
        der: &'a [u8],
    ) -> Result<Certificate<'a>, CertificateError> {
        let (rest, parsed) =
            X509Certificate::from_der(der).map_err(|_| CertificateError::BadEncoding)?;
        let signed = Signed::parse(der).ok_or(CertificateError::BadEncoding)?;
        let has_more = !parsed.extensions().is_empty()
            || parsed.issuer_uid.is_some()
            || parsed.subject_uid.is_some();
        let is_known = match parsed.version() {
            X509Version::V1 => !has_more,
            X509Version::V3 => true,
            _ => return Err(refused("it is of an X.509 version other than 1 and 3")),
        };
        // RFC 5280, 4.1.1.2: both say the same, or somebody has changed the one that is not signed.
        let is_consistent = parsed.signature == parsed.signature_algorithm;
        match rest.is_empty() && is_known && is_consistent && !has_twice(&parsed) {
            true => Ok(Certificate {
                der,
                signed,
                parsed,
            }),
            false => Err(CertificateError::BadEncoding),
        }
    }

    pub(in crate::transport::tls) fn is_v1(&self) -> bool {
        self.parsed.version() == X509Version::V1
    }

    pub(in crate::transport::tls) fn subject(&self) -> &[u8] {
        self.parsed.subject().as_raw()
    }

    pub(in crate::transport::tls) fn issuer(&self) -> &[u8] {
        self.parsed.issuer().as_raw()
    }

    pub(in crate::transport::tls) fn is_self_issued(&self) -> bool {
        self.subject() == self.issuer()
    }

    /// The key that it is about, in DER.
    pub(in crate::transport::tls) fn public_key(&self) -> SubjectPublicKeyInfoDer<'static> {
        self.parsed.public_key().raw.to_vec().into()
    }

    pub(in crate::transport::tls) fn key(&self) -> Option<Key<'_>> {
        Key::parse(self.parsed.public_key().raw)
    }

    /// Checks that nothing in it must be understood and is not (RFC 5280, 4.2), and that what is looked at can be read.
    pub(super) fn check_extensions(&self) -> Result<(), CertificateError> {
        for extension in self.parsed.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::NameConstraints(constraints)
                    if !is_understood(constraints, extension.value) =>
                {
                    return Err(refused("its name constraints are not understood"));
                }
                ParsedExtension::KeyUsage(_)
                | ParsedExtension::SubjectAlternativeName(_)
                | ParsedExtension::BasicConstraints(_)
                | ParsedExtension::NameConstraints(_)
                | ParsedExtension::ExtendedKeyUsage(_)
                | ParsedExtension::CRLDistributionPoints(_) => {}
                ParsedExtension::ParseError { .. } => return Err(CertificateError::BadEncoding),
                _ if extension.critical => {
                    return Err(CertificateError::UnhandledCriticalExtension);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks the dates against seconds since 1970.
    pub(super) fn check_dates(&self, now_s: i64) -> Result<(), CertificateError> {
        let validity = self.parsed.validity();
        match now_s {
            now if now < validity.not_before.timestamp() => Err(CertificateError::NotValidYet),
            now if now > validity.not_after.timestamp() => Err(CertificateError::Expired),
            _ => Ok(()),
        }
    }

    pub(super) fn basic_constraints(&self) -> Option<&BasicConstraints> {
        let found = self.parsed.basic_constraints().ok()??;
        Some(found.value)
    }

    pub(super) fn key_usage(&self) -> Option<&KeyUsage> {
        Some(self.parsed.key_usage().ok()??.value)
    }

    pub(super) fn extended_key_usage(&self) -> Option<&ExtendedKeyUsage<'_>> {
        Some(self.parsed.extended_key_usage().ok()??.value)
    }

    pub(super) fn name_constraints(&self) -> Option<&NameConstraints<'_>> {
        Some(self.parsed.name_constraints().ok()??.value)
    }

    /// Whether it says of itself that it may sign certificates. One of version 1 cannot say.
    pub(in crate::transport::tls) fn is_authority(&self) -> bool {
        let signs = |usage: &KeyUsage| usage.key_cert_sign();
        match self.basic_constraints() {
            Some(constraints) => constraints.ca && self.key_usage().is_none_or(signs),
            // As OpenSSL: one that says what its key is for, and that it is for this.
            None => self.key_usage().is_some_and(signs),
        }
    }

    /// Whether its key may sign revocation lists.
    pub(super) fn may_sign_lists(&self) -> bool {
        self.key_usage().is_none_or(KeyUsage::crl_sign)
    }

    /// The names that it is for, besides its subject.
    pub(super) fn alternative_names(&self) -> &[GeneralName<'a>] {
        match self.parsed.subject_alternative_name() {
            Ok(Some(names)) => &names.value.general_names,
            _ => &[],
        }
    }

    /// The DNS names that it is for; without any, its common name, as before version 3.
    pub(in crate::transport::tls) fn dns_names(&self) -> Vec<String> {
        let names = self.alternative_names().iter();
        let names: Vec<String> = names
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                _ => None,
            })
            .collect();
        match names.is_empty() {
            true => self.common_name().into_iter().collect(),
            false => names,
        }
    }

    /// Whether it has a common name, be it one that cannot be read.
    pub(super) fn has_common_name(&self) -> bool {
        self.parsed.subject().iter_common_name().next().is_some()
    }

    /// The last common name in lower case: the one that OpenSSL takes.
    pub(super) fn common_name(&self) -> Option<String> {
        let name = self.parsed.subject().iter_common_name().last()?;
        Some(name.as_str().ok()?.to_ascii_lowercase())
    }
}

/// Whether an extension of this content says no more than what `constraints` looks at: up to two lists of bases. A base with a
/// minimum or maximum says more (RFC 5280, 4.2.1.10: there are none).
fn is_understood(constraints: &NameConstraints<'_>, content: &[u8]) -> bool {
    let trees = [
        &constraints.permitted_subtrees,
        &constraints.excluded_subtrees,
    ];
    let mut bases = trees.into_iter().flatten().flatten();
    let is_unreadable = |base: &GeneralName<'_>| matches!(base, GeneralName::Invalid(..));
    has_bases_only(content).is_some() && !bases.any(|subtree| is_unreadable(&subtree.base))
}

fn has_bases_only(content: &[u8]) -> Option<()> {
    let (SEQUENCE, mut lists, []) = element(content)? else {
        return None;
    };
    for wanted in [0xa0, 0xa1] {
        let mut list = match lists.first() {
            Some(&tag) if tag == wanted => {
                let (_, list, behind) = element(lists)?;
                lists = behind;
                list
            }
            _ => continue,
        };
        while !list.is_empty() {
            let (SEQUENCE, subtree, behind) = element(list)? else {
                return None;
            };
            let (_, _, []) = element(subtree)? else {
                return None;
            };
            list = behind;
        }
    }
    lists.is_empty().then_some(())
}

/// Whether an extension is there twice, which RFC 5280, 4.2 forbids, or there are more than anybody needs: nobody has vouched for
/// the certificate yet.
fn has_twice(certificate: &X509Certificate<'_>) -> bool {
    let all = certificate.extensions();
    all.len() > limits::CERTIFICATE_EXTENSIONS_MAX
        || all
            .iter()
            .enumerate()
            .any(|(index, one)| all[..index].iter().any(|other| other.oid == one.oid))
}

/// Whether a certificate in DER names a version, as all but those of version 1 do. Looks at a few bytes only.
pub(super) fn names_version(der: &[u8]) -> bool {
    let version = || {
        let (_, outer, _) = element(der)?;
        let (_, body, _) = element(outer)?;
        body.first().copied()
    };
    // The tag of `[0] EXPLICIT`.
    version() == Some(0xa0)
}
