//! Options of a listener's TLS with a form of their own.

use crate::config::draft::{ListenerDraft, Note};
use crate::config::error::{Misdeed, ValueFault};
use crate::config::line::Line;
use crate::transport::tls::Minimum;

/// `tls_version VERSION`: the lowest that is accepted.
pub(crate) fn version(
    draft: &mut ListenerDraft,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    let (minimum, note) = match line.word(name)? {
        "tlsv1.3" => (Minimum::V13, None),
        "tlsv1.2" => (Minimum::V12, None),
        "tlsv1.1" | "tlsv1" => {
            let text = "TLS below 1.2 is not spoken here (RFC 8996); tlsv1.2 is the lowest";
            (Minimum::V12, Some(text.into()))
        }
        other => {
            return Err(Misdeed::not_one_of(name, other, &["tlsv1.2", "tlsv1.3"]));
        }
    };
    draft.tls.minimum = minimum;
    Ok(note)
}

/// `tls_certificate CERTFILE KEYFILE`: one more certificate, for clients that ask for one of its names.
pub(crate) fn certificate(
    draft: &mut ListenerDraft,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    let mut words = line.words();
    match (words.next(), words.next()) {
        (Some(chain), Some(key)) => {
            draft.tls.more.push((chain.into(), key.into()));
            Ok(None)
        }
        _ => {
            let rule = "the file of the certificate and the file of its key are wanted";
            let fault = ValueFault::Invalid { rule };
            Err(Misdeed::value(name, line.value, fault))
        }
    }
}
