//! What it may be that messages are missing although no connection was lost: brokers say nothing of it.

use crate::load::result::{Report, Verification};

/// Hints for a reader of the figures; none where nothing is missing, or where it is plain why.
pub(super) fn hints(report: &Report) -> Vec<String> {
    let mut all = Verification::default();
    for step in report.runs.iter().flat_map(|run| &run.steps) {
        all.add(&step.verification);
    }
    let is_plain = all.disconnects > 0 || all.refused > 0 || all.lost == 0 || report.cut_short;
    if is_plain {
        return Vec::new();
    }
    let hint = match all.received {
        0 => nothing_arrived(report),
        _ => not_all_arrived(report),
    };
    hint.into_iter().collect()
}

/// The number of a setting; 0 where it is not known.
fn qos(report: &Report) -> u8 {
    let text = report.settings.get("qos");
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn nothing_arrived(report: &Report) -> Option<String> {
    let user = match report.settings.contains_key("username") {
        true => "this user",
        false => "a client without a user name",
    };
    let version = report.settings.get("mqtt").map(String::as_str);
    let says = shown_by(qos(report), version);
    Some(format!(
        "hint: nothing arrived at all: may {user} publish and read below bench/? {says}"
    ))
}

/// What shows that a right is missing.
fn shown_by(qos: u8, version: Option<&str>) -> &'static str {
    match (qos, version) {
        (0, _) => "at QoS 0 a broker does not say so; --qos 1 --mqtt 5 shows it",
        (_, Some("5")) => "its log may tell",
        _ => "before MQTT 5 a broker does not say so; --mqtt 5 shows it",
    }
}

/// A broker of our own has no such limits.
fn not_all_arrived(report: &Report) -> Option<String> {
    let is_own = report.broker.what.ends_with("(own process)");
    (!is_own).then(|| dropped_by(qos(report)).to_owned())
}

/// Why messages of somebody who takes them are missing.
fn dropped_by(qos: u8) -> &'static str {
    match qos {
        0 => {
            "hint: at QoS 0 a broker drops for clients that take less than comes; a lower rate, or --qos 1, tells whether \
             that is it"
        }
        _ => {
            "hint: no connection was lost, so the broker dropped what did not fit a client's queue: Mosquitto keeps \
             max_queued_messages (1000) behind max_inflight_messages (20) for each; 0 lifts them, or a lower rate stays \
             below"
        }
    }
}

/// All that may be said to whose workload publishes.
#[cfg(test)]
pub fn all() -> impl Iterator<Item = &'static str> {
    (0..=2).flat_map(|qos| {
        [
            shown_by(qos, None),
            shown_by(qos, Some("5")),
            dropped_by(qos),
        ]
    })
}
