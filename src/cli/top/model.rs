//! From what a broker has answered to the figures that are shown. Rates are what has come between two looks, over the time between them.

use std::time::Duration;

use clap::ValueEnum;
use serde_json::Value;

use super::scrape::{OfShard, Scrape, Told};
use crate::limits;

/// An order of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Order {
    Lag,
    Bytes,
    Messages,
    Name,
}

impl Order {
    pub(super) const ALL: [Order; 4] = [Order::Lag, Order::Bytes, Order::Messages, Order::Name];

    /// As the broker calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Order::Lag => "lag",
            Order::Bytes => "bytes",
            Order::Messages => "messages",
            Order::Name => "name",
        }
    }

    /// The one after it; the first after the last.
    pub(super) fn next(self) -> Order {
        Order::ALL[(self as usize + 1) % Order::ALL.len()]
    }
}

/// What was answered at one time. What could not be asked is null.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    /// Since the program began to look.
    pub at: Duration,
    /// An event of `/api/v1/live`.
    pub live: Value,
    pub scrape: Option<Scrape>,
    pub memory: Value,
    pub store: Value,
    pub clients: Value,
    pub topics: Value,
    /// Why something is missing.
    pub fault: Option<String>,
}

/// What has been counted: since the start, and in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counted {
    pub total: Option<u64>,
    pub per_s: Option<f64>,
}

/// Figures as they are shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Picture {
    pub uptime_s: Option<u64>,
    pub traffic: Traffic,
    pub connected: Option<u64>,
    pub away: Option<u64>,
    /// Bytes that wait for clients to take them.
    pub outbound: Option<u64>,
    pub shards: Vec<Shard>,
    pub memory: Memory,
    /// What the store says of itself; `None` where nothing is known.
    pub store: Option<String>,
    pub clients: Vec<Client>,
    /// Those that are published to most.
    pub topics: Vec<Topic>,
    /// Shards that have not told of their clients.
    pub missing: Vec<u64>,
    /// Shards with more sessions than are looked at for one answer.
    pub unfinished: Vec<u64>,
    pub fault: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Traffic {
    pub received: Counted,
    pub sent: Counted,
    pub bytes_received: Counted,
    pub bytes_sent: Counted,
    pub dropped: Counted,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Shard {
    pub number: u64,
    /// The part of the time that was spent in turns.
    pub busy: Option<f64>,
    /// Seconds.
    pub turn_p99: Option<f64>,
    /// Seconds.
    pub delivery_p99: Option<f64>,
    pub connections: Option<u64>,
    pub sends_per_s: Option<f64>,
    pub received: Counted,
    pub sent: Counted,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Memory {
    pub rung: String,
    /// Thousandths of the nearest of all limits.
    pub permille: Option<u64>,
    pub used: Option<u64>,
    pub limit: Option<u64>,
    /// The fullest first.
    pub accounts: Vec<Account>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Account {
    pub name: String,
    pub used: u64,
    pub limit: u64,
}

impl Account {
    /// The part of it that is used; more than 1 where it has more than its limit.
    pub(super) fn part(&self) -> f64 {
        match (self.used, self.limit) {
            (0, _) => 0.0,
            (_, 0) => 1.0,
            (used, limit) => used as f64 / limit as f64,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Client {
    pub id: String,
    pub user: Option<String>,
    pub address: Option<String>,
    pub policy: Option<String>,
    pub is_connected: bool,
    pub lag_s: Option<u64>,
    pub bytes: Option<u64>,
    pub messages: Option<u64>,
    pub in_flight: Option<u64>,
}

/// A topic that clients publish to, in the last minute.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Topic {
    pub name: String,
    pub messages_per_s: Option<f64>,
    /// Of payloads.
    pub bytes_per_s: Option<f64>,
    /// It has no more messages than this.
    pub most_per_s: Option<f64>,
}

/// The last look that a rate can be taken from.
#[derive(Default)]
pub(super) struct Model {
    before: Option<Look>,
}

impl Model {
    /// What is to be shown of a look; `None` if it came too soon after the one before.
    pub(super) fn picture(&mut self, look: Look) -> Option<Picture> {
        let before = self.before.as_ref();
        let elapsed = before.map(|before| look.at.saturating_sub(before.at));
        let least = Duration::from_millis(limits::TOP_RATE_MS_MIN);
        if elapsed.is_some_and(|elapsed| elapsed < least) {
            return None;
        }
        let picture = Picture::of(before, &look);
        self.before = Some(look);
        Some(picture)
    }

    /// The broker was away: the next look is a first one.
    pub(super) fn forget(&mut self) {
        self.before = None;
    }
}

/// A number at a place in an answer.
fn number(value: &Value, place: &str) -> Option<u64> {
    value.pointer(place)?.as_u64()
}

fn text(value: &Value, place: &str) -> Option<String> {
    Some(value.pointer(place)?.as_str()?.to_string())
}

fn list<'a>(value: &'a Value, place: &str) -> impl Iterator<Item = &'a Value> {
    value
        .pointer(place)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// How much has come in a second. `None` for what has become less: a broker that has begun anew.
fn per_second(before: f64, now: f64, elapsed: Duration) -> Option<f64> {
    let seconds = elapsed.as_secs_f64();
    (now >= before && seconds > 0.0).then(|| (now - before) / seconds)
}

/// Two answers to the same question.
struct Both<'a> {
    before: Option<(&'a Value, Duration)>,
    now: &'a Value,
}

impl Both<'_> {
    fn counted(&self, place: &str) -> Counted {
        let total = number(self.now, place);
        let per_s = self.before.and_then(|(before, elapsed)| {
            per_second(number(before, place)? as f64, total? as f64, elapsed)
        });
        Counted { total, per_s }
    }
}

impl Picture {
    /// Clients in this order, where the broker has not brought them into one.
    pub(super) fn sort(&mut self, order: Order) {
        let most = |of: fn(&Client) -> Option<u64>| {
            move |one: &Client, other: &Client| of(other).cmp(&of(one))
        };
        match order {
            Order::Lag => self.clients.sort_by(most(|client| client.lag_s)),
            Order::Bytes => self.clients.sort_by(most(|client| client.bytes)),
            Order::Messages => self.clients.sort_by(most(|client| client.messages)),
            Order::Name => self.clients.sort_by(|one, other| one.id.cmp(&other.id)),
        }
    }

    fn of(before: Option<&Look>, now: &Look) -> Picture {
        let live = &now.live;
        // Of a broker that has begun anew there is no look before.
        let uptime_s = number(live, "/uptime_seconds");
        let before = before.filter(|before| number(&before.live, "/uptime_seconds") <= uptime_s);
        let both = Both {
            before: before.map(|before| (&before.live, now.at.saturating_sub(before.at))),
            now: live,
        };
        let figure = |name: &str| both.counted(&format!("/figures/{name}"));
        let shards_of = |name| list(&now.clients, name).filter_map(Value::as_u64).collect();
        Picture {
            uptime_s,
            traffic: Traffic {
                received: figure("publish_received"),
                sent: figure("publish_sent"),
                bytes_received: figure("bytes_received"),
                bytes_sent: figure("bytes_sent"),
                dropped: figure("publish_dropped"),
            },
            connected: figure("clients_connected").total,
            away: figure("clients_disconnected").total,
            outbound: figure("outbound_bytes").total,
            shards: shards(before, now, &both),
            memory: memory(now),
            store: store(&now.store),
            clients: list(&now.clients, "/items").map(client).collect(),
            topics: list(&now.topics, "/items").map(topic).collect(),
            missing: shards_of("/missing_shards"),
            unfinished: shards_of("/unfinished_shards"),
            fault: now.fault.clone(),
        }
    }
}

fn shards(before: Option<&Look>, now: &Look, both: &Both<'_>) -> Vec<Shard> {
    let scrapes = before.and_then(|before| Some((before.scrape.as_ref()?, now.scrape.as_ref()?)));
    let one = |(place, shard): (usize, &Value)| {
        let number_of = number(shard, "/shard").unwrap_or(place as u64);
        let counted = |name: &str| both.counted(&format!("/shards/{place}/{name}"));
        let shown = Shard {
            number: number_of,
            connections: number(shard, "/connections"),
            received: counted("publish_received"),
            sent: counted("publish_sent"),
            ..Shard::default()
        };
        let of = scrapes.and_then(|(before, now)| {
            let elapsed = now.at.saturating_sub(before.at);
            let (before, now) = (before.shards.get(&number_of)?, now.shards.get(&number_of)?);
            Some((before, now, elapsed))
        });
        let shown = match of {
            Some((before, now, elapsed)) => with_times(shown, before, now, elapsed),
            None => shown,
        };
        let now_of = now
            .scrape
            .as_ref()
            .and_then(|now| now.shards.get(&number_of));
        match now_of.and_then(|now| now.told) {
            Some(told) => with_told(shown, told),
            None => shown,
        }
    };
    list(&now.live, "/shards").enumerate().map(one).collect()
}

fn with_times(shown: Shard, before: &OfShard, now: &OfShard, elapsed: Duration) -> Shard {
    let added = |of: fn(&OfShard) -> Option<f64>| per_second(of(before)?, of(now)?, elapsed);
    Shard {
        // What is told of a turn that ended just before is of a time before the look.
        busy: added(|of| of.busy_s).map(|busy| busy.min(1.0)),
        sends_per_s: added(|of| of.sends),
        turn_p99: now.turns.p99_since(&before.turns),
        delivery_p99: now.deliveries.p99_since(&before.deliveries),
        ..shown
    }
}

fn with_told(shown: Shard, told: Told) -> Shard {
    Shard {
        busy: told.busy,
        turn_p99: told.turn_p99,
        delivery_p99: told.delivery_p99,
        ..shown
    }
}

fn memory(now: &Look) -> Memory {
    let of = match now.memory.is_null() {
        // The rung and the whole are in the events too.
        true => &now.live["memory"],
        false => &now.memory,
    };
    let accounts = of["accounts"].as_object().into_iter().flatten();
    let account = |(name, of): (&String, &Value)| {
        Some(Account {
            name: name.clone(),
            used: number(of, "/used")?,
            limit: number(of, "/limit")?,
        })
    };
    let mut accounts: Vec<Account> = accounts.filter_map(account).collect();
    accounts.sort_by(|one, other| other.part().total_cmp(&one.part()));
    Memory {
        rung: text(of, "/rung").unwrap_or_default(),
        permille: number(of, "/figures/permille"),
        used: number(of, "/figures/used"),
        limit: number(of, "/figures/limit"),
        accounts,
    }
}

fn store(answer: &Value) -> Option<String> {
    match answer.get("state")? {
        Value::String(state) => Some(state.clone()),
        _ => Some("none".into()),
    }
}

fn client(row: &Value) -> Client {
    Client {
        id: text(row, "/client_id").unwrap_or_default(),
        user: text(row, "/username"),
        address: text(row, "/address"),
        policy: text(row, "/slow_consumer_policy"),
        is_connected: row["connected"] == Value::Bool(true),
        lag_s: number(row, "/lag_seconds"),
        bytes: number(row, "/bytes_waiting"),
        messages: number(row, "/messages_waiting"),
        in_flight: number(row, "/in_flight"),
    }
}

fn topic(row: &Value) -> Topic {
    let of = |name: &str| row[name].as_f64();
    Topic {
        name: text(row, "/topic").unwrap_or_default(),
        messages_per_s: of("messages_per_second"),
        bytes_per_s: of("payload_bytes_per_second"),
        most_per_s: of("at_most"),
    }
}
