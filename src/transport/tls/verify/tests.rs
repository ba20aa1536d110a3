//! Verdicts on certificates made here, of both versions, each wrong in one way; where webpki can judge, both agree.

mod constraints;
mod random;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    NameConstraints, RevokedCertParams, SerialNumber, SigningKey, date_time_ymd,
};
use rustls::crypto::aws_lc_rs;

use super::certificate::element;
use super::*;

/// 2026-01-01.
const NOW_S: i64 = 1_767_225_600;

/// A certificate and its key.
struct Made {
    der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

fn params(name: &str, change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2100, 1, 1);
    params.serial_number = Some(SerialNumber::from(7));
    change(&mut params);
    params
}

fn ca(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
}

fn root(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Made {
    let (params, key) = (params(name, change), KeyPair::generate().unwrap());
    let der = params.self_signed(&key).unwrap().der().to_vec();
    let issuer = Issuer::new(params, key);
    Made { der, issuer }
}

impl Made {
    fn sign(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Made {
        let (params, key) = (params(name, change), KeyPair::generate().unwrap());
        let der = params.signed_by(&key, &self.issuer).unwrap();
        Made {
            der: der.der().to_vec(),
            issuer: Issuer::new(params, key),
        }
    }

    /// The same certificate as one of version 1, signed anew by this one.
    fn as_v1(&self, mut made: Made) -> Made {
        made.der = edited(&made.der, &self.issuer, |tag| !matches!(tag, 0xa0 | 0xa3));
        made
    }

    fn v1(&self, name: &str) -> Made {
        self.as_v1(self.sign(name, |_| {}))
    }

    fn list(&self, serial: u64, next: i32) -> CertificateRevocationListDer<'static> {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2025, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(next, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).unwrap();
        list.der().clone()
    }
}

/// One element of DER.
fn encoded(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        len @ 0..=127 => out.push(len as u8),
        len @ 128..=255 => out.extend([0x81, len as u8]),
        len => out.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    out.extend(content);
    out
}

/// A certificate with the fields whose tag is to be kept, signed by this key.
fn edited(der: &[u8], by: &Issuer<'static, KeyPair>, keeps: impl Fn(u8) -> bool) -> Vec<u8> {
    let (_, outer, _) = element(der).unwrap();
    let (_, mut fields, rest) = element(outer).unwrap();
    let mut kept = Vec::new();
    while !fields.is_empty() {
        let (tag, _, behind) = element(fields).unwrap();
        if keeps(tag) {
            kept.extend(&fields[..fields.len() - behind.len()]);
        }
        fields = behind;
    }
    let (_, _, behind) = element(rest).unwrap();
    let algorithm = &rest[..rest.len() - behind.len()];
    let body = encoded(0x30, &kept);
    let signature = [&[0], &by.key().sign(&body).unwrap()[..]].concat();
    encoded(0x30, &[&body, algorithm, &encoded(3, &signature)].concat())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

struct Case<'a> {
    anchors: &'a [&'a Made],
    leaf: &'a [u8],
    others: &'a [&'a Made],
    lists: Vec<CertificateRevocationListDer<'static>>,
    has_dates: bool,
}

impl<'a> Case<'a> {
    fn new(anchors: &'a [&'a Made], leaf: &'a [u8], others: &'a [&'a Made]) -> Self {
        Case {
            anchors,
            leaf,
            others,
            lists: Vec::new(),
            has_dates: true,
        }
    }

    fn others(&self) -> Vec<CertificateDer<'_>> {
        let all = self.others.iter();
        all.map(|made| CertificateDer::from(&made.der[..]))
            .collect()
    }

    fn clients(&self) -> Clients {
        let anchors = self.anchors.iter();
        let anchors: Vec<_> = anchors
            .map(|made| CertificateDer::from(&made.der[..]))
            .collect();
        Clients::new(&anchors, self.lists.clone(), self.has_dates, &provider()).unwrap()
    }

    /// What is said of a client, by whoever judges it.
    fn verdict(&self) -> String {
        let leaf = CertificateDer::from(self.leaf);
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(NOW_S as u64));
        let result = self
            .clients()
            .verify_client_cert(&leaf, &self.others(), now);
        match result {
            Ok(_) => "good".into(),
            Err(error) => super::super::Failure::of(&error, None).to_string(),
        }
    }

    /// What is judged here.
    fn own(&self) -> Result<(), CertificateError> {
        self.clients().trust.judge(self.leaf, &self.others(), NOW_S)
    }

    fn is(&self, expected: &str) {
        let verdict = self.verdict();
        assert!(verdict.contains(expected), "{expected}: {verdict}");
        assert_eq!(self.own().is_ok(), expected == "good", "{expected}");
    }
}

fn is(anchors: &[&Made], leaf: &Made, others: &[&Made], expected: &str) {
    Case::new(anchors, &leaf.der, others).is(expected);
}

#[test]
fn version_1_is_accepted_of_those_at_the_end_and_of_configured_cas() {
    let ca_v3 = root("ca", ca);
    let own = root("old ca", |_| {});
    let old = own.as_v1(root("old ca", |_| {}));
    // Its key is another one now; the certificate has to be of the key that signs.
    let old = Made {
        der: edited(&own.der, &own.issuer, |tag| !matches!(tag, 0xa0 | 0xa3)),
        issuer: old.issuer,
    };
    let between = ca_v3.sign("between", ca);
    let between_v1 = ca_v3.as_v1(ca_v3.sign("between v1", ca));
    assert!(!certificate::names_version(&old.der));
    is(&[&ca_v3], &ca_v3.v1("client"), &[], "good");
    is(&[&old], &own.v1("client"), &[], "good");
    is(&[&old], &own.sign("client", |_| {}), &[], "good");
    is(&[&ca_v3], &between.v1("client"), &[&between], "good");
    is(&[&ca_v3], &between.v1("client"), &[], "is not from a CA");
    let below = between_v1.v1("client");
    is(&[&ca_v3], &below, &[&between_v1], "CA of X.509 version 1");
    is(&[&ca_v3, &between_v1], &below, &[], "no CA");
    let below = between_v1.sign("client", |_| {});
    Case::new(&[&ca_v3], &below.der, &[&between_v1])
        .own()
        .unwrap_err();
}

#[test]
fn who_has_not_signed_is_no_issuer() {
    let (right, namesake, stranger) = (root("ca", ca), root("ca", ca), root("stranger", ca));
    let leaf = right.v1("client");
    is(&[&stranger], &leaf, &[], "is not from a CA");
    is(&[&namesake], &leaf, &[], "is not signed by the CA");
    is(&[&namesake, &right], &leaf, &[], "good");
    // Any byte, whether it is signed or says how the parts are laid out.
    for at in 0..leaf.der.len() {
        for by in [1, 0x20, 0x40, 0x60, 0x80] {
            let mut der = leaf.der.clone();
            der[at] ^= by;
            assert!(Case::new(&[&right], &der, &[]).own().is_err(), "{at} {by}");
        }
    }
    // Extensions make no version 1; and both names of the algorithm have to be the same.
    let made = right.sign("client", ca);
    let extended = edited(&made.der, &right.issuer, |tag| tag != 0xa0);
    assert!(Case::new(&[&right], &extended, &[]).own().is_err());
    let longer = [&leaf.der[..], b"x"].concat();
    assert!(Case::new(&[&right], &longer, &[]).own().is_err());
}

#[test]
fn dates_are_looked_at_unless_the_operator_says_so() {
    let right = root("ca", ca);
    let old = |params: &mut CertificateParams| params.not_after = date_time_ymd(2025, 1, 1);
    let new = |params: &mut CertificateParams| params.not_before = date_time_ymd(2027, 1, 1);
    let between = right.sign("between", |params| {
        ca(params);
        old(params);
    });
    let cases = [
        (right.as_v1(right.sign("a", old)), "has expired"),
        (right.as_v1(right.sign("a", new)), "is not valid yet"),
        (right.sign("a", old), "has expired"),
        (right.sign("a", new), "is not valid yet"),
        (between.v1("a"), "has expired"),
        (between.sign("a", |_| {}), "has expired"),
    ];
    for (leaf, words) in &cases {
        let (anchors, others) = ([&right], [&between]);
        let mut case = Case::new(&anchors, &leaf.der, &others);
        case.is(words);
        case.has_dates = false;
        case.is("good");
    }
}

#[test]
fn revocation_lists_are_asked() {
    let (right, namesake, other) = (root("ca", ca), root("ca", ca), root("other", ca));
    let without = root("ca", |params| {
        ca(params);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    });
    let between = right.sign("between", ca);
    for (signer, others, lists, words) in [
        (&right, vec![], vec![right.list(7, 2100)], "is revoked"),
        (&right, vec![], vec![right.list(8, 2100)], "good"),
        (
            &right,
            vec![],
            vec![other.list(7, 2100)],
            "crlfile has no list of",
        ),
        (&right, vec![], vec![namesake.list(8, 2100)], ""),
        (&right, vec![], vec![right.list(8, 2025)], "has expired"),
        (
            &right,
            vec![],
            vec![right.list(8, 2025), right.list(8, 2100)],
            "good",
        ),
        (
            &right,
            vec![],
            vec![right.list(8, 2100), right.list(7, 2100)],
            "is revoked",
        ),
        (
            &between,
            vec![&between],
            vec![between.list(7, 2100)],
            "is revoked",
        ),
        (
            &between,
            vec![&between],
            vec![between.list(8, 2100)],
            "good",
        ),
        (
            &between,
            vec![&between],
            vec![right.list(8, 2100)],
            "crlfile has no list of",
        ),
    ] {
        let (leaf, anchors) = (signer.v1("client"), [&right]);
        let case = Case {
            lists,
            ..Case::new(&anchors, &leaf.der, &others)
        };
        let verdict = case.verdict();
        assert!(verdict.contains(words), "{words}: {verdict}");
        assert_eq!(verdict == "good", words == "good", "{verdict}");
    }
    // A key that is not for lists.
    let (leaf, anchors) = (without.v1("client"), [&without]);
    let mut case = Case::new(&anchors, &leaf.der, &[]);
    case.is("good");
    case.lists = vec![right.list(8, 2100)];
    case.is("crlfile has no list of");
}

#[test]
fn what_is_not_for_clients_is_refused() {
    let right = root("ca", ca);
    let with = |usages: Vec<ExtendedKeyUsagePurpose>, key: Vec<KeyUsagePurpose>| {
        right.sign("client", |params| {
            params.extended_key_usages = usages;
            params.key_usages = key;
        })
    };
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    use KeyUsagePurpose::{DataEncipherment, DigitalSignature};
    let own = |leaf: &Made| Case::new(&[&right], &leaf.der, &[]).own();
    let purpose = Err(CertificateError::InvalidPurpose);
    assert_eq!(own(&with(vec![ClientAuth], vec![DigitalSignature])), Ok(()));
    assert_eq!(own(&with(vec![ServerAuth, ClientAuth], vec![])), Ok(()));
    assert_eq!(own(&with(vec![ServerAuth], vec![])), purpose);
    assert_eq!(own(&with(vec![], vec![DataEncipherment])), purpose);
    // Nor is what a CA for servers only has signed.
    let servers = right.sign("servers", |params| {
        ca(params);
        params.extended_key_usages = vec![ServerAuth];
    });
    let leaf = servers.v1("client");
    is(&[&right], &leaf, &[&servers], "is not for clients");
}

#[test]
fn cas_that_are_none_sign_nothing() {
    let right = root("ca", ca);
    let plain = right.sign("between", |_| {});
    let denied = right.sign("between", |params| params.is_ca = IsCa::ExplicitNoCa);
    let no_signer = right.sign("between", |params| {
        ca(params);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    });
    let unknown = right.sign("between", |params| {
        ca(params);
        let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        extension.set_criticality(true);
        params.custom_extensions = vec![extension];
    });
    for between in [&plain, &denied, &no_signer, &unknown] {
        for leaf in [between.v1("client"), between.sign("client", |_| {})] {
            let case_own = Case::new(&[&right], &leaf.der, &[between]).own();
            assert!(case_own.is_err());
        }
        let verdict = Case::new(&[&right], &between.v1("c").der, &[between]).verdict();
        assert_ne!(verdict, "good");
    }
    // As anchors neither, but they are trusted themselves where nobody else has signed them.
    let pinned = root("pinned", |params| params.is_ca = IsCa::ExplicitNoCa);
    is(&[&pinned], &pinned, &[], "good");
    assert_ne!(
        Case::new(&[&pinned], &pinned.v1("client").der, &[]).verdict(),
        "good"
    );
    let by_pinned = pinned.sign("client", |_| {});
    assert_ne!(Case::new(&[&pinned], &by_pinned.der, &[]).verdict(), "good");
    // One of openssl req -x509 is a CA's, and may be shown by whoever has its key.
    let own = root("own", |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)
    });
    is(&[&own], &own, &[], "good");
    let namesake = root("own", |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)
    });
    assert_ne!(Case::new(&[&own], &namesake.der, &[]).verdict(), "good");
}

#[test]
fn a_path_is_no_longer_than_allowed() {
    let right = root("ca", |params| {
        ca(params);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    });
    let first = right.sign("first", |params| {
        ca(params);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    });
    let second = first.sign("second", ca);
    is(&[&right], &right.v1("a"), &[], "good");
    is(&[&right], &first.v1("a"), &[&first], "good");
    is(
        &[&right],
        &second.v1("a"),
        &[&second, &first],
        "more CAs above it",
    );
    // Nor longer than is followed, and none that leads nowhere keeps anybody busy.
    let mut chain = vec![root("ca", ca)];
    for index in 0..8 {
        let last = chain.last().unwrap();
        let next = last.sign(&format!("ca {index}"), ca);
        chain.push(next);
    }
    for (length, is_good) in [(6, true), (7, false)] {
        let leaf = chain[length].v1("a");
        let others: Vec<&Made> = chain[1..=length].iter().collect();
        let case_own = Case::new(&[&chain[0]], &leaf.der, &others).own();
        assert_eq!(case_own.is_ok(), is_good, "{length}: {case_own:?}");
    }
    let crowd: Vec<Made> = (0..40).map(|_| root("ca", ca)).collect();
    let crowd: Vec<&Made> = crowd.iter().collect();
    let leaf = root("ca", ca).v1("a");
    assert!(Case::new(&[&right], &leaf.der, &crowd).own().is_err());
}

#[test]
fn name_constraints_hold_for_all_below() {
    let limited = |constraints: NameConstraints| {
        root("ca", |params| {
            ca(params);
            params.name_constraints = Some(constraints);
        })
    };
    let permitted = |subtree: GeneralSubtree| {
        limited(NameConstraints {
            permitted_subtrees: vec![subtree],
            excluded_subtrees: vec![],
        })
    };
    let excluded = |subtree: GeneralSubtree| {
        limited(NameConstraints {
            permitted_subtrees: vec![],
            excluded_subtrees: vec![subtree],
        })
    };
    let dns = |name: &str| GeneralSubtree::DnsName(name.into());
    let net = GeneralSubtree::IpAddress(rcgen::CidrSubnet::V4([10, 0, 0, 0], [255, 0, 0, 0]));
    let mut directory = rcgen::DistinguishedName::new();
    directory.push(DnType::OrganizationName, "inside");
    let folder = GeneralSubtree::DirectoryName(directory);
    let named = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        CertificateParams::new(names).unwrap().subject_alt_names
    };
    for (authority, names, is_good) in [
        (permitted(dns("example.org")), &["a.example.org"][..], true),
        (permitted(dns("example.org")), &["example.org"], true),
        (permitted(dns("example.org")), &["badexample.org"], false),
        (
            permitted(dns("example.org")),
            &["a.example.org", "b.example.com"],
            false,
        ),
        (excluded(dns("example.org")), &["a.example.org"], false),
        (excluded(dns("a.example.org")), &["*.example.org"], false),
        (excluded(dns("example.org")), &["example.com"], true),
        (permitted(net.clone()), &["10.1.2.3"], true),
        (permitted(net.clone()), &["11.1.2.3"], false),
        (excluded(net.clone()), &["10.1.2.3"], false),
        (excluded(net), &["::1"], true),
    ] {
        let leaf = authority.sign("client", |params| params.subject_alt_names = named(names));
        let case_own = Case::new(&[&authority], &leaf.der, &[]).own();
        assert_eq!(case_own.is_ok(), is_good, "{names:?}: {case_own:?}");
    }
    // One of version 1 has its subject only, of which a host's name is one.
    let inside = |params: &mut CertificateParams| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        let name = &mut params.distinguished_name;
        name.push(DnType::OrganizationName, "inside");
        name.push(DnType::CommonName, "client");
    };
    let authority = permitted(folder);
    let good = authority.as_v1(authority.sign("client", inside));
    is(&[&authority], &good, &[], "good");
    is(
        &[&authority],
        &authority.v1("client"),
        &[],
        "may not sign for its name",
    );
    let authority = permitted(dns("example.org"));
    is(&[&authority], &authority.v1("a.example.org"), &[], "good");
    is(
        &[&authority],
        &authority.v1("a.example.com"),
        &[],
        "may not sign for its name",
    );
}

#[test]
fn servers_are_judged_by_their_names() {
    let right = root("ca", ca);
    let judge = |anchors: &[&Made], leaf: &Made, name: &str| {
        let anchors = anchors.iter();
        let anchors: Vec<_> = anchors
            .map(|made| CertificateDer::from(&made.der[..]))
            .collect();
        let servers = Servers::new(&anchors, &provider()).unwrap();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(NOW_S as u64));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let leaf = CertificateDer::from(&leaf.der[..]);
        servers.verify_server_cert(&leaf, &[], &name, &[], now)
    };
    for (leaf, name, is_good) in [
        (right.v1("localhost"), "localhost", true),
        (right.v1("LOCALHOST"), "localhost", true),
        (right.v1("127.0.0.1"), "127.0.0.1", true),
        (right.v1("localhost"), "127.0.0.1", false),
        (right.v1("elsewhere"), "localhost", false),
        // Version 3 without other names, as newer openssl makes them of the same commands.
        (right.sign("localhost", |_| {}), "localhost", true),
        (right.sign("elsewhere", |_| {}), "localhost", false),
    ] {
        assert_eq!(judge(&[&right], &leaf, name).is_ok(), is_good, "{name}");
    }
    // Who names others is not its common name.
    let others = right.sign("localhost", |params| {
        let names = CertificateParams::new(vec!["elsewhere".into()]).unwrap();
        params.subject_alt_names = names.subject_alt_names;
    });
    assert!(judge(&[&right], &others, "localhost").is_err());
    assert!(judge(&[&right], &others, "elsewhere").is_ok());
    // One that has signed itself, given as what is trusted.
    let own = root("localhost", |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)
    });
    assert!(judge(&[&own], &own, "localhost").is_ok());
    assert!(judge(&[&own], &own, "elsewhere").is_err());
    assert!(judge(&[&right], &own, "localhost").is_err());
}
