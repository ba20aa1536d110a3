//! Options of what lies between a listener's sockets and MQTT, TLS apart.

use crate::broker::Records;
use crate::config::draft::{ListenerDraft, Note};
use crate::config::error::{Misdeed, ValueFault};
use crate::config::line::Line;

/// `websockets_origin ORIGIN`: one that pages may have; several lines add up.
pub(crate) fn origin(
    draft: &mut ListenerDraft,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    draft.origins.push(line.word(name)?.into());
    Ok(None)
}

/// `http_host NAME`: one by which a listener of HTTP may be asked, beside addresses and localhost; several lines add up.
pub(crate) fn http_host(
    draft: &mut ListenerDraft,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    let word = line.word(name)?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if !word.bytes().all(is_name) {
        let rule = "the name of a host is wanted, without a scheme, a port or a path";
        return Err(Misdeed::value(name, word, ValueFault::Invalid { rule }));
    }
    draft.http.hosts.push(word.to_ascii_lowercase());
    Ok(None)
}

/// `tls_records auto|packet|full`: whether MQTT packets share a TLS record.
pub(crate) fn records(
    draft: &mut ListenerDraft,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    draft.records = match line.word(name)? {
        "auto" => None,
        "packet" => Some(Records::Packet),
        "full" => Some(Records::Full),
        other => {
            let choices = ["auto", "packet", "full"];
            return Err(Misdeed::not_one_of(name, other, &choices));
        }
    };
    Ok(None)
}

/// `enable_proxy_protocol VERSION`: 1 or 2, or `true` (as HAProxy's `send-proxy` and `send-proxy-v2`). Either version
/// is accepted whichever is named: a proxy that one has set up is not an attacker.
pub(crate) fn proxy_protocol(
    draft: &mut ListenerDraft,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    draft.is_proxied = match line.word(name)? {
        "1" | "2" | "true" => true,
        "0" | "false" => false,
        other => {
            let choices = ["1", "2", "true", "false"];
            return Err(Misdeed::not_one_of(name, other, &choices));
        }
    };
    Ok(None)
}
