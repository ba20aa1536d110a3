//! What is larger than it should be, with its present size and the reason. An entry may shrink and go; it does not grow.

use super::sizes::{Exception, Kind};

/// Not split yet: nothing speaks for the size.
const SPLIT: &str = "to be split along its steps";

/// See the module.
pub const ALL: &[Exception] = &[
    (
        Kind::Lines,
        "broker/delivery/deliver.rs::send_private",
        61,
        SPLIT,
    ),
    (
        Kind::Parameters,
        "broker/doors/on_subscribe.rs::subscribe_one",
        6,
        SPLIT,
    ),
    (
        Kind::Files,
        "broker::Broker",
        10,
        "what belongs to a part of it is to become a method of that part",
    ),
    (
        Kind::Files,
        "broker::Clients",
        6,
        "what belongs to a part of it is to become a method of that part",
    ),
    (
        Kind::Files,
        "shard::Shard",
        15,
        "a file for each kind of completion; what a part does with its own is in the part's type",
    ),
];
