//! `/api/v1/live`: figures once a second, as server-sent events. From what shards have published: nobody is asked, and a viewer who
//! does not read gets fewer.

use std::rc::Rc;
use std::time::Duration;

use glommio::timer;
use hyper::body::Bytes;
use serde_json::json;

use super::figures;
use super::site::Api;
use super::viewers::Viewer;
use crate::control::sample::Of;
use crate::http::{Answer, Answering, Ask, Live, News};
use crate::limits;

const EVENTS: &str = "text/event-stream";

pub(super) fn live(api: Rc<Api>, _: Ask) -> Answering {
    let answer = match api.viewers.enter() {
        Some(viewer) => Answer::live(EVENTS, news(api, viewer)),
        None => Answer::status(503, "Too many look already.\n"),
    };
    Box::pin(async move { answer })
}

/// Now, and then once a second, until the viewer has to ask anew.
fn news(api: Rc<Api>, viewer: Viewer) -> Live {
    let mut looks = 0;
    Live(Box::new(move || {
        // It is one as long as this lives.
        let _ = &viewer;
        let (api, look) = (api.clone(), looks);
        looks += 1;
        let next: News = Box::pin(async move {
            if look == limits::LIVE_LOOKS_MAX {
                return None;
            }
            if look > 0 {
                timer::sleep(Duration::from_millis(limits::LIVE_MS)).await;
            }
            Some(event(&api))
        });
        next
    }))
}

fn event(api: &Api) -> Bytes {
    let snapshot = api.snapshot();
    let samples = snapshot.samples();
    let shards = (0..api.sources.shared.shards()).map(|shard| {
        let figures = figures::of(samples, Of::Shard(shard));
        json!({
            "shard": shard,
            "connections": figures.get("connections"),
            "turns": figures.get("turns"),
            "outbound_bytes": figures.get("outbound_bytes"),
            "publish_received": figures.get("publish_received"),
            "publish_sent": figures.get("publish_sent"),
        })
    });
    let data = json!({
        "uptime_seconds": api.sources.totals.uptime_s(),
        "figures": figures::of(samples, Of::Broker),
        "shards": shards.collect::<Vec<_>>(),
        "memory": {
            "rung": api.sources.memory.borrow().rung().name(),
            "figures": figures::of(samples, Of::Memory),
        },
    });
    // Browsers ask anew a second after the end.
    format!("retry: {}\ndata: {data}\n\n", limits::LIVE_MS).into()
}
