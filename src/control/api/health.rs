//! Whether the broker lives, and whether it should be sent clients.

use std::rc::Rc;

use super::site::Api;
use crate::http::{Answer, Answering, Ask};
use crate::limits;
use crate::storage::State;

/// `/healthz`: who hears this is answered.
pub(super) fn alive(_: &Api, _: &Ask) -> Answer {
    Answer::text("ok\n")
}

/// `/readyz`: all shards answer, and new clients would be let in. A store that is full or fails keeps nobody out: it is said, and who looks
/// after the disk has figures and alerts for it.
pub(super) fn ready(api: Rc<Api>, _: Ask) -> Answering {
    Box::pin(async move {
        let mut reason = api.unready();
        if reason.is_none() {
            let silent = api.ask_shards(limits::HTTP_READY_MS).await;
            // What has come meanwhile counts too.
            reason = api.unready().or_else(|| unanswered(&silent));
        }
        match reason {
            None => Answer::text(match api.sources.store.state() {
                None | Some(State::Open) => "ready\n",
                Some(State::Full) => "ready; the store is full\n",
                Some(State::Failed) => "ready; the store has failed\n",
            }),
            Some(reason) => Answer::status(503, format!("not ready: {reason}\n")),
        }
    })
}

/// What is to be said of shards that do not answer.
fn unanswered(silent: &[u8]) -> Option<String> {
    let names: Vec<String> = silent.iter().map(u8::to_string).collect();
    match silent.len() {
        0 => None,
        1 => Some(format!("shard {} does not answer", names.join(""))),
        _ => Some(format!("shards {} do not answer", names.join(", "))),
    }
}
