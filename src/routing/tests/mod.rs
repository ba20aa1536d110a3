//! The routing structures against models that are too simple to be wrong.

mod grant;
mod groups;
mod reach;
mod retained;
mod subscriptions;

/// Whether a filter matches a topic name (MQTT 5, 4.7), level by level.
fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut topic = topic.split('/');
    for level in filter.split('/') {
        match (level, topic.next()) {
            ("#", _) => return true,
            (_, None) => return false,
            ("+", Some(_)) => {}
            (level, Some(name)) if level == name => {}
            _ => return false,
        }
    }
    topic.next().is_none()
}
