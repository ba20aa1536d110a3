//! Mosquitto's figures by the names of mosquitto-exporter (sapcc and its forks): a topic of `$SYS` without `$SYS/`, with `_` where
//! that has `/` or a blank. Dashboards that were made for it show this broker when they are given this address.

use std::fmt::Write;

use super::page::Form;
use crate::control::api::site::Api;
use crate::http::{Answer, Ask};

/// What it shows as counters; everything else is a gauge.
const COUNTERS: [&str; 7] = [
    "bytes/received",
    "bytes/sent",
    "messages/received",
    "messages/sent",
    "publish/messages/received",
    "publish/messages/sent",
    "publish/messages/dropped",
];

/// What it leaves out.
const IGNORED: [&str; 2] = ["clients/active", "clients/inactive"];

/// `/metrics/mosquitto`. Counters have no `_total` there, which OpenMetrics would not bear.
pub(in crate::control::api) fn mosquitto(api: &Api, _: &Ask) -> Answer {
    let totals = &api.sources.totals;
    totals.sample(&api.sources.shared);
    let snapshot = api.snapshot();
    let mut out = String::new();
    for (name, value) in totals.values(snapshot.counters()) {
        put(&mut out, name, value as f64);
    }
    for (name, value) in totals.last_loads() {
        put(&mut out, &name, value);
    }
    put(&mut out, "uptime", totals.uptime_s() as f64);
    Answer::ok(Form::Text.kind(), out)
}

fn put(out: &mut String, name: &str, value: f64) {
    if IGNORED.contains(&name) {
        return;
    }
    let kind = match COUNTERS.contains(&name) {
        true => "counter",
        false => "gauge",
    };
    let metric = format!("broker_{}", name.replace(['/', ' '], "_"));
    // Writing to a `String` does not fail.
    let _ = write!(
        out,
        "# HELP {metric} $SYS/broker/{name}\n# TYPE {metric} {kind}\n{metric} {value}\n"
    );
}
