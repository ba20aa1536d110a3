//! Revocation lists (RFC 5280, 5): which certificates an authority has taken back.

use rustls::CertificateError;
use x509_parser::asn1_rs::FromDer;
use x509_parser::prelude::CertificateRevocationList;

use super::certificate::{Algorithms, Certificate, Signed};

/// The lists of `crlfile`.
#[derive(Debug)]
pub(super) struct Lists(Vec<List>);

#[derive(Debug)]
struct List {
    der: Vec<u8>,
    issuer: Vec<u8>,
    /// In order, without leading zeros.
    serials: Vec<Box<[u8]>>,
    /// Seconds since 1970.
    next_update_s: Option<i64>,
    /// Whether who is not on it is not revoked: it is neither a part of a list nor a supplement to one.
    is_whole: bool,
}

impl Lists {
    /// From lists in DER; `None` where one of them cannot be read.
    pub(super) fn new<'a>(lists: impl Iterator<Item = &'a [u8]>) -> Option<Lists> {
        lists.map(List::parse).collect::<Option<_>>().map(Lists)
    }

    /// Checks that a certificate is on none of its issuer's lists, of which there has to be one that holds.
    pub(super) fn check(
        &self,
        certificate: &Certificate<'_>,
        issuer: &Certificate<'_>,
        now_s: i64,
        algorithms: Algorithms,
    ) -> Result<(), CertificateError> {
        let mut result = Err(CertificateError::UnknownRevocationStatus);
        let key = issuer.key().ok_or(CertificateError::BadEncoding)?;
        let serial = shortened(certificate.parsed.raw_serial());
        let lists = self.0.iter();
        for list in lists.filter(|list| list.issuer == certificate.issuer()) {
            let signed = Signed::parse(&list.der).ok_or(CertificateError::BadEncoding)?;
            if !issuer.may_sign_lists() || key.has_signed(&signed, algorithms).is_err() {
                continue;
            }
            if list
                .serials
                .binary_search_by(|one| (**one).cmp(serial))
                .is_ok()
            {
                return Err(CertificateError::Revoked);
            }
            let is_old = list.next_update_s.is_some_and(|next| next < now_s);
            match (list.is_whole, is_old) {
                (true, false) => result = Ok(()),
                (true, true) if result.is_err() => {
                    result = Err(CertificateError::ExpiredRevocationList);
                }
                _ => {}
            }
        }
        result
    }
}

impl List {
    fn parse(der: &[u8]) -> Option<List> {
        let (rest, list) = CertificateRevocationList::from_der(der).ok()?;
        Signed::parse(der).filter(|_| rest.is_empty())?;
        let mut serials: Vec<Box<[u8]>> = list
            .iter_revoked_certificates()
            .map(|revoked| shortened(revoked.raw_serial()).into())
            .collect();
        serials.sort_unstable();
        Some(List {
            issuer: list.issuer().as_raw().to_vec(),
            serials,
            next_update_s: list.next_update().map(|time| time.timestamp()),
            is_whole: !list.extensions().iter().any(|extension| extension.critical),
            der: der.to_vec(),
        })
    }
}

/// A number without zeros in front.
fn shortened(serial: &[u8]) -> &[u8] {
    let zeros = serial.iter().take_while(|byte| **byte == 0).count();
    &serial[zeros..]
}
