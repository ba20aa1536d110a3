//! What the operator should know of certificates: dates that are over or will soon be, chains that are not whole.

use std::path::PathBuf;

use jiff::Timestamp;

use super::error::Location;
use crate::limits::CERTIFICATE_WARNING_S;
use crate::transport::tls::{Gap, Validity};

/// Where distributions keep the CAs that clients know (Debian, Fedora, SUSE).
const KNOWN_AUTHORITIES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];

/// What of these this host has: the file, and what is in it.
pub(crate) fn known_authorities() -> impl Iterator<Item = (PathBuf, Vec<u8>)> {
    let paths = KNOWN_AUTHORITIES.iter();
    paths.filter_map(|path| Some((path.into(), std::fs::read(path).ok()?)))
}

/// A line about a certificate, for the log at start and at each reload, and for `firehose check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateNote {
    /// The line that names its file; `None` where no line does.
    pub at: Option<Location>,
    /// The file and what is the matter, without a full stop.
    pub text: String,
    /// Clients are turned away for it.
    pub is_urgent: bool,
}

impl std::fmt::Display for CertificateNote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.at {
            Some(at) => write!(f, "{at}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// What is wrong with dates at this time, and whether it is wrong already. `now_s`: seconds since 1970.
pub(super) fn dates(validity: &Validity, now_s: i64) -> Option<(String, bool)> {
    let subject = &validity.subject;
    let (last_s, first_s) = (validity.last_s, validity.first_s);
    if now_s > last_s {
        let text = format!(
            "the certificate of `{subject}` has expired on {}",
            date(last_s)
        );
        return Some((text, true));
    }
    if now_s < first_s {
        let text = format!(
            "the certificate of `{subject}` is not valid before {}",
            date(first_s)
        );
        return Some((text, true));
    }
    let left_s = last_s.saturating_sub(now_s);
    let is_soon = left_s < CERTIFICATE_WARNING_S;
    let days = left_s / (24 * 3600);
    is_soon.then(|| {
        let text = format!(
            "the certificate of `{subject}` expires in {days} days, on {}",
            date(last_s)
        );
        (text, false)
    })
}

fn date(seconds: i64) -> String {
    let time = Timestamp::from_second(seconds);
    time.map_or_else(|_| format!("second {seconds}"), |time| time.to_string())
}

/// What to say of a chain; nothing where a CA is missing that clients of this host know.
pub(super) fn gap(gap: &Gap) -> Option<String> {
    if known_authorities().any(|(_, authorities)| gap.is_closed_by(&authorities)) {
        return None;
    }
    Some(format!(
        "the chain ends with `{}`: the certificate of its issuer, `{}`, is in none of certfile, cafile and capath. \
         Unless that is a root CA that clients have, they will not trust the broker",
        gap.subject, gap.issuer
    ))
}

#[cfg(test)]
mod tests {
    use super::{Validity, dates};
    use crate::transport::tls::Source;

    const DAY_S: i64 = 24 * 3600;

    #[test]
    fn two_weeks_before_the_end_it_is_said() {
        let validity = Validity {
            source: Source::Certificate(0),
            subject: "CN=a".into(),
            first_s: 100 * DAY_S,
            last_s: 200 * DAY_S,
        };
        for (now_s, expected) in [
            (
                100 * DAY_S - 1,
                Some(("is not valid before 1970-04-11T00:00:00Z", true)),
            ),
            (100 * DAY_S, None),
            (186 * DAY_S, None),
            (
                186 * DAY_S + 1,
                Some(("expires in 13 days, on 1970-07-20", false)),
            ),
            (
                200 * DAY_S,
                Some(("expires in 0 days, on 1970-07-20", false)),
            ),
            (
                200 * DAY_S + 1,
                Some(("has expired on 1970-07-20T00:00:00Z", true)),
            ),
        ] {
            let found = dates(&validity, now_s);
            match (&found, expected) {
                (Some((text, is_urgent)), Some((words, expected))) => {
                    assert!(text.contains(words), "{text}");
                    assert_eq!(*is_urgent, expected, "{text}");
                }
                (found, expected) => assert_eq!(found.is_some(), expected.is_some(), "{now_s}"),
            }
        }
    }
}
