//! Who a certificate says that a client is.

use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use super::server::NamedBy;

/// The user name that a certificate (in DER) gives.
pub(super) fn of(named_by: NamedBy, certificate: &[u8]) -> Option<Box<str>> {
    if named_by == NamedBy::Password {
        return None;
    }
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let subject = certificate.subject();
    let name = match named_by {
        NamedBy::CommonName => subject
            .iter_common_name()
            .next()
            .and_then(|name| name.as_str().ok())
            .map(String::from),
        _ => Some(rfc2253(subject)),
    };
    name.filter(|name| !name.is_empty() && !name.contains('\0'))
        .map(String::into_boxed_str)
}

/// A name as RFC 2253 writes it: the last part first, which is what Mosquitto has for a user name.
fn rfc2253(name: &X509Name<'_>) -> String {
    let parts: Vec<String> = name
        .iter_rdn()
        .map(|part| {
            let attributes: Vec<String> = part
                .iter()
                .map(|attribute| {
                    let id = attribute.attr_type().to_id_string();
                    let key = short_name(&id).unwrap_or(&id);
                    format!("{key}={}", escaped(attribute.as_str().unwrap_or_default()))
                })
                .collect();
            attributes.join("+")
        })
        .collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(",")
}

/// What OpenSSL calls an attribute.
fn short_name(id: &str) -> Option<&'static str> {
    Some(match id {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.42" => "GN",
        "1.2.840.113549.1.9.1" => "emailAddress",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        _ => return None,
    })
}

/// RFC 2253, 2.4: what would end a value is escaped.
fn escaped(value: &str) -> String {
    let mut out = String::new();
    let last = value.chars().count().saturating_sub(1);
    for (index, letter) in value.chars().enumerate() {
        let special = matches!(letter, ',' | '+' | '"' | '\\' | '<' | '>' | ';')
            || (letter == '#' && index == 0)
            || (letter == ' ' && (index == 0 || index == last));
        if special {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}
