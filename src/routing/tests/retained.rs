//! The retained store against a map of topics that is searched one by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::matches;
use super::subscriptions::{filter, topic};
use crate::ids::ShardId;
use crate::mqtt::message::{Holders, Message, NEVER, Sent};
use crate::mqtt::{QoS, Topic};
use crate::routing::{Cursor, PageBounds, Retained, Store};

fn message(topic: &str, payload: &str, expires_at_ms: u64) -> Arc<Message> {
    Arc::new(Message {
        topic: Topic::new(topic).unwrap(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        properties: Bytes::new(),
        qos: QoS::AtLeastOnce,
        retain: true,
        expires_at_ms,
        origin: 0,
        author: None,
        sent: Sent::default(),
        holders: Holders::default(),
    })
}

const LARGE: PageBounds = PageBounds {
    messages: 100_000,
    nodes: 100_000,
    slots: 100_000,
};

/// By whom and when does not matter.
const ANY: Store = Store::FIRST;

fn name(message: &Message) -> String {
    message.topic.to_string()
}

fn found(retained: &Retained, filter: &str, now_ms: u64) -> Vec<String> {
    let page = retained.page(filter, Cursor::default(), now_ms, &LARGE);
    assert!(page.next.is_none());
    page.messages.iter().map(|message| name(message)).collect()
}

#[test]
fn a_filter_finds_topics_in_tree_order() {
    let mut retained = Retained::new(1);
    for topic in ["b/2", "$SYS/x", "a", "b/1", "b", "b/2/z", "b/3"] {
        retained.set(message(topic, "", NEVER), ANY);
    }
    assert_eq!(
        found(&retained, "#", 0),
        ["b", "b/2", "b/2/z", "b/1", "b/3", "a"]
    );
    assert_eq!(
        found(&retained, "b/#", 0),
        ["b", "b/2", "b/2/z", "b/1", "b/3"]
    );
    assert_eq!(found(&retained, "b/+", 0), ["b/2", "b/1", "b/3"]);
    assert_eq!(found(&retained, "+/+", 0), ["b/2", "b/1", "b/3"]);
    assert_eq!(found(&retained, "$SYS/#", 0), ["$SYS/x"]);
    retained.remove("b/2");
    retained.remove("b/3");
    assert_eq!(found(&retained, "b/+", 0), ["b/1"]);
    assert_eq!(found(&retained, "b/2/z", 0), ["b/2/z"]);
}

#[test]
fn what_has_expired_is_not_found_and_is_swept_a_bounded_number_at_a_time() {
    let mut retained = Retained::new(1);
    for id in 0..100 {
        let expires_at_ms = if id % 2 == 0 { 1000 } else { NEVER };
        retained.set(message(&format!("t/{id}"), "", expires_at_ms), ANY);
    }
    assert_eq!(found(&retained, "t/+", 999).len(), 100);
    assert_eq!(found(&retained, "t/+", 1000).len(), 50);
    assert_eq!(retained.sweep(999, 1000).len(), 0);
    let mut swept = 0;
    for _ in 0..20 {
        let removed = retained.sweep(1000, 10).len();
        assert!(removed <= 10);
        swept += removed;
    }
    assert_eq!((swept, retained.len()), (50, 50));
    assert_eq!(Retained::new(1).sweep(0, 10).len(), 0);
}

#[test]
fn names_that_have_gone_leave_no_text_behind() {
    let mut retained = Retained::new(1);
    let mut memory = Vec::new();
    for round in 0..4 {
        for id in 0..5000 {
            let topic = format!("some/level/with/a/name/of/round/{round}/{id}");
            retained.set(message(&topic, "", NEVER), ANY);
        }
        memory.push(retained.memory());
        for id in 0..5000 {
            assert!(
                retained
                    .remove(&format!("some/level/with/a/name/of/round/{round}/{id}"))
                    .is_some()
            );
        }
        assert_eq!(retained.in_use(), (0, 0));
        assert_eq!((retained.len(), retained.bytes()), (0, 0));
    }
    assert!(memory[3] <= memory[0] * 5 / 4, "{memory:?}");
}

#[test]
fn memory_goes_back_although_the_last_topic_stays() {
    let mut retained = Retained::new(1);
    let topic = |number: u32| format!("site/{}/device{number}", number % 7);
    for number in 0..20_000 {
        retained.set(message(&topic(number), "", NEVER), ANY);
    }
    let full = retained.memory();
    for number in 0..19_999 {
        retained.remove(&topic(number));
    }
    retained.trim();
    // Of tables in small chunks, as tests have them, more stays.
    let left = retained.memory();
    assert!(left < full / 8, "{left} {full}");
    for number in 30_000..31_000 {
        retained.set(message(&topic(number), "", NEVER), ANY);
    }
    assert_eq!(found(&retained, "#", 0).len(), 1001);
    assert_eq!(found(&retained, &topic(19_999), 0).len(), 1);
}

#[derive(Clone, Debug)]
enum Step {
    Set(String, String, u64),
    Remove(String),
    Match(String, u64),
    Sweep(u64),
    Trim,
}

fn step() -> impl Strategy<Value = Step> {
    let expiry = prop_oneof![3 => Just(NEVER), 1 => 0..100u64];
    prop_oneof![
        5 => (topic(), "[a-z]{0,3}", expiry).prop_map(|(topic, payload, at)| Step::Set(topic, payload, at)),
        3 => topic().prop_map(Step::Remove),
        4 => (filter(), 0..100u64).prop_map(|(filter, now)| Step::Match(filter, now)),
        1 => (0..100u64).prop_map(Step::Sweep),
        1 => Just(Step::Trim),
    ]
}

type Model = BTreeMap<String, Arc<Message>>;

fn check(real: &mut Retained, model: &mut Model, step: Step) {
    match step {
        Step::Set(topic, payload, at) => {
            let message = message(&topic, &payload, at);
            assert_eq!(real.set(message.clone(), ANY), model.insert(topic, message));
        }
        Step::Remove(topic) => {
            assert_eq!(real.get(&topic), model.get(&topic));
            assert_eq!(real.remove(&topic), model.remove(&topic));
            assert_eq!(real.get(&topic), None);
        }
        Step::Match(filter, now) => {
            let alive =
                |topic: &&String| model[*topic].expires_at_ms > now && matches(&filter, topic);
            let expected: Vec<_> = model.keys().filter(alive).cloned().collect();
            let mut topics = found(real, &filter, now);
            topics.sort();
            assert_eq!(topics, expected);
        }
        Step::Trim => real.trim(),
        Step::Sweep(now) => {
            let before = model.len();
            model.retain(|_, message| message.expires_at_ms > now);
            assert_eq!(real.sweep(now, 10_000).len(), before - model.len());
        }
    }
    assert_eq!(real.len(), model.len());
    assert_eq!(
        real.bytes(),
        model.values().map(|message| message.cost()).sum::<usize>()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn as_a_map_searched_with_the_linear_matcher(seed: u64, steps in prop::collection::vec(step(), 1..300)) {
        let mut real = Retained::new(seed);
        let mut model = Model::new();
        for step in steps {
            check(&mut real, &mut model, step);
        }
        for topic in model.keys() {
            prop_assert!(real.remove(topic).is_some());
        }
        prop_assert_eq!(real.in_use(), (0, 0));
    }
}

/// All pages of a filter: how many, what they found, and what they looked at.
fn pages(retained: &Retained, filter: &str, bounds: &PageBounds) -> (usize, Vec<String>, usize) {
    let (mut count, mut names, mut visited) = (0, Vec::new(), 0);
    let mut cursor = Some(Cursor::default());
    while let Some(from) = cursor {
        let page = retained.page(filter, from, 0, bounds);
        assert!(page.messages.len() <= bounds.messages);
        assert!(page.visited <= bounds.nodes + bounds.slots);
        names.extend(page.messages.iter().map(|message| name(message)));
        visited += page.visited;
        cursor = page.next;
        count += 1;
    }
    (count, names, visited)
}

#[test]
fn a_large_store_is_found_a_page_at_a_time_and_costs_little_more_than_at_once() {
    let mut retained = Retained::new(1);
    for id in 0..50_000 {
        retained.set(message(&format!("b/{}/{id}", id % 10), "", NEVER), ANY);
        retained.set(message(&format!("$SYS/{id}"), "", NEVER), ANY);
    }
    let bounds = PageBounds {
        messages: 1000,
        nodes: 20_000,
        slots: 10_000,
    };
    for (filter, matching, visited_max) in [
        ("#", 50_000_usize, 220_000),
        ("+/+/+", 50_000, 220_000),
        ("b/3/#", 5000, 40_000),
        ("b/+/7", 1, 220_000),
        ("b/3/+", 5000, 40_000),
        ("$SYS/+", 50_000, 220_000),
        ("b/+/nothing", 0, 0),
        ("b/7/7", 1, 4),
    ] {
        let (count, mut names, visited) = pages(&retained, filter, &bounds);
        assert!(visited <= visited_max, "{filter}: {visited}");
        assert!(count >= matching.div_ceil(1000), "{filter}: {count}");
        assert!(names.iter().all(|name| matches(filter, name)));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), matching, "{filter}");
    }
}

/// A flat topic with very many children is not gone through before the bound is noticed.
#[test]
fn a_walk_that_is_given_up_ends_at_once() {
    let mut retained = Retained::new(1);
    for id in 0..10_000 {
        retained.set(message(&format!("t/{id}"), "", NEVER), ANY);
    }
    let bounds = PageBounds {
        messages: 10,
        nodes: 50,
        slots: 20,
    };
    let page = retained.page("+/+", Cursor::default(), 0, &bounds);
    assert_eq!((page.messages.len(), page.visited), (10, 50 + 12));
    assert_eq!(page.messages[0].topic.as_str(), "t/0");
}

#[test]
fn what_is_stored_after_the_question_is_left_out_and_the_rest_stays_where_it_is() {
    let mut retained = Retained::new(1);
    for id in 0..10 {
        let store = Store::new(ShardId(id % 2), 1 + u64::from(id / 2));
        retained.set(message(&format!("t/{id}"), "old", NEVER), store);
    }
    let bounds = PageBounds {
        messages: 3,
        nodes: 100,
        slots: 100,
    };
    let from = Cursor::default().knowing([5, 5].into());
    let first = retained.page("#", from, 0, &bounds);
    let mut names: Vec<String> = first.messages.iter().map(|message| name(message)).collect();
    assert_eq!(names, ["t/0", "t/1", "t/2"]);
    // One that has been handed over, one that has not, one that is new in a slot that has been used before.
    retained.set(message("t/1", "new", NEVER), Store::new(ShardId(1), 6));
    retained.set(message("t/4", "new", NEVER), Store::new(ShardId(0), 6));
    retained.remove("t/6");
    retained.set(message("t/new", "new", NEVER), Store::new(ShardId(1), 7));
    let mut cursor = first.next;
    while let Some(from) = cursor {
        let page = retained.page("#", from, 0, &bounds);
        names.extend(page.messages.iter().map(|message| name(message)));
        cursor = page.next;
    }
    let expected = ["t/0", "t/1", "t/2", "t/3", "t/5", "t/7", "t/8", "t/9"];
    assert_eq!(names, expected);
    // Whoever comes back gets what is there.
    let again = first_page_renewed(&retained);
    assert_eq!(again, ["t/0", "t/1", "t/2"]);
}

fn first_page_renewed(retained: &Retained) -> Vec<String> {
    let from = Cursor::default().knowing([0, 0].into());
    let bounds = PageBounds {
        messages: 3,
        ..LARGE
    };
    assert!(
        retained
            .page("#", from.clone(), 0, &bounds)
            .messages
            .is_empty()
    );
    let page = retained.page("#", from.renewed(), 0, &bounds);
    page.messages.iter().map(|message| name(message)).collect()
}

/// A question whose pages are taken while the store changes.
struct Asked {
    filter: String,
    cursor: Cursor,
    /// What was there, is still the same, and has not come.
    missing: Vec<Arc<Message>>,
}

impl Asked {
    fn next(mut self, real: &Retained, model: &Model, now: u64) -> Option<Asked> {
        let bounds = PageBounds {
            messages: 2,
            nodes: 10,
            slots: 3,
        };
        let page = real.page(&self.filter, self.cursor, now, &bounds);
        for message in &page.messages {
            let current = &model[&name(message)];
            assert!(Arc::ptr_eq(current, message), "what is stored comes");
            let is_it = |other: &Arc<Message>| Arc::ptr_eq(other, message);
            let index = self.missing.iter().position(is_it);
            self.missing.remove(index.expect("comes once"));
        }
        let Some(cursor) = page.next else {
            for message in self.missing {
                let current = model.get(&name(&message));
                let is_there = current.is_some_and(|current| Arc::ptr_eq(current, &message));
                assert!(!is_there || message.expires_at_ms <= now, "{message:?}");
            }
            return None;
        };
        Some(Asked { cursor, ..self })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn pages_are_exact_whatever_happens_between_them(
        seed: u64,
        steps in prop::collection::vec((step(), 0..3u8, 0..4usize), 1..300),
    ) {
        let (mut real, mut model) = (Retained::new(seed), Model::new());
        let mut asked: Vec<Asked> = Vec::new();
        let mut now = 0;
        for (number, (step, shard, pages)) in (1..).zip(steps) {
            match step {
                Step::Set(topic, payload, at) => {
                    let message = message(&topic, &payload, at);
                    real.set(message.clone(), Store::new(ShardId(shard), number));
                    model.insert(topic, message);
                }
                Step::Remove(topic) => {
                    real.remove(&topic);
                    model.remove(&topic);
                }
                Step::Match(filter, _) => {
                    let wanted = |message: &&Arc<Message>| {
                        message.expires_at_ms > now && matches(&filter, &name(message))
                    };
                    let missing = model.values().filter(wanted).cloned().collect();
                    let cursor = Cursor::default().knowing([number; 3].into());
                    asked.push(Asked { filter, cursor, missing });
                }
                Step::Sweep(at) => {
                    now = now.max(at);
                    real.sweep(now, 3);
                }
                Step::Trim => real.trim(),
            }
            for _ in 0..pages.min(asked.len()) {
                let one = asked.remove(0);
                model.retain(|topic, _| real.get(topic).is_some());
                asked.extend(one.next(&real, &model, now));
            }
        }
        while let Some(one) = asked.pop() {
            model.retain(|topic, _| real.get(topic).is_some());
            asked.extend(one.next(&real, &model, now));
        }
    }
}

#[test]
fn memory_goes_back_when_most_messages_have_gone_and_nothing_is_lost() {
    let mut retained = Retained::new(7);
    let store = |number: u64| Store::new(ShardId(0), number);
    let topic = |number: u64| format!("site/{}/device{number}/state", number % 7);
    for number in 0..20_000 {
        retained.set(message(&topic(number), "x", NEVER), store(number));
    }
    let full = retained.memory();
    for number in (0..20_000).filter(|number| *number >= 100 && number % 1000 != 0) {
        retained.remove(&topic(number));
    }
    for _ in 0..2 {
        retained.trim();
        assert!(retained.memory() < full);
        for number in (0..100).chain((1000..20_000).step_by(1000)) {
            assert!(retained.get(&topic(number)).is_some(), "{number}");
        }
    }
    for number in (1000..20_000).step_by(1000) {
        retained.remove(&topic(number));
    }
    retained.trim();
    assert!(
        retained.memory() < full / 20,
        "{} {full}",
        retained.memory()
    );
    for number in 100..5000 {
        retained.set(message(&topic(number), "y", NEVER), store(number));
    }
    assert_eq!(retained.len(), 5000);
    assert!((0..5000).all(|number| retained.get(&topic(number)).is_some()));
}
