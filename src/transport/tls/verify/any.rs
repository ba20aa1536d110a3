//! What holds for certificates whatever their bytes: for the fuzz target, and for the tests with bytes from a seed.

use rustls_pki_types::CertificateDer;

use super::path::{Purpose, Trust};

/// Judges a client's certificate and those that came with it as if these were trusted. Dates are not looked at.
pub(super) fn is_accepted(anchors: &[&[u8]], leaf: &[u8], others: &[&[u8]]) -> bool {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let algorithms = provider.signature_verification_algorithms.all;
    let mut trust = Trust::new(Purpose::Client, algorithms, None, false);
    for anchor in anchors {
        // One that cannot be read is not trusted.
        let _ = trust.add(anchor);
    }
    let others: Vec<CertificateDer<'_>> = others
        .iter()
        .map(|der| CertificateDer::from(*der))
        .collect();
    trust.judge(leaf, &others, 0).is_ok()
}

/// Certificates, each behind its length in two bytes: a client's, one that is trusted, and what came along. Nothing of it
/// ends the program, and without somebody who is trusted nobody is let in.
pub fn any_certificates(bytes: &[u8]) {
    let (mut parts, mut rest) = (Vec::new(), bytes);
    while let Some((head, behind)) = rest.split_first_chunk::<2>() {
        let len = usize::from(u16::from_be_bytes(*head)).min(behind.len());
        let (part, behind) = behind.split_at(len);
        parts.push(part);
        rest = behind;
    }
    let [leaf, anchor, others @ ..] = &parts[..] else {
        return;
    };
    is_accepted(&[anchor], leaf, others);
    assert!(!is_accepted(&[], leaf, others));
}
