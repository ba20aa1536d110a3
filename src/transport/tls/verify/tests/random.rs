//! Certificates from a seed, and a chain with one byte changed: nobody is let in by it.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::{Made, ca, root};
use crate::transport::tls::verify::any::{any_certificates, is_accepted};

/// A client's certificate, that of a root CA, and that of the CA between them.
static CHAIN: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
    let root = root("root", ca);
    let between = root.sign("between", ca);
    let leaf = between.sign("infra", |params| {
        let name = "a.example.org".try_into().unwrap();
        params.subject_alt_names = vec![rcgen::SanType::DnsName(name)];
    });
    let all = [leaf, root, between].map(|made: Made| made.der);
    assert!(is_accepted(&[&all[1]], &all[0], &[&all[2]]));
    all
});

proptest! {
    #[test]
    fn certificates(at in 0..3000usize, by in 1u8.., bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        any_certificates(&bytes);
        let mut all: Vec<u8> = Vec::new();
        for part in &*CHAIN {
            all.extend((part.len() as u16).to_be_bytes());
            all.extend(part);
        }
        let changed = at % all.len();
        all[changed] ^= by;
        any_certificates(&all);
        // Whatever is changed of what is signed.
        let [leaf, anchor, between] = &*CHAIN;
        let mut leaf = leaf.clone();
        let at = at % leaf.len();
        leaf[at] ^= by;
        prop_assert!(!is_accepted(&[anchor], &leaf, &[between]), "{at} {by}");
    }
}
