//! Handlers, without a socket.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use hdrhistogram::Histogram;

use super::routes::ROUTES;
use super::site::Api;
use super::*;
use crate::budget::{Plan, Pool, Rung};
use crate::control::Executor;
use crate::control::log::LostLines;
use crate::control::memory::Monitor;
use crate::control::queries::Asking;
use crate::control::store::Store;
use crate::control::totals::Totals;
use crate::http::{Answer, Ask, Handler};
use crate::shard::{Metrics, ShardCommand, ShardHandle, ShardInbox, ShardReport, Shared, commands};

/// An api over shards whose commands the test takes.
pub(super) struct World {
    pub api: Rc<Api>,
    pub inboxes: Vec<ShardInbox>,
}

impl World {
    pub(super) fn new(shards: u8) -> World {
        let pool = Arc::new(Pool::new(&Plan::even(1 << 20), shards));
        let shared = Shared::new(shards, Vec::new(), None, pool.clone());
        let (handles, inboxes) = (0..shards).map(|_| commands().unwrap()).unzip();
        let lost = LostLines {
            own: Arc::new(AtomicU64::new(0)),
            refused: Arc::new(AtomicU64::new(0)),
        };
        let handles: Vec<ShardHandle> = handles;
        let asking = Rc::new(Asking::new(handles.clone(), pool.clone()));
        let api = Api::new(Sources {
            shared,
            shards: handles,
            asking,
            memory: Rc::new(RefCell::new(Monitor::new(pool))),
            store: Store(Some(Arc::default())),
            lost,
            totals: Rc::new(Totals::new()),
            ending: Rc::default(),
        });
        let api = Rc::new(api);
        World { api, inboxes }
    }

    pub(super) fn get(&self, target: &str) -> Answer {
        self.ask(Ask::get(target))
    }

    pub(super) fn ask(&self, ask: Ask) -> Answer {
        let route = ROUTES.iter().find(|route| route.path == ask.path).unwrap();
        match &route.handler {
            Handler::Now(handler) => handler(&self.api, &ask),
            Handler::Later(handler) => {
                let executor = Executor::new().unwrap();
                executor.0.run(handler(self.api.clone(), ask))
            }
        }
    }

    /// A shard that answers each report with turns of so many nanoseconds.
    pub(super) fn answer(&mut self, turns: &[u64]) -> std::thread::JoinHandle<()> {
        let inbox = self.inboxes.remove(0);
        let mut turn_ns = Histogram::new_with_bounds(1, 1 << 40, 2).unwrap();
        turns.iter().for_each(|&ns| turn_ns.record(ns).unwrap());
        let report = ShardReport {
            metrics: Metrics::default(),
            delivery_us: turn_ns.clone(),
            turn_ns,
        };
        std::thread::spawn(move || {
            while let Some(command) = inbox.next() {
                if let ShardCommand::Report(to) = command {
                    to.give(report.clone());
                }
            }
        })
    }
}

#[test]
fn paths_are_there_once_for_each_method() {
    for (index, route) in ROUTES.iter().enumerate() {
        let mut before = ROUTES[..index].iter();
        assert!(!before.any(|other| (&other.method, other.path) == (&route.method, route.path)));
        assert!(route.path.starts_with('/') && !route.path.ends_with('/'));
    }
}

#[test]
fn all_that_can_be_asked_for_is_described() {
    let all: serde_json::Value = serde_json::from_str(include_str!("openapi.json")).unwrap();
    let below = ROUTES
        .iter()
        .filter(|route| route.path.starts_with("/api/v1/"));
    for route in below {
        let path = route.path.replace('*', "{client_id}");
        let method = route.method.as_str().to_lowercase();
        let responses = &all["paths"][&path][&method]["responses"];
        for status in ["200", "401"] {
            assert!(responses[status].is_object(), "{method} {path}: {status}");
        }
    }
}

#[test]
fn the_bodies_of_mosquitto_are_as_cjson_prints_them() {
    let world = World::new(2);
    assert_eq!(
        world.get("/api/v1/version").words(),
        env!("CARGO_PKG_VERSION")
    );
    let systree = world.get("/api/v1/systree");
    let start = "{\n\t\"$SYS/broker/clients/total\":\t0,\n\t\"$SYS/broker/clients/maximum\":\t0,\n";
    assert!(systree.words().starts_with(start), "{}", systree.words());
    let value: serde_json::Value = serde_json::from_str(systree.words()).unwrap();
    let fields = value.as_object().unwrap();
    assert_eq!(fields.len(), 24);
    assert!(fields.values().all(serde_json::Value::is_u64));
    assert!(fields["$SYS/broker/heap/current"].as_u64() > Some(0));
    let config = crate::config::Config::default();
    world.api.shown.replace(shown(&config));
    let text = world.get("/api/v1/listeners");
    let one = "{\n\t\t\t\"port\":\t1883,\n\t\t\t\"protocol\":\t\"mqtt\",\n\t\t\t\"tls\":\tfalse,\n\t\t\t\"mtls\":\tfalse,\
               \n\t\t\t\"allow_anonymous\":\ttrue\n\t\t}";
    assert_eq!(
        text.words(),
        format!("{{\n\t\"listeners\":\t[{one}, {one}]\n}}")
    );
}

#[test]
fn listeners_are_shown_by_path_and_protocol() {
    let mut config = crate::config::Config::default();
    config.listeners.truncate(1);
    config.listeners[0].socket.path = Some("/run/a\"b".into());
    config.http.push(crate::config::HttpListener::default());
    config.http[0].listener.socket.port = 9883;
    let world = World::new(1);
    world.api.shown.replace(shown(&config));
    let text = world.get("/api/v1/listeners");
    let value: serde_json::Value = serde_json::from_str(text.words()).unwrap();
    let all = value["listeners"].as_array().unwrap();
    assert_eq!(all[0]["path"], "/run/a\"b");
    assert_eq!(
        (&all[1]["port"], &all[1]["protocol"]),
        (&9883.into(), &"httpapi".into())
    );
}

/// The end, memory, and each shard.
#[test]
fn it_is_ready_while_everybody_answers() {
    let mut world = World::new(2);
    assert_eq!(world.get("/healthz").status, 200);
    let first = world.answer(&[1000]);
    let answer = world.get("/readyz");
    let wanted = "not ready: shard 1 does not answer\n";
    assert_eq!((answer.status, answer.words()), (503, wanted));
    let second = world.answer(&[1000]);
    assert_eq!(world.get("/readyz").status, 200);
    world.api.sources.shared.pool().set_rung(Rung::Refuse);
    let answer = world.get("/readyz");
    assert!(answer.status == 503 && answer.words().contains("memory"));
    world.api.sources.shared.pool().set_rung(Rung::Shrink);
    world.api.sources.shared.begin_restoring();
    assert!(world.get("/readyz").words().contains("taken up"));
    world.api.sources.ending.begin("SIGTERM");
    assert!(world.get("/readyz").words().contains("ends"));
    assert_eq!(world.get("/healthz").words(), "ok\n");
    drop(world);
    first.join().unwrap();
    second.join().unwrap();
}

/// A probe a second must not fill the queue of a shard that stands still.
#[test]
fn a_shard_is_asked_again_when_it_has_answered() {
    let world = World::new(1);
    for _ in 0..3 {
        assert_eq!(world.get("/readyz").status, 503);
    }
    let World { api, inboxes } = world;
    drop(api);
    assert!(inboxes[0].next().is_some());
    assert!(inboxes[0].next().is_none());
}
