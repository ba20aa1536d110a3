//! Any bytes as requests, as far as they can be read without a shard: routes, parameters, and places to go on from. For fuzzing and
//! random tests.

use hyper::Method;

use super::fields::Fields;
use super::paged::{Clients, Paged, Retained, SubscriptionsOf, Who};
use crate::http::{self, Answer, Ask, Handler, Route};

/// Fields of all lists.
const KNOWN: [&str; 9] = [
    "sort",
    "connected",
    "prefix",
    "limit",
    "after",
    "topic",
    "filter",
    "client",
    "end_session",
];

static ROUTES: &[Route<()>] = &[
    route(Method::GET, "/healthz", true),
    route(Method::GET, "/api/v1/clients", false),
    route(Method::GET, "/api/v1/clients/*", false),
    route(Method::DELETE, "/api/v1/clients/*", false),
    route(Method::GET, "/api/v1/retained", false),
];

const fn route(method: Method, path: &'static str, is_open: bool) -> Route<()> {
    Route {
        method,
        path,
        is_open,
        is_probe: is_open,
        handler: Handler::Now(read),
    }
}

/// A place is read as it is written, and what is no place is none.
fn check<P: Paged>(after: &str) {
    if let Some(from) = P::parse(after) {
        let text = P::text(&from);
        assert!(P::parse(&text).is_some_and(|again| P::text(&again) == text));
    }
}

fn read(_: &(), ask: &Ask) -> Answer {
    let fields = match Fields::of(&ask.query, &KNOWN) {
        Ok(fields) => fields,
        Err(refusal) => return Answer::status(refusal.status, refusal.text),
    };
    let after = fields.get("after").unwrap_or_default();
    let after = after.split_once('.').map_or(after, |(_, from)| from);
    check::<Clients>(after);
    check::<SubscriptionsOf>(after);
    check::<Who>(after);
    check::<Retained>(after);
    let is_set = fields.is_set("connected");
    match (fields.limit(), is_set) {
        (Ok(_), Ok(_)) => Answer::text("read\n"),
        (Err(refusal), _) | (_, Err(refusal)) => Answer::status(refusal.status, refusal.text),
    }
}

/// Reads them, and answers.
pub fn any_requests(bytes: &[u8]) {
    http::any_requests(bytes, (), ROUTES);
}
