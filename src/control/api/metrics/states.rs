//! What the broker is at the moment, as far as no part of it counts that.

use std::time::{Duration, Instant};

use super::page::{Labels, Page};
use crate::budget::Rung;
use crate::control::api::connections;
use crate::control::api::site::Api;
use crate::figure::Kind;
use crate::limits;
use crate::storage::State;

/// Puts it onto the page.
pub(super) fn show(api: &Api, page: &mut Page) {
    level(
        page,
        "firehose_ready",
        "1 when the broker should be sent clients, else 0; /readyz says why.",
        f64::from(u8::from(is_ready(api))),
    );
    let rung = api.sources.memory.borrow().rung();
    let place = Rung::ALL.iter().position(|&other| other == rung);
    level(
        page,
        "firehose_memory_rung",
        "The step of the ladder that the broker stands on: 0 calm, 1 trim, 2 shrink, 3 refuse, 4 slow, 5 drop, 6 shed.",
        place.unwrap_or(0) as f64,
    );
    level(
        page,
        "firehose_uptime_seconds",
        "Seconds since the broker was ready.",
        api.sources.totals.uptime_s() as f64,
    );
    store(api, page);
    transports(api, page);
    certificates(api, page);
}

fn level(page: &mut Page, name: &str, help: &str, value: f64) {
    page.put((name, Kind::Level, help), &Labels::default(), value);
}

/// As `/readyz` has it, without waiting for shards: each is asked once a second, and one that has told nothing for longer than it may
/// take to answer is silent.
fn is_ready(api: &Api) -> bool {
    let most = Duration::from_millis(limits::HTTP_READY_MS + limits::LIVE_MS);
    let now = Instant::now();
    let reports = api.reports.borrow();
    let fresh = reports
        .told()
        .filter(|(_, told)| now.saturating_duration_since(told.at) <= most);
    api.unready().is_none() && fresh.count() == api.sources.shards.len()
}

fn store(api: &Api, page: &mut Page) {
    let Some(state) = api.sources.store.state() else {
        return;
    };
    let help = "1 for the state that the store on the disk is in.";
    for (name, other) in [
        ("open", State::Open),
        ("full", State::Full),
        ("failed", State::Failed),
    ] {
        let labels = Labels::default().with("state", name);
        let value = u8::from(state == other).into();
        page.put_whole(("firehose_store_state", Kind::Level, help), &labels, value);
    }
}

fn transports(api: &Api, page: &mut Page) {
    let help = "Connections of clients, by what is spoken there.";
    let family = ("firehose_connections_by_transport", Kind::Level, help);
    for (name, count) in connections::by_transport(api) {
        let labels = Labels::default().with("transport", name);
        page.put_whole(family, &labels, count.into());
    }
}

fn certificates(api: &Api, page: &mut Page) {
    let help =
        "When the certificates of listeners and of their authorities end, in seconds since 1970.";
    let family = ("firehose_certificate_end_seconds", Kind::Level, help);
    for ((listener, subject), end_s) in connections::certificate_ends(api) {
        let labels = Labels::default().with_text("listener", &listener);
        let labels = labels.with_text("subject", &subject);
        page.put(family, &labels, end_s as f64);
    }
}
