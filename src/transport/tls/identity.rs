//! Who a certificate says that a client is.

use x509_parser::asn1_rs::ToDer;
use x509_parser::prelude::{AttributeTypeAndValue, FromDer, X509Certificate, X509Name};

use crate::mqtt;

/// Where a client's user name comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NamedBy {
    /// From CONNECT.
    #[default]
    Password,
    /// From its certificate's common name (`use_identity_as_username`).
    CommonName,
    /// From its certificate's subject (`use_subject_as_username`).
    Subject,
}

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
    // What no packet could bring is no name here either.
    name.filter(|name| !name.is_empty() && mqtt::is_text(name))
        .map(String::into_boxed_str)
}

/// A name as OpenSSL's XN_FLAG_RFC2253 writes it, which is what Mosquitto has for a user name: the last attribute first,
/// also among those of one part.
pub(super) fn rfc2253(name: &X509Name<'_>) -> String {
    let parts: Vec<String> = name
        .iter_rdn()
        .map(|part| {
            let attributes: Vec<String> = part.iter().map(attribute).collect();
            attributes.into_iter().rev().collect::<Vec<_>>().join("+")
        })
        .collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(",")
}

/// One attribute. What is no text that is known here is written as the bytes of its DER, so that two names never look
/// the same.
fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let id = attribute.attr_type().to_id_string();
    match (short_name(&id), attribute.as_str()) {
        (Some(key), Ok(text)) => format!("{key}={}", escaped(text)),
        (key, _) => format!("{}=#{}", key.unwrap_or(&id), dumped(attribute)),
    }
}

/// An attribute's value in DER, in hexadecimal digits (RFC 2253, 2.4).
fn dumped(attribute: &AttributeTypeAndValue<'_>) -> String {
    let der = attribute.attr_value().to_der_vec().unwrap_or_default();
    der.iter().map(|byte| format!("{byte:02X}")).collect()
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
        "2.5.4.13" => "description",
        "2.5.4.15" => "businessCategory",
        "2.5.4.17" => "postalCode",
        "2.5.4.41" => "name",
        "2.5.4.42" => "GN",
        "2.5.4.43" => "initials",
        "2.5.4.44" => "generationQualifier",
        "2.5.4.46" => "dnQualifier",
        "2.5.4.65" => "pseudonym",
        "1.2.840.113549.1.9.1" => "emailAddress",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        _ => return None,
    })
}

/// RFC 2253, 2.4: what would end a value is escaped, and so is every byte that is not printable ASCII.
fn escaped(value: &str) -> String {
    let mut out = String::new();
    let last = value.len().saturating_sub(1);
    for (index, byte) in value.bytes().enumerate() {
        let special = matches!(byte, b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';')
            || (byte == b'#' && index == 0)
            || (byte == b' ' && (index == 0 || index == last));
        match byte {
            b' '..=b'~' => {
                if special {
                    out.push('\\');
                }
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("\\{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair, string::BmpString};

    use super::{NamedBy, of};

    #[test]
    fn a_common_name_that_no_packet_could_bring_is_none() {
        let key = KeyPair::generate().unwrap();
        for (common_name, expected) in [
            ("infra", Some("infra")),
            ("in\nfra", None),
            ("a\u{9b}", None),
        ] {
            let mut params = CertificateParams::default();
            params.distinguished_name = rcgen::DistinguishedName::new();
            params
                .distinguished_name
                .push(DnType::CommonName, common_name);
            let certificate = params.self_signed(&key).unwrap();
            let found = of(NamedBy::CommonName, certificate.der());
            assert_eq!(found.as_deref(), expected);
        }
    }

    /// As XN_FLAG_RFC2253; a BMPString, of which OpenSSL makes UTF-8, is left as its DER.
    #[test]
    fn subjects_are_written_as_openssl_writes_them() {
        let mut params = CertificateParams::default();
        let name = &mut params.distinguished_name;
        *name = rcgen::DistinguishedName::new();
        name.push(DnType::CountryName, "DE");
        name.push(DnType::OrganizationName, "M\u{fc}ller");
        name.push(DnType::CommonName, "in,fra\n");
        name.push(DnType::CustomDnType(vec![1, 2, 3, 4]), "foo");
        let bmp = DnValue::BmpString(BmpString::try_from("ab").unwrap());
        name.push(DnType::OrganizationalUnitName, bmp);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        assert_eq!(
            of(NamedBy::Subject, certificate.der()).unwrap().as_ref(),
            "OU=#1E0400610062,1.2.3.4=#0C03666F6F,CN=in\\,fra\\0A,O=M\\C3\\BCller,C=DE"
        );
    }
}
