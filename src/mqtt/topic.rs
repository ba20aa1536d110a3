//! Topic names and topic filters (MQTT 5, 4.7 and 4.8.2): what is valid, and what matches.
//!
//! `matches` looks at one filter and one topic and is written to be obviously right: it is the oracle for the tests
//! of `routing`, which decides for all subscriptions at once.

use crate::limits::TOPIC_LEVELS_MAX;

use super::write::FIELD_BYTES_MAX;

/// What a shared subscription's filter begins with.
const SHARE: &str = "$share/";

/// Whether something may be published under this name: at least one character, none of them a wildcard or U+0000, at
/// most 65,535 bytes (MQTT-4.7.1-1, MQTT-4.7.3-1 to -3).
#[inline]
pub fn topic_name_valid(topic: &str) -> bool {
    !topic.is_empty() && topic.len() <= FIELD_BYTES_MAX && !has_forbidden(topic)
}

/// Whether a topic is of the tree in which a broker speaks of itself, or a bridge of its connection: that is of one run, and is not
/// kept for the next. As in Mosquitto, by the first characters.
#[inline]
pub fn is_sys(topic: &str) -> bool {
    topic.starts_with("$SYS")
}

/// Whether there is a wildcard or U+0000.
#[inline]
fn has_forbidden(topic: &str) -> bool {
    // A fold without an early end, so that it is done sixteen bytes at a time.
    topic
        .as_bytes()
        .iter()
        .fold(false, |bad, &byte| bad | is_wildcard(byte) | (byte == 0))
}

/// Whether a byte is a wildcard.
#[inline]
pub(super) fn is_wildcard(byte: u8) -> bool {
    (byte == b'+') | (byte == b'#')
}

/// Whether this may be subscribed to: `#` only as the whole of the last level (MQTT-4.7.1-1), `+` only as the whole
/// of a level (MQTT-4.7.1-2), at least one character (MQTT-4.7.3-1), no U+0000, at most 65,535 bytes. The form of a
/// shared subscription is left to `share`.
pub fn topic_filter_valid(filter: &str) -> bool {
    if filter.is_empty() || filter.len() > FIELD_BYTES_MAX || filter.contains('\0') {
        return false;
    }
    let mut ended = false;
    filter.split('/').all(|level| {
        if ended {
            return false;
        }
        ended = level == "#";
        level.len() == 1 || !level.contains(['+', '#'])
    })
}

/// Takes a shared subscription's filter apart into share name and topic filter; `None` for any other filter.
/// `Some(Err(()))`: the share name is empty or has a wildcard (MQTT-4.8.2-1), or no valid filter follows
/// (MQTT-4.8.2-2).
///
/// ```
/// use firehose::mqtt::topic::share;
/// assert_eq!(share("$share/group/a/+"), Some(Ok(("group", "a/+"))));
/// assert_eq!(share("$share/group"), Some(Err(())));
/// assert_eq!(share("a/+"), None);
/// ```
pub fn share(filter: &str) -> Option<Result<(&str, &str), ()>> {
    let is_share = filter.starts_with(SHARE);
    is_share.then(|| match split_share(filter) {
        (Some(group), filter)
            if !group.is_empty() && !group.contains(['+', '#']) && topic_filter_valid(filter) =>
        {
            Ok((group, filter))
        }
        _ => Err(()),
    })
}

/// Takes a filter apart that `share` has found valid: the share name, if there is one, and the topic filter.
pub fn split_share(filter: &str) -> (Option<&str>, &str) {
    let rest = filter.strip_prefix(SHARE);
    match rest.and_then(|rest| rest.split_once('/')) {
        Some((group, filter)) => (Some(group), filter),
        None => (None, filter),
    }
}

/// Whether a topic name or filter has more than `TOPIC_LEVELS_MAX` levels.
#[inline]
pub fn too_deep(topic: &str) -> bool {
    topic.len() >= TOPIC_LEVELS_MAX
        && topic.bytes().filter(|&byte| byte == b'/').count() >= TOPIC_LEVELS_MAX
}

/// Whether a valid filter (without `$share`) matches a valid topic name. A topic that starts with `$` is not matched
/// by a filter that starts with a wildcard (MQTT-4.7.2-1).
///
/// ```
/// use firehose::mqtt::topic::matches;
/// assert!(matches("sport/#", "sport"));
/// assert!(matches("+/+", "/finance"));
/// assert!(!matches("#", "$SYS/broker/uptime"));
/// ```
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}
