//! What is larger than it should be, with its present size and the reason. An entry may shrink and go; it does not grow.

use super::sizes::{Exception, Kind};

const SPLIT: &str = "being split";
const BRAIN: &str = "being taken apart: what belongs to a part becomes a method of that part";

/// See the module.
pub const ALL: &[Exception] = &[
    (
        Kind::Lines,
        "broker/delivery/deliver.rs::send_private",
        61,
        SPLIT,
    ),
    (Kind::Lines, "broker/doors/on_connect.rs::bind", 83, SPLIT),
    (
        Kind::Lines,
        "broker/doors/on_connect.rs::check_connect",
        70,
        SPLIT,
    ),
    (
        Kind::Lines,
        "broker/doors/on_shared.rs::on_shared",
        77,
        SPLIT,
    ),
    (
        Kind::Parameters,
        "broker/doors/on_subscribe.rs::subscribe_one",
        6,
        SPLIT,
    ),
    (Kind::Lines, "load/run/mod.rs::run", 61, SPLIT),
    (Kind::Parameters, "load/model/workers.rs::fill", 6, SPLIT),
    (
        Kind::Parameters,
        "load/report/html/lines.rs::rate_panel",
        6,
        SPLIT,
    ),
    (
        Kind::Parameters,
        "load/worker/compose.rs::append_json",
        6,
        SPLIT,
    ),
    (Kind::Fields, "load/worker/core.rs::Core", 25, SPLIT),
    (
        Kind::Fields,
        "load/stress/options.rs::StressArgs",
        29,
        "a field for each flag of a command line that is given",
    ),
    (Kind::Files, "broker::Broker", 18, BRAIN),
    (Kind::Files, "broker::Clients", 14, BRAIN),
    (Kind::Files, "load::Worker", 6, SPLIT),
    (
        Kind::Files,
        "shard::Shard",
        15,
        "a file for each kind of completion; what a part does with its own is in the part's type",
    ),
];
