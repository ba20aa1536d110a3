//! How many nodes one topic can lead to: what the tree keeps of it, against what follows from the filters.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::subscriptions::{filter, topic};
use crate::ids::SessionId;
use crate::routing::*;

const TARGET: Target = Target::Session(SessionId(1));

fn insert(subscriptions: &mut Subscriptions, filter: &str) {
    subscriptions.insert(
        filter,
        Entry::session(SessionId(1), EntryOptions::default()),
    );
}

fn remove(subscriptions: &mut Subscriptions, filter: &str) {
    let id = subscriptions.find(filter).unwrap();
    assert!(subscriptions.remove(id, TARGET).is_some());
}

/// One for the node, and what `#`, `+` and the greatest of the names below it have.
fn reach(paths: &[&[&str]]) -> u32 {
    let mut below: BTreeMap<&str, Vec<&[&str]>> = BTreeMap::new();
    for path in paths.iter().filter(|path| !path.is_empty()) {
        below.entry(path[0]).or_default().push(&path[1..]);
    }
    let (mut names, mut wildcards) = (0, 0);
    for (level, paths) in below {
        match level {
            "+" | "#" => wildcards += reach(&paths),
            _ => names = names.max(reach(&paths)),
        }
    }
    1 + names + wildcards
}

fn reach_of<'a>(filters: impl IntoIterator<Item = &'a String>) -> u32 {
    let split: Vec<Vec<&str>> = filters
        .into_iter()
        .map(|filter| filter.split('/').collect())
        .collect();
    let paths: Vec<&[&str]> = split.iter().map(Vec::as_slice).collect();
    reach(&paths)
}

/// Nodes that a topic leads to: beginnings of filters that match as much of it, and `#` behind them.
fn visited(filters: &BTreeSet<String>, topic: &str) -> u32 {
    let topic: Vec<&str> = topic.split('/').collect();
    let mut nodes = BTreeSet::new();
    for filter in filters {
        let mut path = String::new();
        for (at, level) in filter.split('/').enumerate() {
            let goes_on = level == "#"
                || topic
                    .get(at)
                    .is_some_and(|name| level == "+" || level == *name);
            if !goes_on {
                break;
            }
            path = format!("{path}/{level}");
            nodes.insert(path.clone());
        }
    }
    1 + nodes.len() as u32
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_kept_is_never_less_and_exact_when_tightened(
        steps in prop::collection::vec((filter(), prop::bool::weighted(0.6)), 1..120),
        topics in prop::collection::vec(topic(), 1..20),
        max in 0..40u32,
    ) {
        let mut real = Subscriptions::new(1);
        let mut filters = BTreeSet::new();
        let mut has_removed = false;
        for (filter, comes) in steps {
            if comes {
                let before = real.reach();
                let too_far = real.reaches_too_far(&filter, max);
                insert(&mut real, &filter);
                filters.insert(filter);
                prop_assert_eq!(too_far, real.reach() > max && real.reach() > before);
            } else if filters.remove(&filter) {
                remove(&mut real, &filter);
                has_removed = true;
            }
            let exact = reach_of(&filters);
            prop_assert!(real.reach() >= exact);
            prop_assert!(has_removed || real.reach() == exact);
        }
        real.tighten();
        prop_assert_eq!(real.reach(), reach_of(&filters));
        for topic in topics {
            prop_assert!(visited(&filters, &topic) <= real.reach());
        }
        for filter in &filters {
            remove(&mut real, filter);
        }
        prop_assert_eq!(real.reach(), 1);
    }
}

#[test]
fn plus_beside_a_name_doubles_it_with_each_level() {
    let mut subscriptions = Subscriptions::new(1);
    for number in 0..1024u32 {
        let levels = (0..10).map(|bit| if number >> bit & 1 == 0 { "+" } else { "x" });
        insert(&mut subscriptions, &levels.collect::<Vec<_>>().join("/"));
    }
    assert_eq!(subscriptions.reach(), 2047);
    // Breadth costs nothing, nor what stands beside it.
    for number in 0..5000 {
        insert(&mut subscriptions, &format!("site/{number}/+/device/#"));
        insert(&mut subscriptions, &format!("x/x/x/{number}"));
    }
    assert_eq!(subscriptions.reach(), 2047);
    assert!(!subscriptions.reaches_too_far("site/5000/+/device/#", 2047));
    assert!(!subscriptions.reaches_too_far("+/+/+/y", 2047));
    assert!(subscriptions.reaches_too_far("x/x/x/x/x/x/x/x/x/x/+", 2047));
    assert!(subscriptions.reaches_too_far("#", 2047));
}

#[test]
fn what_has_gone_is_found_out_when_it_is_asked_for() {
    let mut subscriptions = Subscriptions::new(1);
    insert(&mut subscriptions, "quiet/#");
    for filter in ["x/+/a", "x/y/a", "x/y/+"] {
        insert(&mut subscriptions, filter);
    }
    let before = subscriptions.reach();
    for filter in ["x/+/a", "x/y/a", "x/y/+"] {
        remove(&mut subscriptions, filter);
    }
    assert_eq!(subscriptions.reach(), before, "it may have been `quiet`");
    assert!(subscriptions.tighten());
    assert_eq!(subscriptions.reach(), 3);
    assert!(!subscriptions.tighten());
}
