//! `/api/v1/connections`: how many there are by version and by transport. `/api/v1/certificates`: how long those of listeners are valid.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::site::Api;
use crate::http::{Answer, Ask};

/// How many connections there are by transport, of all listeners.
pub(super) fn by_transport(api: &Api) -> [(&'static str, u32); 4] {
    let mut all = [("mqtt", 0), ("mqtts", 0), ("ws", 0), ("wss", 0)];
    for listener in api.sources.shared.listeners() {
        let plan = listener.transport();
        let place = 2 * usize::from(plan.websocket.is_some()) + usize::from(plan.tls.is_some());
        all[place].1 += listener.connections();
    }
    all
}

/// Seconds since 1970 at which the first certificate of a listener ends that has this subject, by listener and subject: a listener may
/// know an older and a newer one of an authority.
pub(super) fn certificate_ends(api: &Api) -> BTreeMap<(String, String), i64> {
    let mut ends = BTreeMap::new();
    for shown in api.shown.borrow().iter() {
        for (subject, last_s) in &shown.certificates {
            let end = ends.entry((shown.name.clone(), subject.clone()));
            let end = end.or_insert(*last_s);
            *end = (*end).min(*last_s);
        }
    }
    ends
}

/// `/api/v1/connections`.
pub(super) fn connections(api: &Api, _: &Ask) -> Answer {
    let snapshot = api.snapshot();
    let counters = snapshot.counters();
    let transports = by_transport(api).into_iter();
    let transports = transports.map(|(name, count)| (name.to_string(), count.into()));
    let json = json!({
        "versions": {
            "3.1": counters.clients_v31,
            "3.1.1": counters.clients_v311,
            "5": counters.clients_v5,
        },
        "transports": transports.collect::<Map<_, Value>>(),
    });
    Answer::json(json.to_string())
}

/// `/api/v1/certificates`: of each listener by its place in `/api/v1/listeners`.
pub(super) fn certificates(api: &Api, _: &Ask) -> Answer {
    let now_s = jiff::Timestamp::now().as_second();
    let all = api.shown.borrow();
    let of_listeners = all.iter().enumerate().flat_map(|(listener, shown)| {
        shown.certificates.iter().map(move |(subject, last_s)| {
            json!({
                "listener": listener,
                "subject": subject,
                "expires_in_seconds": last_s - now_s,
            })
        })
    });
    let certificates: Vec<_> = of_listeners.collect();
    Answer::json(json!({"certificates": certificates}).to_string())
}
