//! Why a broker was not reached, or has not answered as it should, and what to do about it: a line each, for people.

use std::io;
use std::net::TcpStream;

use super::address::Address;

/// What is asked for at a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Spoken {
    Http,
    Mqtt,
}

impl Spoken {
    /// What to look at where nobody is there.
    fn is_wanted(self, port: u16) -> String {
        match self {
            Spoken::Http => format!(
                "The broker has to have a listener for that, `listener {port} 127.0.0.1` and below it `protocol http_api`; --url or FIREHOSE_URL says where it is"
            ),
            Spoken::Mqtt => "--mqtt HOST:PORT says where the broker listens".into(),
        }
    }
}

/// Whether nobody listens there, which is on this host.
pub(in crate::cli) fn is_deserted(here: &Address) -> bool {
    let reached = TcpStream::connect((&here.host[..], here.port));
    reached.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Nobody was reached.
pub(in crate::cli) fn unreached(address: &Address, error: &io::Error, spoken: Spoken) -> String {
    let url = address.url();
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!(
                "{url}: nobody listens there (connection refused). {}.",
                spoken.is_wanted(address.port)
            )
        }
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => format!(
            "{url}: nobody answers there in time: another host has it, or a firewall is between. {}.",
            spoken.is_wanted(address.port)
        ),
        _ => format!("{url}: {error}."),
    }
}

/// A connection ended or failed before it had answered.
pub(in crate::cli) fn failed(address: &Address, error: &io::Error, spoken: Spoken) -> String {
    let url = address.url();
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            format!("{url}: the broker does not answer in time.")
        }
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => unanswered(address, &[], spoken),
        _ if address.is_tls => of_tls(&url, &error.to_string()),
        _ => format!("{url}: {error}."),
    }
}

/// The handshake of TLS has come to nothing.
pub(in crate::cli) fn no_tls(address: &Address, error: &io::Error) -> String {
    let url = address.url();
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            format!("{url}: no TLS is agreed on in time.")
        }
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => format!(
            "{url}: the connection ends in the TLS handshake: a listener without TLS does so (http://), and one that does not take the certificate of --cert."
        ),
        _ => of_tls(&url, &error.to_string()),
    }
}

/// What TLS says, and what it may be.
fn of_tls(url: &str, error: &str) -> String {
    let about = |words: &[&str]| words.iter().any(|word| error.contains(word));
    let hint = if about(&["UnknownIssuer", "unknown issuer", "CaUsedAsEndEntity"]) {
        ". --cafile FILE has to hold the authority that signed the broker's certificate, or that certificate itself where it signed itself"
    } else if about(&["NotValidForName", "not valid for name"]) {
        ". The URL has to have a name or an address that the broker's certificate holds"
    } else if about(&["Expired", "expired"]) {
        ". The broker's certificate has expired; --insecure takes it"
    } else if about(&["CertificateRequired", "certificate required"]) {
        ". The listener wants a certificate: --cert FILE with --key FILE"
    } else if about(&["received fatal alert"]) {
        ". The listener may not take the certificate of --cert, or want one"
    } else if about(&["InvalidContentType", "corrupt message", "InvalidMessage"]) {
        ". What answers does not speak TLS: http://"
    } else {
        ""
    };
    format!("{url}: {error}{hint}.")
}

/// What came is no answer; `bytes` is what did.
pub(in crate::cli) fn unanswered(address: &Address, bytes: &[u8], spoken: Spoken) -> String {
    let url = address.url();
    match (bytes, spoken) {
        // A record of TLS: an alert or a part of the handshake, versions 3.0 to 3.4.
        ([0x15 | 0x16, 0x03, 0..=4, ..], Spoken::Http) => {
            format!("{url}: the listener speaks TLS: https://.")
        }
        ([0x15 | 0x16, 0x03, 0..=4, ..], Spoken::Mqtt) => {
            format!("{url}: the listener speaks TLS: mqtts://.")
        }
        ([b'H', b'T', b'T', b'P', ..], Spoken::Mqtt) => {
            format!("{url}: the listener speaks HTTP: --url.")
        }
        ([], Spoken::Http) => format!(
            "{url}: the connection ends without an answer. A listener of MQTT does so, and one with TLS (https://): what is asked is one with `protocol http_api`."
        ),
        ([], Spoken::Mqtt) => format!(
            "{url}: the connection ends without an answer. A listener with TLS does so (mqtts://), and one of HTTP."
        ),
        (_, Spoken::Http) => {
            format!(
                "{url}: what answers there does not speak HTTP/1.1: what is asked is a listener with `protocol http_api`."
            )
        }
        (_, Spoken::Mqtt) => format!("{url}: what answers there does not speak MQTT."),
    }
}

/// Behind the words of a refusal: what to do. `who` asks, if he has named himself, with a password that came from there.
pub(in crate::cli) fn refused(status: u16, words: &str, who: Option<(&str, &str)>) -> String {
    match (status, who) {
        (401, None) => " (it wants a user: --username NAME with --password-file FILE; or --cert FILE with --key FILE, where it takes certificates)".into(),
        (401, Some((user, source))) => format!(" (the name `{user}` is not known there, or its password is another than that of {source})"),
        (403, None) if words.contains("acl_file") => " (nobody is named: --username NAME)".into(),
        (403, Some((user, _))) => format!(" (asked as `{user}`)"),
        // Of what is asked for, words say what there is not.
        (404, _) if words.is_empty() || words.starts_with("Not found") || words.starts_with('<') => {
            " (it has no such path: is it the listener with `protocol http_api` of a firehose?)".into()
        }
        _ => String::new(),
    }
}
