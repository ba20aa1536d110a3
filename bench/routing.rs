//! What routing costs: nanoseconds per match and bytes per subscription, in the shapes that a broker meets.
//!
//! Run with `cargo bench --bench routing`. The topics are drawn from a fixed sequence, so that two runs do the same
//! work; each figure is the best of several rounds, because everything else on the machine only makes it worse.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use firehose::ids::{SessionId, ShardId};
use firehose::limits::{
    MATCH_CACHE_TOPICS, REPLAY_PAGE_MESSAGES, REPLAY_PAGE_NODES, REPLAY_PAGE_SLOTS,
};
use firehose::mqtt::message::{Message, NEVER};
use firehose::mqtt::{QoS, Topic};
use firehose::routing::{
    Cursor, Entry, EntryOptions, FilterId, PageBounds, Retained, Store, Subscriptions, Target,
};
use smallvec::SmallVec;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SEED: u64 = 0x5eed;
const ROUNDS: usize = 5;

fn main() {
    wildcard_tree();
    filter_of_its_own("one level of its own (clients/ID)", |id| {
        format!("clients/{id:08x}")
    });
    filter_of_its_own("two levels of its own (clients/ID/#)", |id| {
        format!("clients/{id:08x}/#")
    });
    filter_of_its_own("deep (site/N/device/ID/+)", |id| {
        format!("site/{}/device/{id:08x}/+", id % 100)
    });
    one_filter(100_000);
    retained(100_000);
}

/// A million wildcard subscriptions in a tree like gerrit/NAMESPACE/REPO/EVENT.
fn wildcard_tree() {
    let mut subscriptions = Subscriptions::new(SEED);
    let mut random = Random(1);
    let started = Instant::now();
    let mut id = 0;
    while subscriptions.len() < 1_000_000 {
        let [namespace, repo, event] = place(&mut random);
        let filter = match id % 10 {
            0 => format!("gerrit/ns{namespace}/+/event{event}"),
            1 => format!("gerrit/+/repo{repo}/event{event}"),
            2 => format!("gerrit/ns{namespace}/repo{repo}/#"),
            3 => format!("+/ns{namespace}/repo{repo}/event{event}"),
            _ => format!("gerrit/ns{namespace}/repo{repo}/+"),
        };
        subscriptions.insert(&filter, entry(id));
        id += 1;
    }
    println!("1,000,000 wildcard subscriptions, gerrit/NAMESPACE/REPO/EVENT");
    report("insert", started, 1_000_000);
    println!(
        "  {:8.1} bytes a subscription",
        subscriptions.memory() as f64 / 1e6
    );
    let topics: Vec<String> = (0..200_000)
        .map(|_| {
            let [namespace, repo, event] = place(&mut random);
            format!("gerrit/ns{namespace}/repo{repo}/event{event}")
        })
        .collect();
    let mut out = SmallVec::new();
    let found: usize = topics
        .iter()
        .map(|topic| matched(&mut subscriptions, topic, &mut out))
        .sum();
    println!(
        "  {:8.2} filters match a topic",
        found as f64 / topics.len() as f64
    );
    best("match, uncached", topics.len(), || {
        for topic in &topics {
            subscriptions.matching_once(black_box(topic), &mut out);
            black_box(&out);
        }
    });
    best("match, all new to the cache", topics.len(), || {
        for topic in &topics {
            matched(&mut subscriptions, black_box(topic), &mut out);
        }
    });
    for hot in [16, 1000, MATCH_CACHE_TOPICS / 2] {
        best(&format!("match, cached, {hot} topics"), 100 * hot, || {
            for topic in topics[..hot].iter().cycle().take(100 * hot) {
                matched(&mut subscriptions, black_box(topic), &mut out);
            }
        });
    }
    println!(
        "  {:8.1} bytes a subscription with a full cache",
        subscriptions.memory() as f64 / 1e6
    );
}

/// Many subscriptions, each with a filter that no other has.
fn filter_of_its_own(what: &str, filter: impl Fn(u32) -> String) {
    println!("each with a filter with {what}");
    for count in [15_000u32, 28_000, 29_000, 200_000] {
        let mut subscriptions = Subscriptions::new(SEED);
        let before = subscriptions.memory();
        let filters: Vec<String> = (0..count)
            .map(|id| filter(id.wrapping_mul(0x9e37_79b1)))
            .collect();
        let started = Instant::now();
        for (id, filter) in filters.iter().enumerate() {
            subscriptions.insert(filter, entry(id as u32));
        }
        let took = started.elapsed().as_nanos() as f64 / f64::from(count);
        let bytes = (subscriptions.memory() - before) as f64 / f64::from(count);
        println!("  {bytes:8.1} bytes each, {took:.0} ns to insert, {count} of them");
    }
}

/// Many sessions on one filter.
fn one_filter(count: u32) {
    println!("{count} subscriptions to one filter");
    let mut subscriptions = Subscriptions::new(SEED);
    let before = subscriptions.memory();
    let started = Instant::now();
    for id in 0..count {
        subscriptions.insert("gerrit/#", entry(id));
    }
    report("insert", started, count as usize);
    let bytes = (subscriptions.memory() - before) as f64 / f64::from(count);
    println!("  {bytes:8.1} bytes a subscription");
    let Some(filter) = subscriptions.find("gerrit/#") else {
        return;
    };
    let started = Instant::now();
    for id in 0..count {
        subscriptions.remove(filter, Target::Session(SessionId(id)));
    }
    report("remove", started, count as usize);
}

/// Retained messages, one per topic.
fn retained(count: u32) {
    println!("{count} retained messages");
    let message = |id: u32| {
        Arc::new(Message {
            topic: Topic::new(format!("site/{}/device/{id:08x}/state", id % 100)).unwrap(),
            payload: Bytes::from_static(b"on"),
            properties: Bytes::new(),
            qos: QoS::AtMostOnce,
            retain: true,
            expires_at_ms: NEVER,
            origin: 0,
            author: None,
            sent: Default::default(),
            holders: Default::default(),
        })
    };
    let messages: Vec<_> = (0..count).map(message).collect();
    let mut retained = Retained::new(SEED);
    let store = Store::new(ShardId(0), 1);
    let started = Instant::now();
    for message in &messages {
        retained.set(message.clone(), store);
    }
    report("set, new", started, messages.len());
    println!(
        "  {:8.1} bytes a topic beside the message",
        retained.memory() as f64 / f64::from(count)
    );
    best("set, again", messages.len(), || {
        for message in &messages {
            black_box(retained.set(message.clone(), store));
        }
    });
    for filter in ["#", "site/+/device/+/state"] {
        best(&format!("{filter}, per message"), messages.len(), || {
            all_pages(&retained, filter);
        });
    }
    best("site/7/device/00000007/+", 1000, || {
        for _ in 0..1000 {
            all_pages(&retained, black_box("site/7/device/00000007/+"));
        }
    });
}

/// Every page of a filter, one after the other.
fn all_pages(retained: &Retained, filter: &str) {
    let bounds = PageBounds {
        messages: REPLAY_PAGE_MESSAGES,
        nodes: REPLAY_PAGE_NODES,
        slots: REPLAY_PAGE_SLOTS,
    };
    let mut cursor = Some(Cursor::default());
    while let Some(from) = cursor {
        let page = retained.page(filter, from, 0, &bounds);
        cursor = page.next;
        black_box(page.messages);
    }
}

fn matched(
    subscriptions: &mut Subscriptions,
    topic: &str,
    out: &mut SmallVec<[FilterId; 8]>,
) -> usize {
    subscriptions.matching(topic, out);
    black_box(out.len())
}

fn entry(id: u32) -> Entry {
    Entry::session(SessionId(id), EntryOptions::with_qos(QoS::AtLeastOnce))
}

fn best(what: &str, operations: usize, mut work: impl FnMut()) {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        work();
        best = best.min(started.elapsed().as_nanos() as f64 / operations as f64);
    }
    println!("  {best:8.1} ns  {what}");
}

fn report(what: &str, started: Instant, operations: usize) {
    println!(
        "  {:8.1} ns  {what}",
        started.elapsed().as_nanos() as f64 / operations as f64
    );
}

/// A namespace, a repository and an event, the first two unevenly popular as they are in life.
fn place(random: &mut Random) -> [u64; 3] {
    let skewed = |value: u64, count: u64| {
        let unit = (value >> 11) as f64 / (1u64 << 53) as f64;
        (unit * unit * count as f64) as u64
    };
    [
        skewed(random.next(), 5_000),
        skewed(random.next(), 20_000),
        random.next() % 20,
    ]
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}
