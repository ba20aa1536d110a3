//! `/api/v1/clients`, `/api/v1/subscriptions`, `/api/v1/retained`, `/api/v1/topics`: what shards are asked (`queries`).

use std::rc::Rc;

use super::shown::Shown;
use super::site::Api;
use crate::access::Access;
use crate::broker::Disconnected;
use crate::control::queries::{Refusal, answers, busiest};
use crate::http::{Answer, Answering, Ask};

/// In front of a client identifier.
const CLIENTS: &str = "/api/v1/clients/";

impl From<Result<String, Refusal>> for Answer {
    fn from(answered: Result<String, Refusal>) -> Answer {
        match answered {
            Ok(words) => Answer::json(words),
            Err(refusal) => Answer::status(refusal.status, refusal.text),
        }
    }
}

/// The client identifier in a path, which is the one that rights were asked for.
fn client_in(ask: &Ask) -> Result<String, Refusal> {
    let meant = ask.meant.as_deref();
    let meant = meant.map_err(|fault| Refusal::asked_wrongly(fault.to_string()))?;
    let client = meant.strip_prefix(CLIENTS);
    client
        .map(String::from)
        .ok_or_else(|| Refusal::nothing("There is no such client."))
}

/// What became of a client, for the log.
fn became(done: Disconnected) -> &'static str {
    match (done.was_connected, done.session_ended) {
        (true, true) => "disconnected, its session has ended",
        (true, false) => "disconnected, its session is kept",
        (false, true) => "it was not connected, its session has ended",
        (false, false) => "it was not connected, and nothing was done: its session is kept",
    }
}

/// What is spoken at the listener of this name.
fn transport(api: &Api, listener: &str) -> Option<&'static str> {
    let all = api.shown.borrow();
    let shown = all.iter().find(|shown| shown.name == listener);
    shown.map(Shown::transport)
}

pub(super) fn list(api: Rc<Api>, ask: Ask) -> Answering {
    Box::pin(async move {
        let transport = |listener: &str| transport(&api, listener);
        let answered = answers::clients(&api.sources.asking, &ask.query, transport).await;
        answered.into()
    })
}

pub(super) fn one(api: Rc<Api>, ask: Ask) -> Answering {
    Box::pin(async move {
        match client_in(&ask) {
            Ok(client) => {
                let transport = |listener: &str| transport(&api, listener);
                let answered = answers::client(&api.sources.asking, &client, transport).await;
                answered.into()
            }
            Err(refusal) => Err(refusal).into(),
        }
    })
}

pub(super) fn disconnect(api: Rc<Api>, ask: Ask) -> Answering {
    Box::pin(async move {
        match client_in(&ask) {
            Ok(client) => {
                match answers::disconnect(&api.sources.asking, &client, &ask.query).await {
                    Ok((words, done)) => Answer::json(words).of_deed(became(done)),
                    Err(refusal) => Err(refusal).into(),
                }
            }
            Err(refusal) => Err(refusal).into(),
        }
    })
}

pub(super) fn subscriptions(api: Rc<Api>, ask: Ask) -> Answering {
    Box::pin(async move {
        answers::subscriptions(&api.sources.asking, &ask.query)
            .await
            .into()
    })
}

pub(super) fn retained(api: Rc<Api>, ask: Ask) -> Answering {
    Box::pin(async move {
        let may_read = |topic: &str| ask.may(Access::Read, topic);
        let answered = answers::retained(&api.sources.asking, &ask.query, may_read).await;
        answered.into()
    })
}

pub(super) fn busiest_topics(api: Rc<Api>, ask: Ask) -> Answering {
    Box::pin(async move {
        let may_read = |topic: &str| ask.may(Access::Read, topic);
        let answered = busiest::busiest(&api.sources.asking, &ask.query, may_read).await;
        answered.into()
    })
}

pub(super) fn forget_retained(api: Rc<Api>, ask: Ask) -> Answering {
    Box::pin(async move {
        let may_write = |topic: &str| ask.may(Access::Write, topic);
        let answered = answers::forget_retained(&api.sources.asking, &ask.query, may_write).await;
        answered.into()
    })
}
