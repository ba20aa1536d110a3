//! Which shard is at home for a client, a topic or a shared subscription: a hash of its name that all shards agree on. And which
//! topics are the broker's own.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;

use crate::ids::ShardId;
use crate::mqtt::topic;

const PLACEMENT_SEED: u64 = 0x6669_7265_686f_7365;

/// The number of a name, the same on all shards.
pub(super) fn number_of(key: impl Hash) -> u64 {
    FixedState::with_seed(PLACEMENT_SEED).hash_one(key)
}

fn place(key: impl Hash, shards: u8) -> ShardId {
    match shards {
        0 | 1 => ShardId(0),
        _ => ShardId((number_of(key) % u64::from(shards)) as u8),
    }
}

/// The shard where the session of a client identifier lives (docs/decisions/0102).
pub fn home(client_id: &str, shards: u8) -> ShardId {
    place(client_id, shards)
}

/// The shard that keeps the retained message of a topic (docs/decisions/0501).
pub fn owner_of_topic(topic: &str, shards: u8) -> ShardId {
    place(topic, shards)
}

/// The shard that chooses a member for the messages of a shared subscription (docs/decisions/0407).
pub(super) fn owner_of_group(group: &str, filter: &str, shards: u8) -> ShardId {
    place((group, filter), shards)
}

/// The number of a topic among those of which something is under way, or asked for: two that have the same one wait for each other.
pub(super) fn topic_number(topic: &str) -> u64 {
    FixedState::with_seed(1).hash_one(topic)
}

/// Whether no client publishes to this topic, whatever the rules say: only the broker itself does, or nobody could
/// subscribe to it. As in Mosquitto, by the first characters, and but for where bridges say whether they are there.
#[inline]
pub(super) fn is_broker_topic(topic: &str) -> bool {
    topic.starts_with('$') && is_reserved(topic)
}

fn is_reserved(topic: &str) -> bool {
    let is_state = |topic| topic::matches("$SYS/broker/connection/+/state", topic);
    (topic::is_sys(topic) && !is_state(topic)) || topic.starts_with("$share")
}
