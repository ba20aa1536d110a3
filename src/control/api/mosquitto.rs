//! The three endpoints of Mosquitto 2.1 (`src/http_api.c` there), with the bodies that it gives them: `version`, `systree` and
//! `listeners`. Its dashboard and its scripts find here what they look for.

use std::fmt::Write;

use super::site::Api;
use crate::http::{Answer, Ask};
use crate::shard::Metric;

/// What Mosquitto has in `systree`, in its order, by the names below `$SYS/broker/`. `packet/out/count` is not counted here.
const SYSTREE: [&str; 21] = [
    "clients/total",
    "clients/maximum",
    "clients/disconnected",
    "clients/connected",
    "clients/expired",
    "messages/stored",
    "store/messages/bytes",
    "subscriptions/count",
    "shared_subscriptions/count",
    "retained messages/count",
    "heap/current",
    "heap/maximum",
    "messages/received",
    "messages/sent",
    "bytes/received",
    "bytes/sent",
    "publish/bytes/received",
    "publish/bytes/sent",
    "publish/messages/dropped",
    "publish/messages/received",
    "publish/messages/sent",
];

/// `/api/v1/version`: a number, and nothing else.
pub(super) fn version(_: &Api, _: &Ask) -> Answer {
    Answer::text(env!("CARGO_PKG_VERSION"))
}

/// `/api/v1/systree`: integers by their topics.
pub(super) fn systree(api: &Api, _: &Ask) -> Answer {
    let snapshot = api.snapshot();
    let totals = &api.sources.totals;
    totals.sample(&api.sources.shared);
    let values = totals.values(snapshot.counters());
    let named = |name: &'static str| {
        let found = values.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (name, *value))
    };
    let mut fields: Vec<(&str, u64)> = SYSTREE.into_iter().filter_map(named).collect();
    fields.push(("packet/out/bytes", snapshot.counters().outbound_bytes));
    let sockets = snapshot.of_threads(Metric::Connections);
    fields.push(("connections/socket/count", sockets));
    fields.push(("uptime", totals.uptime_s()));
    let fields = fields
        .iter()
        .map(|(name, value)| (format!("$SYS/broker/{name}"), value.to_string()));
    let mut text = String::new();
    object(&mut text, 0, fields);
    Answer::json(text)
}

/// `/api/v1/listeners`.
pub(super) fn listeners(api: &Api, _: &Ask) -> Answer {
    let all = api.shown.borrow();
    let mut text = String::from("{\n\t\"listeners\":\t[");
    for (index, shown) in all.iter().enumerate() {
        text += if index > 0 { ", " } else { "" };
        let (place, value) = &shown.place;
        let fields = [
            (*place, value.clone()),
            ("protocol", format!("\"{}\"", shown.protocol)),
            ("tls", shown.tls.to_string()),
            ("mtls", shown.mtls.to_string()),
            ("allow_anonymous", shown.allow_anonymous.to_string()),
        ];
        let fields = fields.map(|(name, value)| (String::from(name), value));
        object(&mut text, 2, fields);
    }
    text += "]\n}";
    Answer::json(text)
}

/// An object in the form that cJSON prints: with tabs, one for each level. Values are JSON already, names need no escapes.
fn object(out: &mut String, depth: usize, fields: impl IntoIterator<Item = (String, String)>) {
    let tabs = "\t".repeat(depth);
    out.push('{');
    for (index, (name, value)) in fields.into_iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        // Writing to a `String` does not fail.
        let _ = write!(out, "{comma}\n{tabs}\t\"{name}\":\t{value}");
    }
    let _ = write!(out, "\n{tabs}}}");
}
