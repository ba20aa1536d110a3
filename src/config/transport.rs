//! Options of what lies between a listener's sockets and MQTT, TLS apart.

use super::error::Misdeed;
use super::line::Line;
use super::option::{ListenerDraft, Note};

/// `websockets_origin ORIGIN`: one that pages may have; several lines add up.
pub(super) fn origin(
    draft: &mut ListenerDraft,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    draft.origins.push(line.word(name)?.into());
    Ok(None)
}

/// `enable_proxy_protocol VERSION`: 1 or 2, or `true` (as HAProxy's `send-proxy` and `send-proxy-v2`). Either version
/// is accepted whichever is named: a proxy that one has set up is not an attacker.
pub(super) fn proxy_protocol(
    draft: &mut ListenerDraft,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    draft.socket.transport.proxy = match line.word(name)? {
        "1" | "2" | "true" => true,
        "0" | "false" => false,
        other => {
            return Err(Misdeed::NotOneOf {
                name,
                value: other.into(),
                choices: "1, 2, true, false".into(),
            });
        }
    };
    Ok(None)
}
