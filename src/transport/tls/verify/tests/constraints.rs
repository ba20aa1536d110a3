//! Name constraints, and names, that are not understood.

use rcgen::{CertificateParams, CustomExtension, DnType};

use super::{Case, ca, encoded, is, root};

/// An element of a name, and constraints with these trees.
fn constraints(permitted: &[u8], behind: &[u8]) -> CustomExtension {
    let tree = encoded(0xa0, &encoded(0x30, permitted));
    let content = encoded(0x30, &[&tree[..], behind].concat());
    CustomExtension::from_oid_content(&[2, 5, 29, 30], content)
}

/// RFC 5280, 4.2.1.10: a constraint that is not understood, or on a name that is not, lets nobody through.
#[test]
fn what_constraints_cannot_be_compared_with_is_refused() {
    let limited = |extension: CustomExtension| {
        root("ca", |params| {
            ca(params);
            params.custom_extensions.push(extension);
        })
    };
    let named = |name: Vec<u8>| {
        let content = encoded(0x30, &name);
        move |params: &mut CertificateParams| {
            let extension = CustomExtension::from_oid_content(&[2, 5, 29, 17], content);
            params.custom_extensions.push(extension);
        }
    };
    let (dns, mail) = (encoded(0x82, b"example.org"), encoded(0x81, b"example.org"));
    let good = encoded(0x82, b"a.example.org");
    let unreadable = |tag| encoded(tag, b"a\xff.example.com");
    let maximum = [&dns[..], &encoded(0x81, &[5])].concat();
    let late = encoded(0xa0, &encoded(0x30, &dns));
    for (what, extension, name, is_good) in [
        ("plain", constraints(&dns, &[]), good.clone(), true),
        ("a host", constraints(&dns, &[]), unreadable(0x82), false),
        (
            "a mailbox",
            constraints(&mail, &[]),
            unreadable(0x81),
            false,
        ),
        (
            "of another kind",
            constraints(&dns, &[]),
            unreadable(0x81),
            true,
        ),
        (
            "a base",
            constraints(&unreadable(0x82), &[]),
            good.clone(),
            false,
        ),
        (
            "a base of another kind",
            constraints(&unreadable(0x81), &[]),
            good.clone(),
            false,
        ),
        ("a maximum", constraints(&maximum, &[]), good.clone(), false),
        (
            "trees in disorder",
            constraints(&dns, &late),
            good.clone(),
            false,
        ),
    ] {
        let authority = limited(extension);
        let leaf = authority.sign("client", named(name));
        let judged = Case::new(&[&authority], &leaf.der, &[]).own();
        assert_eq!(judged.is_ok(), is_good, "{what}: {judged:?}");
    }
    // One of version 1 has its common name only, here in UTF-16.
    let authority = limited(constraints(&dns, &[]));
    let wide = |params: &mut CertificateParams| {
        let name = rcgen::string::BmpString::try_from("a.example.com").unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let name = rcgen::DnValue::BmpString(name);
        params.distinguished_name.push(DnType::CommonName, name);
    };
    let leaf = authority.as_v1(authority.sign("client", wide));
    is(&[&authority], &leaf, &[], "may not sign for its name");
}
