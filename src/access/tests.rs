//! ACL files: what is read, what is refused, and who may do what; against a table, and against a naive reference.

use proptest::prelude::*;

use super::rules::{Access, Acl, Answer, Client};
use super::{Cause, Decisions, Judgement, Passwords};
use crate::limits;
use crate::mqtt::topic;

fn parse(text: &str) -> Acl {
    Acl::parse(text.as_bytes()).unwrap().0
}

/// As the broker asks: for the user name first, for the client where that is not enough.
fn may(acl: &Acl, user: Option<&str>, id: &str, access: Access, topic: &str) -> bool {
    let mut client = Client {
        user,
        id: None,
        with_patterns: acl.suits_patterns(user, id),
    };
    let answer = match acl.judge(client, topic).answer(access) {
        Answer::ByClientId => {
            client.id = Some(id);
            acl.judge(client, topic).answer(access)
        }
        answer => answer,
    };
    assert_ne!(answer, Answer::ByClientId);
    answer == Answer::Yes
}

#[test]
fn lines_are_read_as_mosquitto_reads_them() {
    let cases = [
        ("topic a\n", "a", "rw"),
        ("topic read a\n", "a", "r"),
        ("topic write a\n", "a", "w"),
        ("topic readwrite a\n", "a", "rw"),
        ("topic readwrite a\ntopic deny a\n", "a", ""),
        ("topic deny a\n", "a", ""),
        ("  topic   read \t a b \r\n", "a b", "r"),
        ("topic read a # b\n", "a # b", "error"),
        ("topic read\n", "read", "rw"),
        ("topic read a", "a", "r"),
        ("#topic read a\n", "a", ""),
        ("   # topic read a\n\n \t\n", "a", ""),
        ("user u\ntopic a\n", "a", ""),
        ("user  somebody else \ntopic a\n", "a", ""),
        ("user u\npattern a\n", "a", "rw"),
        ("pattern read %c\n", "me", "r"),
        ("pattern read %%c%\n", "%me%", "r"),
        ("pattern read %u\n", "me", ""),
        ("topic read %c\n", "me", ""),
        ("topic read %c\n", "%c", "r"),
        ("pattern read x-%c-y/+\n", "x-me-y/z", "r"),
    ];
    for (text, topic, expected) in cases {
        let Ok((acl, _)) = Acl::parse(text.as_bytes()) else {
            assert_eq!(expected, "error", "{text:?}");
            continue;
        };
        let may = |access| may(&acl, None, "me", access, topic);
        let found = match (may(Access::Read), may(Access::Write)) {
            (true, true) => "rw",
            (true, false) => "r",
            (false, true) => "w",
            (false, false) => "",
        };
        assert_eq!(found, expected, "{text:?}");
    }
}

#[test]
fn wrong_lines_are_refused_with_their_number() {
    let cases: [(&[u8], u32, &str); 11] = [
        (b"topic\n", 1, "the topic is missing"),
        (b"\n\npattern \n", 3, "the topic is missing"),
        (b"topic a\nuser\n", 2, "the user name is missing"),
        (b"user  \n", 1, "the user name is missing"),
        (
            b"topic reads a\n",
            1,
            "`reads` is none of read, write, readwrite, deny",
        ),
        (
            b"topic subscribe a\n",
            1,
            "`subscribe` is none of read, write, readwrite, deny",
        ),
        (
            b"topic read a#\n",
            1,
            "`a#` is not a topic filter: + has to be a whole level, # the last one",
        ),
        (
            b"topic a/#/b\n",
            1,
            "`a/#/b` is not a topic filter: + has to be a whole level, # the last one",
        ),
        (
            b"topic a\nwhat a\n",
            2,
            "`what` is none of user, topic, pattern",
        ),
        (
            b"topic a\n\nTopic a",
            3,
            "`Topic` is none of user, topic, pattern",
        ),
        (b"topic a\ntopic \xff\n", 2, "not UTF-8 text"),
    ];
    for (text, line, cause) in cases {
        let error = Acl::parse(text).unwrap_err();
        assert_eq!(
            (error.line, error.cause.to_string().as_str()),
            (line, cause),
            "{text:?}"
        );
    }
    let deep = format!("topic {}\n", "a/".repeat(limits::TOPIC_LEVELS_MAX));
    let error = Acl::parse(deep.as_bytes()).unwrap_err();
    assert!(matches!(error.cause, Cause::InvalidTopic(_)));
}

#[test]
fn what_may_be_meant_otherwise_is_noted() {
    let text = b"topic a\npattern read a\ntopic read\npattern %c\n";
    let (_, notes) = Acl::parse(text).unwrap();
    let lines: Vec<u32> = notes.iter().map(|note| note.line).collect();
    assert_eq!(lines, [2, 3]);
}

#[test]
fn who_may_do_what() {
    let acl = parse(
        "topic read #\n\
         topic read $SYS/#\n\
         topic deny secret/#\n\
         user infra\n\
         topic readwrite #\n\
         topic deny infra/off\n\
         pattern readwrite dev/%c/#\n\
         pattern write by/%u/to/%c\n\
         pattern deny infra/never\n\
         pattern deny dev/+/locked\n\
         user other\n",
    );
    use Access::{Read, Write};
    let cases: [(Option<&str>, &str, Access, &str, bool); 27] = [
        (None, "c", Read, "a/b", true),
        (None, "c", Write, "a/b", false),
        (None, "c", Read, "$SYS/broker/uptime", true),
        (None, "c", Read, "$other/x", false),
        (None, "c", Read, "secret", false),
        (None, "c", Read, "secret/x", false),
        (None, "c", Write, "dev/c/x", true),
        (None, "c", Write, "dev/c", true),
        (None, "c", Write, "dev/d/x", false),
        (None, "c", Write, "by/x/to/c", false),
        (Some("infra"), "c", Write, "a", true),
        (Some("infra"), "c", Write, "infra/off", false),
        (Some("infra"), "c", Read, "infra/off", false),
        // What the user's own lines grant no pattern takes away.
        (Some("infra"), "c", Write, "infra/never", true),
        (Some("infra"), "c", Write, "$SYS/x", false),
        (Some("other"), "c", Read, "a", false),
        (Some("other"), "c", Write, "by/other/to/c", true),
        (Some("other"), "c", Write, "by/infra/to/c", false),
        (Some("nobody"), "c", Write, "dev/c/x", true),
        // `dev/+/locked` takes away from patterns what they grant.
        (Some("nobody"), "c", Write, "dev/c/locked", false),
        (Some("nobody"), "c", Write, "dev/locked", false),
        // It would stand for a place below that of `c`.
        (Some("nobody"), "c/d", Write, "dev/c/d/x", false),
        (Some("nobody"), "c/", Write, "dev/c//x", false),
        (Some("nobody"), "+", Write, "dev/d/x", false),
        (Some("nobody"), "#", Write, "dev/d", false),
        (Some("a+b"), "c", Write, "dev/c/x", false),
        (Some("c/d"), "e", Write, "by/c/d/to/e", false),
    ];
    for (user, id, access, topic, expected) in cases {
        let found = may(&acl, user, id, access, topic);
        assert_eq!(found, expected, "{user:?} {id} {access:?} {topic}");
    }
}

#[test]
fn the_answer_depends_on_the_client_id_only_where_a_pattern_says_so() {
    let acl = parse("topic read open/#\npattern read dev/%c\npattern deny dev/+/x\n");
    let client = Client {
        user: None,
        id: None,
        with_patterns: true,
    };
    let answer = |topic| acl.judge(client, topic).answer(Access::Read);
    assert_eq!(answer("open/x"), Answer::Yes);
    assert_eq!(answer("closed/x"), Answer::No);
    assert_eq!(answer("dev/x"), Answer::ByClientId);
    assert_eq!(answer("dev/y/x"), Answer::No);
}

/// Mosquitto's way: line by line.
fn naive(
    lines: &[(Option<String>, bool, u8, String)],
    user: Option<&str>,
    id: &str,
    access: Access,
    name: &str,
) -> bool {
    let bit = if access == Access::Read { 1 } else { 2 };
    let own: Vec<_> = lines
        .iter()
        .filter(|(of, is_pattern, _, _)| !is_pattern && of.as_deref() == user)
        .filter(|(_, _, _, filter)| topic::matches(filter, name))
        .collect();
    if own.iter().any(|line| line.2 == 4) {
        return false;
    }
    if own.iter().any(|line| line.2 & bit != 0) {
        return true;
    }
    let is_dangerous = |name: &str| name.contains(['+', '#', '/']);
    if is_dangerous(id) || user.is_some_and(is_dangerous) {
        return false;
    }
    let matching: Vec<_> = lines
        .iter()
        .filter(|(_, is_pattern, _, filter)| {
            *is_pattern && (user.is_some() || !filter.contains("%u"))
        })
        .filter(|(_, _, _, filter)| {
            // No name of these tests holds a %.
            let filter = filter.replace("%c", id).replace("%u", user.unwrap_or(""));
            topic::matches(&filter, name)
        })
        .collect();
    !matching.iter().any(|line| line.2 == 4) && matching.iter().any(|line| line.2 & bit != 0)
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("a"),
        Just("b"),
        Just("a/b"),
        Just("ab"),
        Just("$S"),
        Just("+"),
        Just("b#"),
    ]
    .prop_map(String::from)
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![
        Just("a"),
        Just("b"),
        Just(""),
        Just("+"),
        Just("%c"),
        Just("%u"),
        Just("a%c"),
        Just("%u%c"),
        Just("%"),
        Just("$S"),
    ];
    (prop::collection::vec(level, 1..4), any::<bool>()).prop_filter_map(
        "empty",
        |(levels, is_open)| {
            let filter = levels.join("/") + if is_open { "/#" } else { "" };
            (!filter.is_empty()).then_some(filter)
        },
    )
}

fn topic_name() -> impl Strategy<Value = String> {
    let level = prop_oneof![
        Just("a"),
        Just("b"),
        Just(""),
        Just("aa"),
        Just("ab"),
        Just("aab"),
        Just("$S"),
        Just("%c"),
    ];
    prop::collection::vec(level, 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("empty", |topic| !topic.is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        words in prop::collection::vec("(topic|pattern|user|read|deny|%c|%u|\\$7\\$|[a-z+#/:\n \t$]){0,3}", 0..20),
    ) {
        for text in [bytes, words.concat().into_bytes()] {
            if let Ok((acl, _)) = Acl::parse(&text) {
                may(&acl, Some("u"), "c", Access::Read, "a/b");
            }
            let _ = Passwords::parse(&text);
        }
    }

    #[test]
    fn decides_as_one_that_looks_at_every_line(
        lines in prop::collection::vec(
            (
                prop::option::of(name()),
                any::<bool>(),
                prop_oneof![Just(1u8), Just(2u8), Just(3u8), Just(4u8)],
                filter(),
            ),
            0..8,
        ),
        topics in prop::collection::vec(topic_name(), 1..8),
        user in prop::option::of(name()),
        id in name(),
    ) {
        let words = ["", "read", "write", "readwrite", "deny"];
        let mut lines = lines;
        // Anonymous ones have to stand before the first user line.
        lines.sort_by_key(|line| line.0.is_some());
        let mut text = String::new();
        for (user, is_pattern, bits, filter) in &lines {
            if let Some(user) = user {
                text += &format!("user {user}\n");
            }
            let kind = if *is_pattern { "pattern" } else { "topic" };
            text += &format!("{kind} {} {filter}\n", words[usize::from(*bits)]);
        }
        let acl = parse(&text);
        for topic in &topics {
            for access in [Access::Read, Access::Write] {
                prop_assert_eq!(
                    may(&acl, user.as_deref(), &id, access, topic),
                    naive(&lines, user.as_deref(), &id, access, topic),
                    "{:?} {} {:?} {} in\n{}", user, id, access, topic, text
                );
            }
        }
    }
}

#[test]
fn decisions_are_remembered_within_their_bounds() {
    let acl = parse("topic read #\n");
    let client = Client {
        user: None,
        id: None,
        with_patterns: false,
    };
    let mut decisions = Decisions::new(7);
    for index in 0..3 * limits::ACCESS_CACHE_DECISIONS {
        let topic = format!("t/{index}");
        decisions.get_or((1, 0), &topic, || acl.judge(client, &topic));
    }
    assert!(decisions.len() <= limits::ACCESS_CACHE_DECISIONS);
    let mut asked = 0;
    for _ in 0..5 {
        decisions.get_or((1, 0), "again", || {
            asked += 1;
            acl.judge(client, "again")
        });
    }
    assert_eq!(asked, 1);
    let read = |judgement: Judgement| judgement.answer(Access::Read);
    // Another's decision is not taken for one's own.
    let other = decisions.get_or((2, 0), "again", || Judgement::DENIED);
    assert_eq!(read(other), Answer::No);
    let own = decisions.get_or((1, 0), "again", || Judgement::DENIED);
    assert_eq!(read(own), Answer::Yes);
    let long = "x".repeat(limits::ACCESS_CACHE_TOPIC_BYTES_MAX + 1);
    decisions.get_or((1, 0), &long, || acl.judge(client, &long));
    let long = decisions.get_or((1, 0), &long, || Judgement::DENIED);
    assert_eq!(read(long), Answer::No, "too long to be kept");
}

#[test]
fn comments_have_any_encoding() {
    let text = b"\xef\xbb\xbfuser u\n # gr\xfc\xdfe\n#\xff\ntopic read a\n";
    let (acl, notes) = Acl::parse(text).unwrap();
    assert!(notes.is_empty());
    assert_eq!(acl, parse("user u\ntopic read a\n"));
}
