//! What happens to messages for a client that does not take them as fast as they come.

/// `slow_consumer_policy`. Where none is set, the oldest QoS 0 messages go, and of the others the newest, as in Mosquitto.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowPolicy {
    /// The oldest messages that wait go.
    DropOldest,
    /// The new ones go.
    DropNewest,
    /// The client is disconnected.
    Disconnect,
    /// Of each topic only the newest message waits.
    Latest,
}

impl SlowPolicy {
    /// All of them, with their names in the configuration.
    pub const ALL: [(&'static str, SlowPolicy); 4] = [
        ("drop_oldest", SlowPolicy::DropOldest),
        ("drop_newest", SlowPolicy::DropNewest),
        ("disconnect", SlowPolicy::Disconnect),
        ("latest", SlowPolicy::Latest),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        let is_it = |(_, policy): &&(&'static str, SlowPolicy)| *policy == self;
        Self::ALL.iter().find(is_it).map_or("", |(name, _)| name)
    }
}
