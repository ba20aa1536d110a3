//! What is told of the busiest topics.

/// A topic, and how much is published to it. Rates are those of the last minute, in which what is longer ago counts less.
#[derive(Clone, Debug, PartialEq)]
pub struct BusyTopic {
    /// The topic name.
    pub topic: Box<str>,
    /// Messages a second, as counted.
    pub rate: f64,
    /// It is not less than this.
    pub at_least: f64,
    /// And not more.
    pub at_most: f64,
    /// Payload bytes a second, as counted.
    pub byte_rate: f64,
}

/// All that a shard knows of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BusyTopics {
    /// In no order.
    pub topics: Vec<BusyTopic>,
    /// No other topic has more messages a second.
    pub others_at_most: f64,
    /// Messages a second to all topics.
    pub all: f64,
    /// Of those, to topics whose names are too long to be remembered.
    pub long: f64,
}
