//! Which topics a filter matches, read from the text of the standard (MQTT 5.0, 4.7) and not from the broker's code:
//! what the broker delivers is checked against it.

/// Whether a topic name matches a topic filter. A filter of a shared subscription stands here without `$share/NAME/`.
///
/// 4.7.1: `+` is one level, an empty one too; `#` is the last level, and matches the level above it and all below.
/// 4.7.2: a filter that begins with a wildcard does not match a topic that begins with `$`.
/// 4.7.3: names are compared as they are, character by character; a leading or trailing `/` makes a level of its own.
///
/// A filter that the standard does not allow matches nothing: topic names have no wildcard characters.
pub fn matches(filter: &str, topic: &str) -> bool {
    let begins_with_wildcard = filter.starts_with('#') || filter.starts_with('+');
    if begins_with_wildcard && topic.starts_with('$') {
        return false;
    }
    let (mut filter, mut topic) = (Some(filter), Some(topic));
    loop {
        (filter, topic) = match (filter, topic) {
            (None, None) => return true,
            // The whole rest of the filter: below here, or at the level above, where nothing is left of the topic.
            (Some("#"), _) => return true,
            (Some(filter), Some(topic)) => {
                let (wanted, filter) = first_level(filter);
                let (level, topic) = first_level(topic);
                if wanted != "+" && wanted != level {
                    return false;
                }
                (filter, topic)
            }
            _ => return false,
        };
    }
}

/// The first level, and the levels behind it if there are any.
fn first_level(levels: &str) -> (&str, Option<&str>) {
    match levels.find('/') {
        Some(at) => (&levels[..at], Some(&levels[at + 1..])),
        None => (levels, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::topic;

    /// What the standard says of its own examples (4.7.1.2, 4.7.1.3, 4.7.2, 4.7.3).
    const OF_THE_STANDARD: [(&str, &str, bool); 33] = [
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        (
            "sport/tennis/player1/#",
            "sport/tennis/player1/ranking",
            true,
        ),
        (
            "sport/tennis/player1/#",
            "sport/tennis/player1/score/wimbledon",
            true,
        ),
        ("sport/tennis/player1/#", "sport/tennis/player10", false),
        ("sport/#", "sport", true),
        ("sport/#", "sports", false),
        ("#", "sport/tennis", true),
        ("#", "/", true),
        ("#", "sport", true),
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/tennis/+", "sport/tennis", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+", "sport", true),
        ("+", "sport/tennis", false),
        ("+/tennis/#", "sport/tennis", true),
        ("+/tennis/#", "sport/tennis/a/b", true),
        ("+/tennis/#", "tennis", false),
        ("sport/+/player1", "sport/tennis/player1", true),
        ("sport/+/player1", "sport//player1", true),
        ("sport/+/player1", "sport/player1", false),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+", "/finance", false),
        ("#", "$SYS/monitor/Clients", false),
        ("+/monitor/Clients", "$SYS/monitor/Clients", false),
        ("$SYS/#", "$SYS/monitor/Clients", true),
        ("$SYS/#", "$SYS", true),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
        ("ACCOUNTS", "Accounts", false),
        ("Accounts payable", "Accounts payable", true),
        ("/finance", "finance", false),
    ];

    #[test]
    fn examples_of_the_standard_are_as_it_says() {
        for (filter, topic, expected) in OF_THE_STANDARD {
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        }
    }

    #[test]
    fn filters_that_are_none_match_nothing() {
        for filter in [
            "sport/tennis#",
            "sport/#/ranking",
            "sport+",
            "#/",
            "sport/tennis/+a",
        ] {
            for topic in ["sport", "sport/tennis", "sport/tennis/ranking", "/"] {
                assert!(!matches(filter, topic), "{filter} {topic}");
            }
        }
    }

    /// All texts of up to so many of these levels.
    fn all(levels: &[&str], depth: u32) -> Vec<String> {
        let mut texts: Vec<String> = levels.iter().map(|&level| level.to_owned()).collect();
        let mut last = texts.clone();
        for _ in 1..depth {
            let deeper = last
                .iter()
                .flat_map(|text| levels.iter().map(move |level| format!("{text}/{level}")));
            last = deeper.collect();
            texts.extend_from_slice(&last);
        }
        texts
    }

    #[test]
    fn the_broker_reads_the_standard_in_the_same_way() {
        let topics = all(&["", "a", "b", "$a"], 4);
        let filters = all(&["", "a", "b", "$a", "+", "#"], 4);
        let valid = filters
            .iter()
            .filter(|text| topic::topic_filter_valid(text));
        for filter in valid {
            for name in topics.iter().filter(|name| !name.is_empty()) {
                assert_eq!(
                    matches(filter, name),
                    topic::matches(filter, name),
                    "{filter} {name}"
                );
            }
        }
    }
}
