//! Topic names, topic filters and what matches (MQTT 5, 4.7).

use proptest::prelude::*;

use super::super::topic::*;
use super::super::{Topic, TopicName};

#[test]
fn names() {
    for valid in [
        "a",
        "/",
        "//",
        "a/b",
        "$SYS/x",
        "ä/\u{FEFF}",
        " ",
        "sport/tennis/",
        "$share/g/a",
    ] {
        assert!(topic_name_valid(valid), "{valid:?}");
    }
    for invalid in ["", "#", "+", "a/+", "a/#", "a+", "a#b", "a\0b", "\0"] {
        assert!(!topic_name_valid(invalid), "{invalid:?}");
    }
    assert!(topic_name_valid(&"a".repeat(65_535)));
    assert!(!topic_name_valid(&"a".repeat(65_536)));
}

#[test]
fn mqtt_4_7_1_filters() {
    for valid in [
        "a",
        "#",
        "+",
        "/",
        "+/+",
        "/+",
        "+/",
        "a/#",
        "a/+/b/#",
        "+/tennis/#",
        "$SYS/#",
        "//#",
        "$share",
    ] {
        assert!(topic_filter_valid(valid), "{valid:?}");
    }
    for invalid in [
        "",
        "a#",
        "#a",
        "#/a",
        "#/",
        "##",
        "a/#/b",
        "a+",
        "+a",
        "++",
        "a/b+/c",
        "sport/tennis#",
        "a\0",
    ] {
        assert!(!topic_filter_valid(invalid), "{invalid:?}");
    }
}

#[test]
fn mqtt_4_8_2_shares() {
    assert_eq!(share("$share/g/a/#"), Some(Ok(("g", "a/#"))));
    assert_eq!(share("$share/g//"), Some(Ok(("g", "/"))));
    assert_eq!(share("$share/g/$SYS/#"), Some(Ok(("g", "$SYS/#"))));
    for invalid in [
        "$share/",
        "$share/g",
        "$share//a",
        "$share/g/",
        "$share/+/a",
        "$share/g#/a",
        "$share/g/a#",
    ] {
        assert_eq!(share(invalid), Some(Err(())), "{invalid:?}");
    }
    for other in ["a", "$share", "$shared/g/a", "/$share/g/a"] {
        assert_eq!(share(other), None, "{other:?}");
    }
}

#[test]
fn mqtt_4_7_examples_of_the_standard() {
    for (filter, topic) in [
        ("sport/tennis/player1/#", "sport/tennis/player1"),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking"),
        (
            "sport/tennis/player1/#",
            "sport/tennis/player1/score/wimbledon",
        ),
        ("sport/#", "sport"),
        ("#", "sport"),
        ("#", "/"),
        ("sport/tennis/+", "sport/tennis/player1"),
        ("sport/+", "sport/"),
        ("+/+", "/finance"),
        ("/+", "/finance"),
        ("+/#", "a"),
        ("$SYS/#", "$SYS/broker"),
        ("$SYS/monitor/+", "$SYS/monitor/Clients"),
        ("a//b", "a//b"),
    ] {
        assert!(matches(filter, topic), "{filter} matches {topic}");
    }
    for (filter, topic) in [
        ("sport/tennis/+", "sport/tennis/player1/ranking"),
        ("sport/+", "sport"),
        ("+", "/finance"),
        ("#", "$SYS/broker"),
        ("+/monitor/Clients", "$SYS/monitor/Clients"),
        ("ACCOUNTS", "Accounts"),
        ("/finance", "finance"),
        ("a/b/#", "a"),
        ("a", "a/"),
        ("a/", "a"),
        ("a/b", "a"),
    ] {
        assert!(!matches(filter, topic), "{filter} does not match {topic}");
    }
}

/// Says the rules backwards: whether the levels from the end on agree.
fn matches_by_recursion(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        ([], []) | (["#"], _) => true,
        (["+", filter @ ..], [_, topic @ ..]) => matches_by_recursion(filter, topic),
        ([wanted, filter @ ..], [level, topic @ ..]) => {
            wanted == level && matches_by_recursion(filter, topic)
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn matching_follows_the_rules(filter in "(a|b|[+]|)(/(a|b|[+]|)){0,3}(/#)?", topic in "(a|b|[$]a|)(/(a|b|)){0,4}") {
        prop_assume!(!filter.is_empty() && !topic.is_empty());
        prop_assert!(topic_filter_valid(&filter) && topic_name_valid(&topic));
        let filter_levels: Vec<_> = filter.split('/').collect();
        let topic_levels: Vec<_> = topic.split('/').collect();
        let hidden = topic.starts_with('$') && filter.starts_with(['+', '#']);
        prop_assert_eq!(matches(&filter, &topic), !hidden && matches_by_recursion(&filter_levels, &topic_levels));
    }

    #[test]
    fn a_name_without_wildcards_is_a_filter_for_itself(topic in "[a-c/+#$\0]{0,6}") {
        if topic_name_valid(&topic) {
            prop_assert!(topic_filter_valid(&topic));
            prop_assert!(matches(&topic, &topic));
        }
    }
}

/// A topic is made of what may be published to, and of nothing else.
#[test]
fn a_topic_is_a_valid_name() {
    for valid in ["a", "/", "a//b", "$SYS/x", "ü/\u{1F600}"] {
        let name = TopicName::new(valid).unwrap();
        let topic = Topic::new(valid).unwrap();
        assert_eq!((name.as_str(), topic.as_str()), (valid, valid));
        assert_eq!(name.to_topic(), topic);
        assert_eq!(topic.as_name(), name);
    }
    let (longest, too_long) = ("a".repeat(65_535), "a".repeat(65_536));
    assert!(Topic::new(longest.as_str()).is_some() && TopicName::new(&longest).is_some());
    for invalid in ["", "#", "a/+/b", "a\0", &too_long] {
        assert!(TopicName::new(invalid).is_none() && Topic::new(invalid).is_none());
    }
}
