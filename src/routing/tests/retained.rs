//! The retained store against a map of topics that is searched one by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::matches;
use super::subscriptions::{filter, topic};
use crate::mqtt::message::{Holders, Message, NEVER};
use crate::routing::Retained;

fn message(topic: &str, payload: &str, expires_at_ms: u64) -> Arc<Message> {
    Arc::new(Message {
        topic: Bytes::copy_from_slice(topic.as_bytes()),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        properties: Bytes::new(),
        qos: 1,
        retain: true,
        expires_at_ms,
        origin: 0,
        holders: Holders::default(),
    })
}

fn found(retained: &Retained, filter: &str, now_ms: u64) -> Vec<String> {
    let mut out = Vec::new();
    retained.matching(filter, now_ms, &mut out);
    out.iter()
        .map(|message| String::from_utf8_lossy(&message.topic).into_owned())
        .collect()
}

#[test]
fn a_filter_finds_topics_in_tree_order() {
    let mut retained = Retained::new(1);
    for topic in ["b/2", "$SYS/x", "a", "b/1", "b", "b/2/z", "b/3"] {
        retained.set(message(topic, "", NEVER));
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
        retained.set(message(
            &format!("t/{id}"),
            "",
            if id % 2 == 0 { 1000 } else { NEVER },
        ));
    }
    assert_eq!(found(&retained, "t/+", 999).len(), 100);
    assert_eq!(found(&retained, "t/+", 1000).len(), 50);
    assert_eq!(retained.sweep(999, 1000), 0);
    let mut swept = 0;
    for _ in 0..20 {
        let removed = retained.sweep(1000, 10);
        assert!(removed <= 10);
        swept += removed;
    }
    assert_eq!((swept, retained.len()), (50, 50));
    assert_eq!(Retained::new(1).sweep(0, 10), 0);
}

#[test]
fn names_that_have_gone_leave_no_text_behind() {
    let mut retained = Retained::new(1);
    let mut memory = Vec::new();
    for round in 0..4 {
        for id in 0..5000 {
            retained.set(message(
                &format!("some/level/with/a/name/of/round/{round}/{id}"),
                "",
                NEVER,
            ));
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

#[derive(Clone, Debug)]
enum Step {
    Set(String, String, u64),
    Remove(String),
    Match(String, u64),
    Sweep(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let expiry = prop_oneof![3 => Just(NEVER), 1 => 0..100u64];
    prop_oneof![
        5 => (topic(), "[a-z]{0,3}", expiry).prop_map(|(topic, payload, at)| Step::Set(topic, payload, at)),
        3 => topic().prop_map(Step::Remove),
        4 => (filter(), 0..100u64).prop_map(|(filter, now)| Step::Match(filter, now)),
        1 => (0..100u64).prop_map(Step::Sweep),
    ]
}

type Model = BTreeMap<String, Arc<Message>>;

fn check(real: &mut Retained, model: &mut Model, step: Step) {
    match step {
        Step::Set(topic, payload, at) => {
            let message = message(&topic, &payload, at);
            assert_eq!(real.set(message.clone()), model.insert(topic, message));
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
        Step::Sweep(now) => {
            let before = model.len();
            model.retain(|_, message| message.expires_at_ms > now);
            assert_eq!(real.sweep(now, 10_000), before - model.len());
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
