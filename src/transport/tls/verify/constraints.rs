//! Name constraints (RFC 5280, 4.2.1.10): which names an authority's certificates may be for. What is not understood bars: a name
//! that cannot be read is compared with no constraint on names of its kind, and so is below none and excluded by each.

use rustls::CertificateError;
use x509_parser::extensions::{GeneralSubtree, NameConstraints};
use x509_parser::prelude::GeneralName;

use super::certificate::{Certificate, element, refused};

/// Tags of a name in its CHOICE (RFC 5280, 4.2.1.6).
const MAIL: u32 = 1;
const DNS: u32 = 2;

/// A name of a certificate, of a kind that constraints are compared with.
enum Name<'a> {
    Dns(String),
    Mail(&'a str),
    Ip(&'a [u8]),
    /// The parts of a distinguished name, in DER.
    Directory(&'a [u8]),
    /// One that cannot be read, or of a kind that constraints are not compared with here: its tag.
    Other(u32),
}

impl Name<'_> {
    fn tag(&self) -> u32 {
        match self {
            Name::Mail(_) => MAIL,
            Name::Dns(_) => DNS,
            Name::Directory(_) => 4,
            Name::Ip(_) => 7,
            Name::Other(tag) => *tag,
        }
    }
}

/// The tag of a name, whether it can be read or not.
fn tag(name: &GeneralName<'_>) -> u32 {
    match name {
        GeneralName::OtherName(..) => 0,
        GeneralName::RFC822Name(_) => MAIL,
        GeneralName::DNSName(_) => DNS,
        GeneralName::X400Address(_) => 3,
        GeneralName::DirectoryName(_) => 4,
        GeneralName::EDIPartyName(_) => 5,
        GeneralName::URI(_) => 6,
        GeneralName::IPAddress(_) => 7,
        GeneralName::RegisteredID(_) => 8,
        GeneralName::Invalid(tag, _) => tag.0,
    }
}

/// Checks one certificate against the constraints of one above it. `has_host_name`: its common name is one, where it
/// has no other.
pub(super) fn check(
    constraints: &NameConstraints<'_>,
    certificate: &Certificate<'_>,
    has_host_name: bool,
) -> Result<(), CertificateError> {
    let names = names(certificate, has_host_name);
    let is_good = names.iter().all(|name| {
        let is_of_kind = |subtree: &&GeneralSubtree<'_>| tag(&subtree.base) == name.tag();
        let permitted = constraints.permitted_subtrees.iter().flatten();
        let mut of_kind = permitted.filter(is_of_kind);
        let excluded = constraints.excluded_subtrees.iter().flatten();
        let first = of_kind.next();
        let is_permitted = first.is_none_or(|first| {
            let mut all = std::iter::once(first).chain(of_kind);
            all.any(|subtree| matches(&subtree.base, name, false).unwrap_or(false))
        });
        let mut barred = excluded.filter(is_of_kind);
        let is_excluded = barred.any(|subtree| matches(&subtree.base, name, true).unwrap_or(true));
        is_permitted && !is_excluded
    });
    match is_good {
        true => Ok(()),
        false => Err(refused("a CA above it may not sign for its name")),
    }
}

/// All names that constraints may be about.
fn names<'a>(certificate: &'a Certificate<'_>, has_host_name: bool) -> Vec<Name<'a>> {
    let mut names: Vec<Name<'a>> = Vec::new();
    for name in certificate.alternative_names() {
        names.push(match name {
            GeneralName::DNSName(name) => Name::Dns(name.to_ascii_lowercase()),
            GeneralName::RFC822Name(name) => Name::Mail(name),
            GeneralName::IPAddress(bytes) => Name::Ip(bytes),
            GeneralName::DirectoryName(name) => Name::Directory(parts(name.as_raw())),
            other => Name::Other(tag(other)),
        });
    }
    let has_dns = names.iter().any(|name| matches!(name, Name::Dns(_)));
    // As OpenSSL: a common name that looks like a host's is one, where there is no other.
    if !has_dns && certificate.has_common_name() {
        names.extend(match certificate.common_name() {
            Some(name) if has_host_name || name.contains('.') => Some(Name::Dns(name)),
            Some(_) => None,
            None => Some(Name::Other(DNS)),
        });
    }
    let subject = parts(certificate.subject());
    if !subject.is_empty() {
        names.push(Name::Directory(subject));
    }
    let mails = certificate.parsed.subject().iter_email();
    names.extend(mails.map(|mail| mail.as_str().map_or(Name::Other(MAIL), Name::Mail)));
    names
}

/// What is in a distinguished name's sequence.
fn parts(der: &[u8]) -> &[u8] {
    element(der).map_or(&[], |(_, sequence, _)| sequence)
}

/// Whether a name is below the base; `None` where that cannot be told. `could`: whether any name that a wildcard
/// stands for is.
fn matches(base: &GeneralName<'_>, name: &Name<'_>, could: bool) -> Option<bool> {
    Some(match (base, name) {
        (GeneralName::DNSName(base), Name::Dns(name)) => {
            let base = base.to_ascii_lowercase();
            let stands_for = name.strip_prefix("*.").is_some_and(|parent| {
                could && (base.ends_with(parent) || parent.ends_with(base.as_str()))
            });
            is_host_below(&base, name) || stands_for
        }
        (GeneralName::RFC822Name(base), Name::Mail(name)) => is_mail_below(base, name),
        (GeneralName::IPAddress(base), Name::Ip(ip)) => is_ip_below(base, ip)?,
        (GeneralName::DirectoryName(base), Name::Directory(name)) => {
            // Whole elements of DER: where the bytes of the one begin the other's, so do its elements.
            name.starts_with(parts(base.as_raw()))
        }
        _ => return None,
    })
}

/// `example.org` stands for itself and what is below it, `.example.org` for what is below it.
fn is_host_below(base: &str, name: &str) -> bool {
    match name.strip_suffix(base) {
        Some(rest) => {
            rest.is_empty() || base.is_empty() || base.starts_with('.') || rest.ends_with('.')
        }
        None => false,
    }
}

/// One mailbox, all of a host, or all of the hosts below a domain.
fn is_mail_below(base: &str, name: &str) -> bool {
    let Some((mailbox, host)) = name.rsplit_once('@') else {
        return false;
    };
    let (base, host) = (base.to_ascii_lowercase(), host.to_ascii_lowercase());
    match base.rsplit_once('@') {
        Some((wanted, wanted_host)) => {
            host == wanted_host && mailbox.to_ascii_lowercase() == wanted
        }
        None if base.starts_with('.') => host.ends_with(&base),
        None => host == base,
    }
}

/// An address and its mask, in this order; `None` for something else.
fn is_ip_below(base: &[u8], ip: &[u8]) -> Option<bool> {
    if !matches!(base.len(), 8 | 32) || !matches!(ip.len(), 4 | 16) {
        return None;
    }
    let (address, mask) = base.split_at(base.len() / 2);
    let masked = |(ip, (address, mask)): (&u8, (&u8, &u8))| ip & mask == address & mask;
    let mut all = ip.iter().zip(address.iter().zip(mask));
    Some(address.len() == ip.len() && all.all(masked))
}
