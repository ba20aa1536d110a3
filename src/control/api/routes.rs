//! Everything that can be asked for. What is not here is a file of `http_dir`, or nothing.

use hyper::Method;

use super::site::Api;
use super::{clients, connections, figures, health, hour, live, metrics, mosquitto, trace};
use crate::http::{Handler, Route};
use Handler::{Later, Now};

/// An endpoint is a line here, and a function of what is asked.
pub(super) static ROUTES: &[Route<Api>] = &[
    open("/healthz", Now(health::alive)),
    open("/readyz", Later(health::ready)),
    probe("/metrics", Later(metrics::metrics)),
    look("/metrics/mosquitto", Now(metrics::mosquitto)),
    look("/api/v1/version", Now(mosquitto::version)),
    look("/api/v1/systree", Now(mosquitto::systree)),
    look("/api/v1/listeners", Now(mosquitto::listeners)),
    look("/api/v1/clients", Later(clients::list)),
    look("/api/v1/clients/*", Later(clients::one)),
    delete("/api/v1/clients/*", Later(clients::disconnect)),
    look("/api/v1/subscriptions", Later(clients::subscriptions)),
    look("/api/v1/retained", Later(clients::retained)),
    delete("/api/v1/retained", Later(clients::forget_retained)),
    look("/api/v1/topics", Later(clients::busiest_topics)),
    look("/api/v1/shards", Now(figures::shards)),
    look("/api/v1/memory", Now(figures::memory)),
    look("/api/v1/store", Now(figures::store)),
    look("/api/v1/live", Later(live::live)),
    look("/api/v1/trace", Later(trace::trace)),
    look("/api/v1/openapi.json", Now(figures::openapi)),
    look("/api/v1/certificates", Now(connections::certificates)),
    look("/api/v1/connections", Now(connections::connections)),
    look("/api/v1/history", Now(hour::history)),
];

/// For whoever may read the topic that the path is.
const fn look(path: &'static str, handler: Handler<Api>) -> Route<Api> {
    Route {
        method: Method::GET,
        path,
        is_open: false,
        is_probe: false,
        handler,
    }
}

/// The same for who asks how the broker is.
const fn probe(path: &'static str, handler: Handler<Api>) -> Route<Api> {
    Route {
        method: Method::GET,
        path,
        is_open: false,
        is_probe: true,
        handler,
    }
}

/// For users only, who may write to the topic that the path is.
const fn delete(path: &'static str, handler: Handler<Api>) -> Route<Api> {
    Route {
        method: Method::DELETE,
        path,
        is_open: false,
        is_probe: false,
        handler,
    }
}

/// For everybody: who looks after the broker has no password.
const fn open(path: &'static str, handler: Handler<Api>) -> Route<Api> {
    Route {
        method: Method::GET,
        path,
        is_open: true,
        is_probe: true,
        handler,
    }
}
