//! `/api/v1/connections`: how many there are by version and by transport. `/api/v1/certificates`: how long those of listeners are valid.

use serde_json::json;

use super::site::Api;
use crate::http::{Answer, Ask};

const JSON: &str = "application/json";

/// `/api/v1/connections`.
pub(super) fn connections(api: &Api, _: &Ask) -> Answer {
    let snapshot = api.snapshot();
    let counters = snapshot.counters();
    let [mut mqtt, mut mqtts, mut ws, mut wss] = [0u32; 4];
    for listener in api.sources.shared.listeners() {
        let plan = listener.transport();
        let count = match (plan.websocket.is_some(), plan.tls.is_some()) {
            (false, false) => &mut mqtt,
            (false, true) => &mut mqtts,
            (true, false) => &mut ws,
            (true, true) => &mut wss,
        };
        *count += listener.connections();
    }
    let json = json!({
        "versions": {
            "3.1": counters.clients_v31,
            "3.1.1": counters.clients_v311,
            "5": counters.clients_v5,
        },
        "transports": {
            "mqtt": mqtt,
            "mqtts": mqtts,
            "ws": ws,
            "wss": wss,
        },
    });
    Answer::ok(JSON, json.to_string())
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
    Answer::ok(JSON, json!({"certificates": certificates}).to_string())
}
