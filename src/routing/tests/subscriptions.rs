//! The tree, its lists and its cache against a map of filters that is searched one by one.

use std::collections::BTreeMap;

use proptest::prelude::*;
use smallvec::SmallVec;

use super::matches;
use crate::ids::{GroupId, SessionId, ShardId};
use crate::limits::MATCH_CACHE_TOPICS;
use crate::mqtt::QoS;
use crate::routing::*;

fn qos(level: u32) -> QoS {
    QoS::from_bits(level as u8).unwrap()
}

fn session(id: u32) -> Entry {
    Entry::session(SessionId(id), EntryOptions::with_qos(qos(id % 3)))
}

fn names(subscriptions: &mut Subscriptions, topic: &str) -> Vec<String> {
    let mut out = SmallVec::new();
    subscriptions.matching(topic, &mut out);
    let mut names: Vec<String> = out.iter().map(|&id| name(subscriptions, id)).collect();
    names.sort();
    names
}

fn name(subscriptions: &Subscriptions, id: FilterId) -> String {
    let mut name = String::new();
    subscriptions.filter_name(id, &mut name);
    name
}

#[test]
fn examples_of_the_standard() {
    let mut subscriptions = Subscriptions::new(1);
    let filters = [
        "#",
        "+",
        "+/+",
        "/+",
        "sport/#",
        "sport/tennis/+",
        "+/tennis/#",
        "sport/+/player1",
        "$SYS/#",
    ];
    for (id, filter) in filters.iter().enumerate() {
        subscriptions.insert(filter, session(id as u32));
    }
    assert_eq!(names(&mut subscriptions, "sport"), ["#", "+", "sport/#"]);
    assert_eq!(names(&mut subscriptions, "/finance"), ["#", "+/+", "/+"]);
    assert_eq!(names(&mut subscriptions, "$SYS"), ["$SYS/#"]);
    assert_eq!(names(&mut subscriptions, "$SYS/x"), ["$SYS/#"]);
    let all = [
        "#",
        "+/tennis/#",
        "sport/#",
        "sport/+/player1",
        "sport/tennis/+",
    ];
    assert_eq!(names(&mut subscriptions, "sport/tennis/player1"), all);
}

#[test]
fn the_first_and_the_last_local_entry_are_told() {
    let mut subscriptions = Subscriptions::new(1);
    let shard = subscriptions.insert("a/+", Entry::shard(ShardId(3)));
    assert!(!shard.first_local);
    let id = shard.filter;
    assert!(subscriptions.insert("a/+", session(1)).first_local);
    assert!(
        !subscriptions
            .insert("a/+", Entry::group(GroupId(1)))
            .first_local
    );
    assert!(!subscriptions.insert("a/+", session(1)).first_local);
    let removed = subscriptions
        .remove(id, Target::Session(SessionId(1)))
        .unwrap();
    assert!(!removed.last_local);
    assert!(
        subscriptions
            .remove(id, Target::Group(GroupId(1)))
            .unwrap()
            .last_local
    );
    assert_eq!(subscriptions.entries(id), [Entry::shard(ShardId(3))]);
    assert!(
        !subscriptions
            .remove(id, Target::Shard(ShardId(3)))
            .unwrap()
            .last_local
    );
    assert_eq!(subscriptions.in_use(), (0, 0, 0));
    assert!(subscriptions.find("a/+").is_none());
}

#[test]
fn long_lists_keep_their_entries() {
    let mut subscriptions = Subscriptions::new(1);
    for round in 0..3 {
        for id in 0..5000 {
            let inserted = subscriptions.insert("all", session(id));
            assert_eq!(inserted.replaced.is_some(), round > 0);
        }
    }
    let filter = subscriptions.find("all").unwrap();
    for id in (0..5000).step_by(2).chain((0..5000).skip(1).step_by(2)) {
        let target = Target::Session(SessionId(id));
        assert_eq!(subscriptions.entry(filter, target), Some(session(id)));
        assert_eq!(
            subscriptions.remove(filter, target).unwrap().entry,
            session(id)
        );
        assert_eq!(subscriptions.entry(filter, target), None);
        assert_eq!(subscriptions.remove(filter, target), None);
    }
    assert!(subscriptions.is_empty());
    assert_eq!(subscriptions.in_use(), (0, 0, 0));
}

#[test]
fn an_entry_gives_back_what_it_was_made_of() {
    let options = EntryOptions::with_qos(QoS::ExactlyOnce)
        .with_no_local(true)
        .with_id(268_435_455);
    let entry = Entry::session(SessionId(77), options);
    assert_eq!(entry.options(), options);
    assert_eq!(entry.as_session(), Some(SessionId(77)));
    assert_eq!(entry.target(), Target::Session(SessionId(77)));
    assert_eq!(
        Entry::shard(ShardId(63)).target(),
        Target::Shard(ShardId(63))
    );
    assert_eq!(Entry::group(GroupId(5)).target(), Target::Group(GroupId(5)));
    assert_eq!(Entry::group(GroupId(5)).as_session(), None);
}

#[test]
fn strange_input_is_harmless() {
    let mut subscriptions = Subscriptions::new(1);
    let id = subscriptions.insert("#", session(1)).filter;
    assert!(names(&mut subscriptions, "").len() <= 1);
    assert_eq!(names(&mut subscriptions, "+/#"), ["#"]);
    let long = "/".repeat(65_535);
    subscriptions.insert(&long, session(2));
    assert_eq!(names(&mut subscriptions, &long).len(), 2);
    assert_eq!(subscriptions.find("nothing"), None);
    subscriptions.remove(id, Target::Session(SessionId(1)));
    assert_eq!(
        subscriptions.remove(id, Target::Session(SessionId(1))),
        None
    );
    assert!(subscriptions.entries(id).is_empty());
}

#[test]
fn more_topics_than_are_remembered_are_matched_right() {
    let mut subscriptions = Subscriptions::new(1);
    subscriptions.insert("t/#", session(1));
    let empty = subscriptions.memory();
    for round in 0..2 {
        for topic in 0..2 * MATCH_CACHE_TOPICS {
            let topic = format!("t/{}/{topic}", topic % 10);
            assert_eq!(names(&mut subscriptions, &topic).len(), 1 + round);
        }
        subscriptions.insert("t/+/+", session(2));
    }
    let bytes_per_topic = (subscriptions.memory() - empty) / MATCH_CACHE_TOPICS;
    assert!(bytes_per_topic < 120, "{bytes_per_topic}");
}

fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "", "$x"])
}

pub(super) fn topic() -> impl Strategy<Value = String> {
    prop::collection::vec(level(), 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("empty", |t| !t.is_empty())
}

pub(super) fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![2 => level(), 1 => Just("+")];
    (
        prop::collection::vec(level, 0..5),
        prop::bool::weighted(0.3),
    )
        .prop_map(|(mut levels, rest)| {
            if rest {
                levels.push("#");
            }
            levels.join("/")
        })
        .prop_filter("empty", |t| !t.is_empty())
}

#[derive(Clone, Debug)]
enum Step {
    Insert(String, Target, u8),
    Remove(String, Target),
    Match(String),
    Trim,
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        8 => (0..60u32).prop_map(|id| Target::Session(SessionId(id))),
        1 => (0..4u8).prop_map(|id| Target::Shard(ShardId(id))),
        1 => (0..4u32).prop_map(|id| Target::Group(GroupId(id))),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (filter(), target(), 0..3u8).prop_map(|(filter, target, qos)| Step::Insert(filter, target, qos)),
        // Some filters get long lists.
        2 => (target(), 0..3u8).prop_map(|(target, qos)| Step::Insert("a/#".into(), target, qos)),
        3 => (filter(), target()).prop_map(|(filter, target)| Step::Remove(filter, target)),
        1 => target().prop_map(|target| Step::Remove("a/#".into(), target)),
        4 => topic().prop_map(Step::Match),
        1 => Just(Step::Trim),
    ]
}

fn entry(target: Target, qos: u8) -> Entry {
    match target {
        Target::Session(session) => {
            Entry::session(session, EntryOptions::with_qos(self::qos(qos.into())))
        }
        Target::Shard(shard) => Entry::shard(shard),
        Target::Group(group) => Entry::group(group),
    }
}

type Model = BTreeMap<String, Vec<Entry>>;

fn is_local(entry: &Entry) -> bool {
    !matches!(entry.target(), Target::Shard(_))
}

fn check_insert(real: &mut Subscriptions, model: &mut Model, filter: String, new: Entry) {
    let list = model.entry(filter.clone()).or_default();
    let locals = list.iter().any(is_local);
    let old = list
        .iter()
        .position(|old| old.target() == new.target())
        .map(|at| list.swap_remove(at));
    list.push(new);
    let inserted = real.insert(&filter, new);
    assert_eq!(inserted.replaced, old);
    assert_eq!(inserted.first_local, is_local(&new) && !locals);
    assert_eq!(real.find(&filter), Some(inserted.filter));
    assert_eq!(name(real, inserted.filter), filter);
}

fn check_remove(real: &mut Subscriptions, model: &mut Model, filter: &str, target: Target) {
    let expected = model.get_mut(filter).and_then(|list| {
        let at = list.iter().position(|old| old.target() == target)?;
        let entry = list.swap_remove(at);
        Some(Removed {
            entry,
            last_local: is_local(&entry) && !list.iter().any(is_local),
        })
    });
    model.retain(|_, list| !list.is_empty());
    let removed = real.find(filter).and_then(|id| real.remove(id, target));
    assert_eq!(removed, expected);
    assert_eq!(real.find(filter).is_some(), model.contains_key(filter));
}

fn check_match(real: &mut Subscriptions, model: &Model, topic: &str) {
    let expected: Vec<_> = model
        .keys()
        .filter(|filter| matches(filter, topic))
        .cloned()
        .collect();
    assert_eq!(names(real, topic), expected, "remembered or not");
    let mut out = SmallVec::new();
    real.matching_once(topic, &mut out);
    let mut fresh: Vec<_> = out.iter().map(|&id| name(real, id)).collect();
    fresh.sort();
    assert_eq!(fresh, expected, "not remembered");
    for id in out {
        let mut entries = real.entries(id).to_vec();
        let mut wanted = model[&name(real, id)].clone();
        let order = |entry: &Entry| format!("{entry:?}");
        entries.sort_by_key(order);
        wanted.sort_by_key(order);
        assert_eq!(entries, wanted);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn as_the_linear_matcher_under_churn(seed: u64, steps in prop::collection::vec(step(), 1..400)) {
        let mut real = Subscriptions::new(seed);
        let mut model = Model::new();
        for step in steps {
            match step {
                Step::Insert(filter, target, qos) => {
                    check_insert(&mut real, &mut model, filter, entry(target, qos));
                }
                Step::Remove(filter, target) => check_remove(&mut real, &mut model, &filter, target),
                Step::Trim => real.trim(),
                Step::Match(topic) => check_match(&mut real, &model, &topic),
            }
            prop_assert_eq!(real.len(), model.values().map(Vec::len).sum::<usize>());
        }
        for (filter, list) in std::mem::take(&mut model) {
            let id = real.find(&filter).unwrap();
            for entry in list {
                prop_assert!(real.remove(id, entry.target()).is_some());
            }
        }
        prop_assert!(real.is_empty());
        prop_assert_eq!(real.in_use(), (0, 0, 0));
    }
}

#[test]
fn memory_goes_back_when_most_filters_have_gone_and_the_rest_match() {
    // Those that stay are the first, the last, or far from each other.
    for stays in [
        |number: u32| number < 50,
        |number: u32| number >= 19_950,
        |number: u32| number.is_multiple_of(400),
    ] {
        check_memory(stays);
    }
}

fn check_memory(stays: fn(u32) -> bool) {
    let mut subscriptions = Subscriptions::new(1);
    let filter = |number: u32| format!("site/{}/device{number}/+", number % 7);
    let inserted: Vec<FilterId> = (0..20_000)
        .map(|number| {
            subscriptions.insert(&filter(number), session(number));
            subscriptions
                .insert(&filter(number), session(number + 1))
                .filter
        })
        .collect();
    let full = subscriptions.memory();
    for number in (0..20_000u32).filter(|&number| !stays(number)) {
        for session in [number, number + 1] {
            subscriptions.remove(
                inserted[number as usize],
                Target::Session(SessionId(session)),
            );
        }
    }
    subscriptions.trim();
    subscriptions.forget_matches();
    assert!(
        subscriptions.memory() < full / 10,
        "{} {full}",
        subscriptions.memory()
    );
    for number in (0..20_000).filter(|&number| stays(number)) {
        let topic = format!("site/{}/device{number}/x", number % 7);
        assert_eq!(names(&mut subscriptions, &topic), [filter(number)]);
    }
    for number in 20_000..20_500 {
        subscriptions.insert(&filter(number), session(number));
        let topic = format!("site/{}/device{number}/x", number % 7);
        assert_eq!(names(&mut subscriptions, &topic), [filter(number)]);
    }
}
