//! Figures of `$SYS`, for hosts whose broker has no listener of HTTP: a thread that is told of each publication, and what it makes of one.

use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::model::Look;
use super::news::News;
use super::scrape::{OfShard, Scrape, Told};
use super::subscriber::{Door, Topics};
use crate::limits;

/// A figure that every publication has.
const OURS: &str = "firehose/publish_received";

/// Follows what is published, until nobody looks any more.
pub(super) fn follow(door: &Door, to: &SyncSender<News>, began: Instant) {
    loop {
        let Err(trouble) = listen(door, to, began) else {
            return;
        };
        if to.send(News::Away(trouble)).is_err() {
            return;
        }
        thread::sleep(Duration::from_millis(limits::TOP_AGAIN_MS));
    }
}

/// Listens until nobody looks any more, or the broker is away: then why.
fn listen(door: &Door, to: &SyncSender<News>, began: Instant) -> Result<(), String> {
    let mut subscriber = door.open()?;
    loop {
        let (topics, at) = subscriber.next()?;
        if !topics.contains_key(OURS) {
            return Err(format!(
                "{}: this broker publishes nothing below $SYS/broker/firehose/, or the acl_file does not grant it.",
                door.address.url()
            ));
        }
        let look = look(topics, at.saturating_duration_since(began));
        if to.send(News::Look(Box::new(look))).is_err() {
            return Ok(());
        }
    }
}

/// What there is at a time, as if it had been answered over HTTP.
pub(super) fn look(topics: &Topics, at: Duration) -> Look {
    let uptime = topics.get("uptime").and_then(|text| text.split(' ').next());
    let shards = (0..u64::from(u8::MAX)).map_while(|shard| of_shard(topics, shard));
    let (shards, times): (Vec<Value>, Vec<OfShard>) = shards.unzip();
    let state = topics.get("firehose/store/state");
    Look {
        at,
        live: json!({
            "uptime_seconds": uptime.and_then(|text| text.parse::<u64>().ok()),
            "figures": figures(topics, "firehose/", &[
                "publish_received", "publish_sent", "bytes_received", "bytes_sent", "publish_dropped", "clients_connected",
                "clients_disconnected", "outbound_bytes",
            ]),
            "shards": shards,
        }),
        scrape: Some(Scrape {
            at,
            shards: (0..).zip(times).collect(),
        }),
        memory: json!({
            "rung": topics.get("firehose/memory/rung"),
            "figures": figures(topics, "firehose/memory/", &["permille", "used", "limit"]),
            "accounts": accounts(topics),
        }),
        // Nothing is published of a store that there is not.
        store: json!({"state": state}),
        clients: json!({"items": slowest(topics), "missing_shards": []}),
        // Nor of topics.
        topics: Value::Null,
        fault: None,
    }
}

fn number(topics: &Topics, name: &str) -> Option<u64> {
    topics.get(name)?.parse().ok()
}

/// Figures by their names.
fn figures(topics: &Topics, above: &str, names: &[&str]) -> Value {
    let named = names.iter().map(|name| {
        let value = number(topics, &format!("{above}{name}"));
        (name.to_string(), Value::from(value))
    });
    Value::Object(named.collect())
}

/// A shard, and how long its turns and sends took between the last two publications; `None` if there is no such shard.
fn of_shard(topics: &Topics, shard: u64) -> Option<(Value, OfShard)> {
    let above = format!("firehose/shard/{shard}/");
    let of = |name: &str| number(topics, &format!("{above}{name}"));
    let mut figures = figures(
        topics,
        &above,
        &["connections", "publish_received", "publish_sent"],
    );
    figures["shard"] = shard.into();
    // 0 is also what is said where there was none.
    let seconds = |name: &str| of(name).filter(|&us| us > 0).map(|us| us as f64 / 1e6);
    let told = Told {
        busy: of("busy_permille").map(|permille| permille as f64 / 1000.0),
        turn_p99: seconds("turn/p99_us"),
        delivery_p99: seconds("delivery/p99_us"),
    };
    let times = OfShard {
        sends: of("sends").map(|sends| sends as f64),
        told: Some(told),
        ..OfShard::default()
    };
    of("connections").map(|_| (figures, times))
}

fn accounts(topics: &Topics) -> Value {
    const ABOVE: &str = "firehose/memory/account/";
    let mut found = Map::new();
    for (name, value) in topics.range(ABOVE.to_string()..) {
        let Some(rest) = name.strip_prefix(ABOVE) else {
            break;
        };
        if let (Some((account, figure)), Ok(value)) = (rest.split_once('/'), value.parse::<u64>()) {
            found.entry(account).or_insert_with(|| json!({}))[figure] = value.into();
        }
    }
    Value::Object(found)
}

/// The clients that lag most, each with what is said of it; ranks that nobody has are empty.
fn slowest(topics: &Topics) -> Vec<Value> {
    let ranks = (1..=limits::SLOWEST_SHOWN).map_while(|rank| {
        let above = format!("firehose/slowest/{rank}/");
        let of = |name: &str| number(topics, &format!("{above}{name}"));
        let text = |name: &str| {
            topics
                .get(&format!("{above}{name}"))
                .filter(|text| !text.is_empty())
        };
        of("bytes").map(|bytes| {
            json!({
                "client_id": topics.get(&format!("{above}client")),
                "connected": true,
                "bytes_waiting": bytes,
                "messages_waiting": of("messages"),
                "lag_seconds": of("seconds"),
                "slow_consumer_policy": text("policy"),
            })
        })
    });
    ranks.collect()
}
