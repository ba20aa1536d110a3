//! Words about refusals and ends: those of Mosquitto 2.1, by which programs like fail2ban find the addresses of those who try
//! passwords.

use crate::broker::peers::conn::PeerName;
use crate::escape::Name;
use crate::mqtt::ReasonCode;

/// Whether this is said to somebody who cannot prove who he is.
pub(in crate::broker) fn is_login(reason: ReasonCode) -> bool {
    reason == ReasonCode::NOT_AUTHORIZED || reason == ReasonCode::BAD_USER_NAME_OR_PASSWORD
}

/// A client id, or that there is none.
pub(in crate::broker) struct Id<'a>(pub &'a str);

impl std::fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            "" => f.write_str("<unknown>"),
            id => Name(id).fmt(f),
        }
    }
}

/// The line about the end of a connection; without a reason, of one that said goodbye.
pub(in crate::broker) fn ended(id: &str, address: &PeerName, why: &str) -> String {
    match why {
        "" => format!("Client {} [{address}] disconnected.", Id(id)),
        why => format!("Client {} [{address}] disconnected: {why}.", Id(id)),
    }
}

/// A reason in the words of Mosquitto 2.1, where it has any.
pub(in crate::broker) fn words(reason: ReasonCode) -> String {
    let known = match reason {
        ReasonCode::MALFORMED_PACKET => "malformed packet",
        ReasonCode::PROTOCOL_ERROR => "protocol error",
        ReasonCode::KEEP_ALIVE_TIMEOUT => "exceeded timeout",
        ReasonCode::SESSION_TAKEN_OVER => "session taken over",
        ReasonCode::PACKET_TOO_LARGE => "oversize packet",
        ReasonCode::ADMINISTRATIVE_ACTION => "administrative action",
        ReasonCode::QOS_NOT_SUPPORTED
        | ReasonCode::RETAIN_NOT_SUPPORTED
        | ReasonCode::BAD_AUTHENTICATION_METHOD => {
            "using not allowed feature (QoS too high, retain not supported, or bad AUTH method)"
        }
        reason if is_login(reason) => "not authorised",
        reason => return reason.name().to_lowercase(),
    };
    known.into()
}
