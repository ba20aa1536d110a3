//! From a certificate to an anchor (RFC 5280, 6.1): what has to hold for it, and for each one in between.

use rustls::CertificateError;
use rustls_pki_types::CertificateDer;

use super::certificate::{Algorithms, Certificate, refused};
use super::constraints;
use super::revocation::Lists;
use crate::limits::{CERTIFICATE_PATH_MAX, CERTIFICATE_SIGNATURES_MAX, CERTIFICATES_SENT_MAX};

/// Which side of TLS a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Client,
    Server,
}

/// Whom the operator trusts: what `cafile` and its like hold.
#[derive(Debug)]
pub(super) struct Trust {
    anchors: Vec<Anchor>,
    lists: Option<Lists>,
    algorithms: Algorithms,
    purpose: Purpose,
    /// Whether the dates of certificates are looked at.
    has_dates: bool,
}

#[derive(Debug)]
struct Anchor {
    der: Vec<u8>,
    subject: Vec<u8>,
    is_self_issued: bool,
}

impl Trust {
    /// `lists`: those without which nobody is let in.
    pub(super) fn new(
        purpose: Purpose,
        algorithms: Algorithms,
        lists: Option<Lists>,
        has_dates: bool,
    ) -> Trust {
        Trust {
            anchors: Vec::new(),
            lists,
            algorithms,
            purpose,
            has_dates,
        }
    }

    /// Adds a certificate that is trusted as it is; whether others that it has signed are.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn add(&mut self, der: &[u8]) -> Result<bool, CertificateError> {
        let certificate = Certificate::parse(der)?;
        self.anchors.push(Anchor {
            der: der.to_vec(),
            subject: certificate.subject().to_vec(),
            is_self_issued: certificate.is_self_issued(),
        });
        Ok(may_anchor(&certificate))
    }

    pub(super) fn has_dates(&self) -> bool {
        self.has_dates
    }

    /// Whether this very certificate is trusted.
    pub(super) fn holds(&self, der: &[u8]) -> bool {
        let is_it = |anchor: &Anchor| anchor.is_self_issued && anchor.der == der;
        self.anchors.iter().any(is_it)
    }

    /// Judges a certificate by itself and by a path from it to an anchor, through those that came with it.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn judge(
        &self,
        leaf: &[u8],
        others: &[CertificateDer<'_>],
        now_s: i64,
    ) -> Result<(), CertificateError> {
        let leaf = Certificate::parse(leaf)?;
        leaf.check_extensions()?;
        let usage = leaf.key_usage();
        let may_act = usage.is_none_or(|usage| {
            usage.digital_signature()
                || usage.key_agreement()
                || (self.purpose == Purpose::Server && usage.key_encipherment())
        });
        if !may_act || !self.is_for_purpose(&leaf) {
            return Err(CertificateError::InvalidPurpose);
        }
        self.check_dates(&leaf, now_s)?;
        if self.holds(leaf.der) {
            return match &self.lists {
                Some(lists) => lists.check(&leaf, &leaf, now_s, self.algorithms),
                None => Ok(()),
            };
        }
        // What cannot be read is not needed, or will be missed.
        let others = others.iter().take(CERTIFICATES_SENT_MAX);
        let others: Vec<Certificate<'_>> = others
            .filter_map(|der| Certificate::parse(der).ok())
            .collect();
        let mut search = Search {
            trust: self,
            others: &others,
            now_s,
            signatures: CERTIFICATE_SIGNATURES_MAX,
        };
        search.extend(&mut vec![&leaf])
    }

    fn check_dates(
        &self,
        certificate: &Certificate<'_>,
        now_s: i64,
    ) -> Result<(), CertificateError> {
        match self.has_dates {
            true => certificate.check_dates(now_s),
            false => Ok(()),
        }
    }

    /// Whether the extended key usage, where there is one, names this side.
    fn is_for_purpose(&self, certificate: &Certificate<'_>) -> bool {
        let usage = certificate.extended_key_usage();
        usage.is_none_or(|usage| match self.purpose {
            Purpose::Client => usage.client_auth,
            Purpose::Server => usage.server_auth,
        })
    }
}

/// Whether what a configured certificate has signed is trusted. One of version 1 cannot say whether it is an
/// authority's: that it is configured and has signed itself says it. A server's own, in one file with its CA, has not.
fn may_anchor(certificate: &Certificate<'_>) -> bool {
    (certificate.is_v1() && certificate.is_self_issued()) || certificate.is_authority()
}

/// A depth-first search, as long as signatures may be checked.
struct Search<'a> {
    trust: &'a Trust,
    others: &'a [Certificate<'a>],
    now_s: i64,
    signatures: u32,
}

impl<'a> Search<'a> {
    /// Goes on from the last certificate of the path, whose first is the one that is judged.
    fn extend(&mut self, path: &mut Vec<&'a Certificate<'a>>) -> Result<(), CertificateError> {
        let Some(head) = path.last().copied() else {
            return Err(CertificateError::UnknownIssuer);
        };
        let mut error = CertificateError::UnknownIssuer;
        let trust = self.trust;
        let is_issuer = |anchor: &&Anchor| anchor.subject == head.issuer();
        for anchor in trust.anchors.iter().filter(is_issuer) {
            match self.end(path, &anchor.der) {
                Ok(()) => return Ok(()),
                Err(other) => error = other,
            }
        }
        if path.len() > CERTIFICATE_PATH_MAX {
            return Err(error);
        }
        for other in self.others {
            let is_in = path.iter().any(|one| one.der == other.der);
            if is_in || other.subject() != head.issuer() {
                continue;
            }
            let result = self.step(path, other).and_then(|()| {
                path.push(other);
                let result = self.extend(path);
                path.pop();
                result
            });
            match result {
                Ok(()) => return Ok(()),
                Err(CertificateError::UnknownIssuer) => {}
                Err(other) => error = other,
            }
        }
        Err(error)
    }

    /// Checks that a certificate which came along may have signed the last one of the path, and has.
    fn step(
        &mut self,
        path: &[&Certificate<'_>],
        issuer: &Certificate<'_>,
    ) -> Result<(), CertificateError> {
        if issuer.is_v1() {
            return Err(refused(
                "a CA of X.509 version 1 above it is not in cafile or capath",
            ));
        }
        issuer.check_extensions()?;
        // Without basic constraints it is none, whatever its key is for (RFC 5280, 4.2.1.9).
        if issuer.basic_constraints().is_none() || !issuer.is_authority() {
            return Err(refused("what has signed it is no CA"));
        }
        if !self.trust.is_for_purpose(issuer) {
            return Err(CertificateError::InvalidPurpose);
        }
        self.trust.check_dates(issuer, self.now_s)?;
        check_length(path, issuer)?;
        self.check_signature(path, issuer)
    }

    /// Checks that an anchor ends the path.
    fn end(&mut self, path: &[&Certificate<'_>], der: &[u8]) -> Result<(), CertificateError> {
        let anchor = Certificate::parse(der)?;
        if !may_anchor(&anchor) {
            return Err(refused("what has signed it is no CA"));
        }
        anchor.check_extensions()?;
        check_length(path, &anchor)?;
        self.check_signature(path, &anchor)?;
        self.check_names(path, &anchor)?;
        let (Some(leaf), Some(lists)) = (path.first(), &self.trust.lists) else {
            return Ok(());
        };
        let issuer = path.get(1).copied().unwrap_or(&anchor);
        lists.check(leaf, issuer, self.now_s, self.trust.algorithms)
    }

    fn check_signature(
        &mut self,
        path: &[&Certificate<'_>],
        issuer: &Certificate<'_>,
    ) -> Result<(), CertificateError> {
        let left = self.signatures.checked_sub(1);
        self.signatures = left.ok_or_else(|| refused("too many certificates came with it"))?;
        let (Some(head), Some(key)) = (path.last(), issuer.key()) else {
            return Err(CertificateError::BadEncoding);
        };
        key.has_signed(&head.signed, self.trust.algorithms)
    }

    /// Checks each certificate against the name constraints of all above it.
    fn check_names(
        &self,
        path: &[&Certificate<'_>],
        anchor: &Certificate<'_>,
    ) -> Result<(), CertificateError> {
        let is_server = self.trust.purpose == Purpose::Server;
        let above = path.iter().skip(1).copied().chain(std::iter::once(anchor));
        for (count, authority) in above.enumerate() {
            let Some(constraints) = authority.name_constraints() else {
                continue;
            };
            for (index, below) in path.iter().take(count + 1).enumerate() {
                if index == 0 || !below.is_self_issued() {
                    constraints::check(constraints, below, is_server && index == 0)?;
                }
            }
        }
        Ok(())
    }
}

/// Checks that an authority allows as many others between it and the first of the path.
fn check_length(
    path: &[&Certificate<'_>],
    issuer: &Certificate<'_>,
) -> Result<(), CertificateError> {
    let between = path.iter().skip(1).filter(|one| !one.is_self_issued());
    let allowed = issuer
        .basic_constraints()
        .and_then(|constraints| constraints.path_len_constraint);
    match allowed.is_none_or(|allowed| between.count() as u64 <= u64::from(allowed)) {
        true => Ok(()),
        false => Err(refused(
            "there are more CAs above it than one of them allows",
        )),
    }
}
