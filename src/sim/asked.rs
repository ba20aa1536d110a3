//! What shards are asked beside the path of messages while everything goes on, and clients that an administrator disconnects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::tests::play_between;
use super::world::World;
use crate::broker::{
    Deed, Done, Query, Reply, SubscriptionRow, Wanted, Which, WhoFrom, home, owner_of_topic,
};
use crate::mqtt::topic;
use crate::routing::Cursor;

const TOPICS: [&str; 6] = ["a/b", "a/c", "c", "d/b", "s/x", "$SYS/x"];

/// A subscription, as two ways to it should tell it.
type Told = (String, Option<String>, String, u8);

fn told(row: &SubscriptionRow) -> Told {
    (
        row.client.to_string(),
        row.share.as_deref().map(String::from),
        row.filter.to_string(),
        row.options.qos().into(),
    )
}

impl World {
    fn ask(&mut self, shard: usize, query: Query) -> Reply {
        self.brokers[shard].on_query(self.now_ms, query)
    }

    /// All clients of a shard, in pages of two.
    fn clients_of(&mut self, shard: usize) -> BTreeSet<String> {
        let (mut found, mut next, mut rows) = (BTreeSet::new(), Some(0), 0);
        while let Some(from) = next {
            let query = Query::Clients {
                which: Which::default(),
                from,
                limit: 2,
            };
            let Reply::Clients(page) = self.ask(shard, query) else {
                panic!("another answer");
            };
            rows += page.rows.len();
            found.extend(page.rows.iter().map(|row| row.client.to_string()));
            next = page.next;
        }
        assert_eq!(found.len(), rows, "each is listed once");
        found
    }

    fn who(&mut self, shard: usize, topic: &str) -> BTreeSet<Told> {
        let (mut found, mut next, mut rows) = (BTreeSet::new(), Some(WhoFrom::START), 0);
        while let Some(from) = next {
            let query = Query::Who {
                wanted: Wanted::Topic(topic.into()),
                from,
                limit: 2,
            };
            let Reply::Who(page) = self.ask(shard, query) else {
                panic!("another answer");
            };
            rows += page.rows.len();
            found.extend(page.rows.iter().map(told));
            next = page.next;
        }
        assert_eq!(found.len(), rows, "each subscription is told once");
        found
    }

    /// Who gets a topic is who has a subscription that matches it; a client is where it is looked for; what is listed is there.
    fn check_answers(&mut self) {
        let shards = self.brokers.len();
        let mut by_topic: BTreeMap<&str, BTreeSet<Told>> = BTreeMap::new();
        for shard in 0..shards {
            for client in self.clients_of(shard) {
                assert_eq!(home(&client, shards as u8).index(), shard, "{client}");
                let query = Query::Client(client.as_str().into());
                let Reply::Client(Some(details)) = self.ask(shard, query) else {
                    panic!("{client} is listed and not found");
                };
                let rows = details.subscriptions.rows;
                assert_eq!(rows.len(), details.row.subscriptions as usize, "{client}");
                for row in &rows {
                    for name in TOPICS {
                        if topic::matches(&row.filter, name) {
                            by_topic.entry(name).or_default().insert(told(row));
                        }
                    }
                }
            }
        }
        for name in TOPICS {
            let mut found = BTreeSet::new();
            for shard in 0..shards {
                found.extend(self.who(shard, name));
            }
            assert_eq!(found, by_topic.remove(name).unwrap_or_default(), "{name}");
        }
        for shard in 0..shards {
            self.check_retained(shard);
        }
    }

    fn check_retained(&mut self, shard: usize) {
        let mut next = Some(Cursor::default());
        while let Some(from) = next {
            let query = Query::Retained {
                filter: "#".into(),
                from,
                limit: 2,
            };
            let Reply::Retained(page) = self.ask(shard, query) else {
                panic!("another answer");
            };
            for row in &page.rows {
                let name = row.message.topic.as_str();
                let owner = owner_of_topic(name, self.brokers.len() as u8);
                assert_eq!(owner.index(), shard, "{name}");
                let reply = self.ask(shard, Query::RetainedOf(name.into()));
                assert!(matches!(reply, Reply::RetainedOf(Some(_))), "{name}");
            }
            next = page.next;
        }
    }

    /// Somebody is disconnected who is there, if somebody is. Returns whether the broker has done it.
    fn kick(&mut self) -> bool {
        let is_there = |index: &usize| {
            let client = &self.clients[*index];
            let link = client.link.map(|link| &self.links[link]);
            let goes_on = link.is_some_and(|link| !link.half_closed && link.closing.is_none());
            goes_on && client.connected && !client.steady
        };
        let there: Vec<usize> = (1..self.clients.len()).filter(is_there).collect();
        if there.is_empty() {
            return false;
        }
        let id = self.clients[self.rng.pick(&there)].id.clone();
        let shard = home(&id, self.brokers.len() as u8).index();
        let deed = Deed::Disconnect {
            client: id.as_str().into(),
            ends_session: false,
        };
        let Done::Disconnected(done) = self.brokers[shard].on_deed(self.now_ms, deed) else {
            panic!("another answer");
        };
        self.after(shard);
        done.is_some_and(|done| done.was_connected)
    }
}

/// Returns how many were disconnected.
fn play(shards: u8, seeds: u64) -> usize {
    let kicked = AtomicUsize::new(0);
    for seed in 1..=seeds {
        let seed = seed * 0x3_0001 + u64::from(shards);
        let result = std::panic::catch_unwind(|| {
            play_between(seed, shards, 30, |world| {
                world.check_answers();
                let is_done = world.kick();
                kicked.fetch_add(usize::from(is_done), Ordering::Relaxed);
            });
        });
        if let Err(panic) = result {
            eprintln!("seed {seed}, {shards} shards");
            std::panic::resume_unwind(panic);
        }
    }
    kicked.into_inner()
}

#[test]
fn answers_agree_and_who_is_disconnected_comes_again() {
    for shards in [1, 2, 5] {
        let kicked = play(shards, 20);
        assert!(kicked > 200, "only {kicked} were disconnected");
    }
}
