//! A ledger as lines, to be compared.

use crate::journal::{InFlightRead, KeptMessage, Ledger, SessionRead};
use crate::mqtt::QoS;
use crate::session::Way;

fn way(way: Way) -> String {
    let grant = way.grant;
    let mark = |is_set: bool, mark: &'static str| if is_set { mark } else { "" };
    let id = match grant.id() {
        0 => String::new(),
        id => format!(" id {id}"),
    };
    format!("{}{}{id}", u8::from(grant.qos()), mark(grant.retain(), "r"))
}

pub(super) fn message(kept: &KeptMessage) -> String {
    let message = &kept.message;
    let author = message.author.as_deref();
    let author = author.map(|author| {
        let listener = author.came_by.name().text();
        let (user, id) = (author.user.as_deref(), author.client_id.as_deref());
        format!(
            " by {}/{}/{listener}",
            id.unwrap_or("-"),
            user.unwrap_or("-")
        )
    });
    let expires_at = kept.expires_at().map(|at| format!(" until {at}"));
    let properties: String = message
        .properties
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!(
        "{} '{}' {}{}{}{}{}",
        &*message.topic,
        String::from_utf8_lossy(&message.payload),
        u8::from(message.qos),
        if message.retain { "r" } else { "" },
        expires_at.unwrap_or_default(),
        author.unwrap_or_default(),
        if properties.is_empty() {
            properties
        } else {
            format!(" {properties}")
        }
    )
}

fn session(ledger: &Ledger, one: &SessionRead, lines: &mut Vec<String>) {
    let by_number = |number| message(ledger.message(number).unwrap());
    let owner = one.owner.as_ref();
    let owner =
        owner.map(|(user, listener)| format!("{}/{listener}", user.as_deref().unwrap_or("-")));
    lines.push(format!(
        "{} {} expiry {} {} ends {:?}",
        one.client_id,
        owner.unwrap_or_default(),
        one.expiry_s,
        if one.is_there { "there" } else { "away" },
        one.ends_at,
    ));
    for ((share, filter), options) in &one.subscriptions {
        let mark = |is_set: bool, mark: &'static str| if is_set { mark } else { "" };
        let retain = options.grant(QoS::AtMostOnce, true).retain();
        lines.push(format!(
            "  to {}{filter} {}{}{} id {}",
            share
                .as_deref()
                .map_or(String::new(), |share| format!("[{share}] ")),
            u8::from(options.qos()),
            mark(options.no_local(), " no local"),
            mark(retain, " retain as published"),
            options.id(),
        ));
    }
    lines.extend(one.inbound.iter().map(|id| format!("  inbound {id}")));
    // With QoS 2 and without a message, what is next is the release: those come first in a file.
    let is_released = |frame: &&InFlightRead| frame.number.is_none();
    for frame in one.in_flight().filter(is_released) {
        lines.push(format!("  released {}", frame.id));
    }
    for frame in one.in_flight().filter(|frame| !is_released(frame)) {
        let text = frame.number.map(by_number).unwrap_or_default();
        lines.push(format!("  sent {} {}: {text}", frame.id, way(frame.way)));
    }
    let waiting = one
        .waiting()
        .map(|(number, by)| format!("  waits {}: {}", way(by), by_number(number)));
    lines.extend(waiting);
}

/// All that a ledger has. Numbers of sessions, of messages and of frames are left out.
pub(super) fn lines(ledger: &Ledger) -> Vec<String> {
    let mut lines = Vec::new();
    let mut sessions: Vec<_> = ledger.sessions().map(|(_, session)| session).collect();
    sessions.sort_by_key(|session| &session.client_id);
    for one in sessions {
        session(ledger, one, &mut lines);
    }
    let mut retained: Vec<_> = ledger.retained().map(|(_, kept)| message(kept)).collect();
    retained.sort();
    lines.extend(retained.iter().map(|kept| format!("retained {kept}")));
    lines
}
