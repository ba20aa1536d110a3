//! Whole answers, from two brains that are asked as shards are.

use std::future::Future;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use glommio::{LocalExecutorBuilder, Placement};
use proptest::prelude::*;
use serde_json::Value;

use super::answers;
use super::*;
use crate::broker::{Broker, Page, Peer, Query, RankedPage, Reply, Settings, home, owner_of_topic};
use crate::budget::{Account, Charge, Plan, Pool};
use crate::ids::ShardId;
use crate::limits;
use crate::mqtt::message::{Holders, Message, NEVER, Sent};
use crate::mqtt::{ConnectOut, PacketId, QoS, SubscribeOptions, SubscribeOut, Topic, Version};
use crate::shard::{ShardCommand, ShardHandle, ShardInbox, commands};

const SHARDS: u8 = 2;
const CLIENTS: usize = 50;

fn name(number: usize) -> String {
    format!("client-{number:02}")
}

/// A brain with those of the clients that are at home with it, each subscribed to `all/#`, and those of the retained messages.
fn brain(shard: ShardId) -> Broker {
    let mut broker = Broker::new(Arc::new(Settings::default()), shard, SHARDS, 1);
    for number in (0..CLIENTS).filter(|&number| home(&name(number), SHARDS) == shard) {
        let peer = Peer {
            address: "127.0.0.1:4000".parse().unwrap(),
            listener: 0,
        };
        let conn = broker.on_accept(1000, peer);
        let mut bytes = Vec::new();
        ConnectOut {
            client_id: &name(number),
            clean_start: true,
            ..ConnectOut::default()
        }
        .encode(Version::V311, &mut bytes);
        SubscribeOut {
            packet_id: PacketId::new(1).unwrap(),
            subscription_id: None,
            filters: &[("all/#", SubscribeOptions::with_qos(QoS::AtLeastOnce))],
            user_properties: &[],
        }
        .encode(Version::V311, &mut bytes);
        broker.on_bytes(1000, conn, &bytes);
    }
    for number in 0..CLIENTS {
        let topic = format!("kept/{number}");
        if owner_of_topic(&topic, SHARDS) == shard {
            broker.on_publish(1000, retained(&topic));
        }
    }
    broker
}

fn retained(topic: &str) -> Message {
    Message {
        topic: Topic::new(topic).unwrap(),
        payload: Bytes::from_static(b"hello"),
        properties: Bytes::new(),
        qos: QoS::AtMostOnce,
        retain: true,
        expires_at_ms: NEVER,
        origin: 0,
        author: None,
        sent: Sent::default(),
        holders: Holders::default(),
    }
}

/// A shard that does nothing but answer, until nobody can ask any more.
fn shard(shard: ShardId) -> (ShardHandle, JoinHandle<()>) {
    let (handle, inbox) = commands().unwrap();
    let run = move || {
        answer_all(&mut brain(shard), &inbox);
    };
    (handle, thread::spawn(run))
}

/// Answers until nobody can ask any more.
fn answer_all(broker: &mut Broker, inbox: &ShardInbox) {
    while let Some(command) = inbox.next() {
        match command {
            ShardCommand::Query(query, to) => to.give(broker.on_query(2000, *query)),
            ShardCommand::Deed(deed, to) => to.give(broker.on_deed(2000, *deed)),
            _ => {}
        }
    }
}

fn pool() -> Arc<Pool> {
    Arc::new(Pool::new(&Plan::unbounded(), SHARDS))
}

/// Runs on an executor, with two shards that answer.
fn run<F: Future>(with: impl FnOnce(Asking) -> F) -> F::Output {
    let (handles, threads): (Vec<_>, Vec<_>) =
        (0..SHARDS).map(|number| shard(ShardId(number))).unzip();
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .make()
        .unwrap();
    let output = executor.run(with(Asking::new(handles, pool())));
    for thread in threads {
        thread.join().unwrap();
    }
    output
}

/// What is spoken where clients come by.
fn spoken(_: &str) -> Option<&'static str> {
    Some("mqtt")
}

fn json(answered: Result<String, Refusal>) -> Value {
    serde_json::from_str(&answered.unwrap()).unwrap()
}

fn names(page: &Value, field: &str) -> Vec<String> {
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|item| item[field].as_str().unwrap().into())
        .collect()
}

/// All pages of a list; `ask` is given what stands behind the `?`.
async fn all<F: Future<Output = Result<String, Refusal>>>(
    field: &str,
    query: &str,
    ask: impl Fn(String) -> F,
) -> Vec<String> {
    let (mut found, mut query_next) = (Vec::new(), query.to_string());
    loop {
        let page = json(ask(query_next).await);
        assert_eq!(page["missing_shards"].as_array().unwrap().len(), 0);
        found.extend(names(&page, field));
        let Some(next) = page["next"].as_str() else {
            return found;
        };
        query_next = format!("{query}&after={next}");
    }
}

#[test]
fn lists_over_shards_have_everything_once() {
    run(|asking| async move {
        let expected: Vec<String> = (0..CLIENTS).map(name).collect();
        for limit in [1, 7, 1000] {
            let query = format!("limit={limit}");
            let ask = async |query: String| answers::clients(&asking, &query, spoken).await;
            let mut found = all("client_id", &query, ask).await;
            found.sort();
            assert_eq!(found, expected, "{limit}");
            let by_name = all("client_id", &format!("sort=name&{query}"), ask).await;
            assert_eq!(by_name, expected, "{limit}");
            let who = async |query: String| answers::subscriptions(&asking, &query).await;
            let query = format!("topic=all/of%20it&limit={limit}");
            let mut found = all("client_id", &query, who).await;
            found.sort();
            assert_eq!(found, expected, "{limit}");
            let kept = async |query: String| answers::retained(&asking, &query, |_| true).await;
            let query = format!("filter=kept/%2B&limit={limit}");
            let mut found = all("topic", &query, kept).await;
            found.sort();
            found.dedup();
            assert_eq!(found.len(), CLIENTS, "{limit}");
        }
    });
}

#[test]
fn one_client_is_found_on_its_shard_and_disconnected() {
    run(|asking| async move {
        for number in 0..4 {
            let name = name(number);
            let found = json(answers::client(&asking, &name, spoken).await);
            assert_eq!(found["client_id"], name.as_str());
            assert_eq!(found["transport"], "mqtt");
            assert_eq!(found["subscription_list"][0]["filter"], "all/#");
            let of = format!("client={name}");
            let list = json(answers::subscriptions(&asking, &of).await);
            assert_eq!(names(&list, "filter"), ["all/#"]);
            let done = answers::disconnect(&asking, &name, "").await;
            let done = json(done.map(|(words, _)| words));
            assert_eq!(
                (&done["was_connected"], &done["session_ended"]),
                (&true.into(), &true.into())
            );
            let status =
                |answered: Result<String, Refusal>| answered.map_err(|refusal| refusal.status);
            assert_eq!(
                status(answers::client(&asking, &name, spoken).await),
                Err(404)
            );
            assert_eq!(
                status(
                    answers::disconnect(&asking, &name, "")
                        .await
                        .map(|(words, _)| words)
                ),
                Err(404)
            );
        }
    });
}

#[test]
fn payloads_are_for_those_who_may_read_and_taken_away_by_those_who_may_write() {
    run(|asking| async move {
        let status = |answered: Result<String, Refusal>| answered.map_err(|refusal| refusal.status);
        let one = json(answers::retained(&asking, "topic=kept/3", |_| true).await);
        assert_eq!(
            (&one["payload"], &one["payload_bytes"]),
            (&"hello".into(), &5.into())
        );
        let denied = answers::retained(&asking, "topic=kept/3", |_| false).await;
        assert_eq!(status(denied), Err(403));
        let denied = answers::forget_retained(&asking, "topic=kept/3", |_| false).await;
        assert_eq!(status(denied), Err(403));
        let sys = answers::forget_retained(&asking, "topic=$SYS/broker/version", |_| true).await;
        assert_eq!(status(sys), Err(403));
        let done = answers::forget_retained(&asking, "topic=kept/3", |_| true).await;
        assert_eq!(json(done)["removed"], true);
        for again in [
            answers::forget_retained(&asking, "topic=kept/3", |_| true).await,
            answers::retained(&asking, "topic=kept/3", |_| true).await,
        ] {
            assert_eq!(status(again), Err(404));
        }
    });
}

#[test]
fn what_cannot_be_read_is_told() {
    run(|asking| async move {
        let status =
            |answered: Result<String, Refusal>| answered.err().map(|refusal| refusal.status);
        for query in [
            "sort=size",
            "limit=0",
            "after=x",
            "sort=lag&after=1.1",
            "conected=true",
        ] {
            assert_eq!(
                status(answers::clients(&asking, query, spoken).await),
                Some(400),
                "{query}"
            );
        }
        for query in [
            "",
            "topic=a/%23",
            "filter=a%23",
            "topic=a&filter=a",
            "filter=$share/g",
        ] {
            let answered = answers::subscriptions(&asking, query).await;
            assert_eq!(status(answered), Some(400), "{query}");
        }
        for query in ["topic=", "topic=+", ""] {
            let answered = answers::forget_retained(&asking, query, |_| true).await;
            assert_eq!(status(answered), Some(400), "{query}");
        }
    });
}

/// A shard that stands still is named, is asked nothing more until it goes on, and holds nobody up for longer than its time.
#[test]
fn a_shard_that_does_not_answer_is_named() {
    let (silent, _inbox) = commands().unwrap();
    let (handle, thread) = shard(ShardId(0));
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .make()
        .unwrap();
    executor.run(async {
        let asking = Asking::new(vec![handle, silent], pool());
        let began = std::time::Instant::now();
        for query in ["limit=1000", "sort=bytes", "limit=1000"] {
            let page = json(answers::clients(&asking, query, spoken).await);
            assert_eq!(page["missing_shards"], serde_json::json!([1]), "{query}");
            assert!(!names(&page, "client_id").is_empty());
        }
        let most = std::time::Duration::from_millis(2 * limits::QUERY_MS_MAX);
        assert!(began.elapsed() < most, "{:?}", began.elapsed());
    });
    thread.join().unwrap();
}

/// What a shard answers when it goes on is not taken for the answer to what it is asked next.
#[test]
fn a_late_answer_is_nobodys() {
    let (handle, inbox) = commands().unwrap();
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .make()
        .unwrap();
    executor.run(async {
        let asking = Asking::new(vec![handle], pool());
        let mut broker = brain(ShardId(0));
        let mut answer = || {
            let Some(ShardCommand::Query(query, to)) = inbox.next() else {
                panic!("another command");
            };
            to.give(broker.on_query(2000, *query));
        };
        let rows = Query::Rows(Vec::new());
        let first = asking.ask(ShardId(0), rows.clone()).await;
        assert!(first.is_none(), "nobody has answered");
        let second = asking.ask(ShardId(0), rows.clone()).await;
        assert!(second.is_none(), "it is not asked while it owes an answer");
        answer();
        let third = asking.ask(ShardId(0), rows).await;
        assert!(third.is_none(), "the answer was to the first");
        answer();
    });
}

/// A client with more subscriptions than a page has rows: an answer has as many as were asked for, and all of them have each once.
#[test]
fn many_subscriptions_of_one_client_come_in_answers_of_the_size_that_is_asked_for() {
    const SUBSCRIPTIONS: usize = 600;
    let (handle, inbox) = commands().unwrap();
    let answering = thread::spawn(move || {
        let mut broker = Broker::new(Arc::new(Settings::default()), ShardId(0), 1, 1);
        let peer = Peer {
            address: "127.0.0.1:4000".parse().unwrap(),
            listener: 0,
        };
        let conn = broker.on_accept(1000, peer);
        let mut bytes = Vec::new();
        ConnectOut {
            client_id: "many",
            clean_start: true,
            ..ConnectOut::default()
        }
        .encode(Version::V311, &mut bytes);
        broker.on_bytes(1000, conn, &bytes);
        for number in 0..SUBSCRIPTIONS {
            let mut bytes = Vec::new();
            SubscribeOut {
                packet_id: PacketId::new(1).unwrap(),
                subscription_id: None,
                filters: &[(
                    &format!("f/{number:03}"),
                    SubscribeOptions::with_qos(QoS::AtLeastOnce),
                )],
                user_properties: &[],
            }
            .encode(Version::V311, &mut bytes);
            broker.on_bytes(1000, conn, &bytes);
        }
        answer_all(&mut broker, &inbox);
    });
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .make()
        .unwrap();
    executor.run(async {
        let asking = Asking::new(vec![handle], pool());
        for limit in [10, 100, 300, 1000] {
            let query = format!("client=many&limit={limit}");
            let page = json(answers::subscriptions(&asking, &query).await);
            let rows = page["items"].as_array().unwrap().len();
            assert_eq!(rows, limit.min(SUBSCRIPTIONS), "{limit}");
            let ask = async |query: String| answers::subscriptions(&asking, &query).await;
            let found = all("filter", &query, ask).await;
            let different: std::collections::BTreeSet<&String> = found.iter().collect();
            assert_eq!(
                (found.len(), different.len()),
                (SUBSCRIPTIONS, SUBSCRIPTIONS)
            );
        }
    });
    answering.join().unwrap();
}

/// A shard with no end of sessions none of which is meant: the answer has an end, and says where to go on.
#[test]
fn an_answer_has_so_many_pages_and_says_where_to_go_on() {
    const MOST: u32 = limits::QUERY_PAGES_MAX as u32;
    let (handle, inbox) = commands().unwrap();
    let answering = thread::spawn(move || {
        while let Some(command) = inbox.next() {
            let ShardCommand::Query(query, to) = command else {
                continue;
            };
            let next = |from: u32| Some(from + 1).filter(|&next| next < MOST + 500);
            to.give(match *query {
                Query::Clients { from, .. } => Reply::Clients(Page {
                    rows: Vec::new(),
                    next: next(from),
                }),
                Query::Ranking(ranking) => Reply::Ranked(RankedPage {
                    rows: Vec::new(),
                    next: next(ranking.from),
                    horizon: None,
                }),
                other => panic!("{other:?}"),
            });
        }
    });
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .make()
        .unwrap();
    executor.run(async {
        let asking = Asking::new(vec![handle], pool());
        let page = json(answers::clients(&asking, "prefix=none", spoken).await);
        assert_eq!(page["next"], format!("0.{MOST}"));
        let query = format!("prefix=none&after=0.{MOST}");
        let page = json(answers::clients(&asking, &query, spoken).await);
        assert_eq!(page["next"], Value::Null);
        assert_eq!(page["unfinished_shards"], Value::Null);
        // Nobody can ask for the rest of an order: it is said, and not as if the shard had not answered.
        let page = json(answers::clients(&asking, "sort=messages", spoken).await);
        assert_eq!(page["unfinished_shards"], serde_json::json!([0]));
        assert_eq!(page["missing_shards"], serde_json::json!([]));
    });
    answering.join().unwrap();
}

/// Rows are charged while they are held, and there are none where others hold too much.
#[test]
fn a_list_is_refused_where_there_is_no_memory_for_it() {
    let (handle, thread) = shard(ShardId(0));
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .make()
        .unwrap();
    executor.run(async {
        let pool = pool();
        let asking = Asking::new(vec![handle], pool.clone());
        let before = pool.leased(Account::Http);
        for query in ["limit=1000", "sort=name", "sort=bytes"] {
            assert!(
                answers::clients(&asking, query, spoken).await.is_ok(),
                "{query}"
            );
            assert_eq!(pool.leased(Account::Http), before, "{query}");
        }
        let mut others = Charge::new(pool.clone(), Account::Http);
        others.force(pool.free(Account::Http) as u64 - limits::HTTP_PROBE_BYTES);
        for query in ["limit=1000", "sort=name", "sort=bytes"] {
            let refused = answers::clients(&asking, query, spoken).await.err();
            assert_eq!(refused.map(|refusal| refusal.status), Some(503), "{query}");
        }
    });
    thread.join().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// A place to go on from that somebody has made up is harmless: rows, or that it is none.
    #[test]
    fn a_cursor_from_anybody_is_harmless(
        kind in 0..5usize,
        after in prop_oneof![
            "[0-9]{1,3}\\.[0-9]{1,10}",
            "[0-9]{1,3}\\.[os]\\.[0-9]{1,10}\\.[0-9]{1,20}",
            "[0-9]{1,3}\\.[0-9]{1,20}\\.[01]",
            "[a-z0-9.\\-+%]{0,40}",
        ],
    ) {
        let (handle, answering) = shard(ShardId(0));
        let executor = LocalExecutorBuilder::new(Placement::Unbound).make().unwrap();
        let answered = executor.run(async {
            let asking = Asking::new(vec![handle], pool());
            let query = |start: &str| format!("{start}&limit=7&after={after}");
            match kind {
                0 => answers::clients(&asking, &query(""), spoken).await,
                1 => answers::subscriptions(&asking, &query("client=client-01")).await,
                2 => answers::subscriptions(&asking, &query("topic=all/x")).await,
                3 => answers::retained(&asking, &query("filter=%23"), |_| true).await,
                _ => answers::clients(&asking, &query("sort=name"), spoken).await,
            }
        });
        answering.join().unwrap();
        match answered {
            Ok(words) => {
                let page: Value = serde_json::from_str(&words).unwrap();
                prop_assert!(page["items"].as_array().unwrap().len() <= 7);
                prop_assert_eq!(page["missing_shards"].as_array().unwrap().len(), 0);
            }
            Err(refusal) => prop_assert_eq!(refusal.status, 400),
        }
    }
}
