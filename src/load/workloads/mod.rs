//! The workloads: who connects, what is published and read, in which phases. They are data; the engine knows none of
//! their names.

mod connections;
mod fan;
mod given;
mod model;
mod stored;
mod stress;
#[cfg(test)]
mod tests;
mod wildcard;

use super::options::{LoadOptions, Options, TimeOptions};
use super::quantity::{Bytes, Rate, Seconds};

pub use given::{Shape, qos};
pub use stress::stress_plan;

use given::Given;

/// Options that mean something to some workloads only.
const OF_LOADS: &str = "publishers subscribers topics size qos sub-qos rate arrivals window closed-loop in-flight shared durable \
messages connect-rate from to steps scale time-lapse find-max slo max-rate precision allow-loss spread-every";

/// A workload of the flat options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    Fanout,
    Fanin,
    Pairs,
    Wildcard,
    Connect,
    Churn,
    Idle,
    Retained,
    Backlog,
    Ramp,
    Firehose,
}

impl Workload {
    /// All of them, as they are listed.
    pub const ALL: [Workload; 11] = [
        Workload::Fanout,
        Workload::Fanin,
        Workload::Pairs,
        Workload::Wildcard,
        Workload::Connect,
        Workload::Churn,
        Workload::Idle,
        Workload::Retained,
        Workload::Backlog,
        Workload::Ramp,
        Workload::Firehose,
    ];

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Workload::Fanout => "fanout",
            Workload::Fanin => "fanin",
            Workload::Pairs => "pairs",
            Workload::Wildcard => "wildcard",
            Workload::Connect => "connect",
            Workload::Churn => "churn",
            Workload::Idle => "idle",
            Workload::Retained => "retained",
            Workload::Backlog => "backlog",
            Workload::Ramp => "ramp",
            Workload::Firehose => "firehose",
        }
    }

    /// By its name.
    pub fn by_name(name: &str) -> Option<Workload> {
        Workload::ALL
            .into_iter()
            .find(|workload| workload.name() == name)
    }

    /// What it does, in a line of help.
    pub fn about(self) -> &'static str {
        match self {
            Workload::Fanout => "One publisher, many subscribers of its topic [default]",
            Workload::Fanin => "Many publishers, each with a topic, one subscriber of all",
            Workload::Pairs => "Publishers and subscribers, one to one",
            Workload::Wildcard => {
                "A tree of topics, read with wildcards; deliveries checked by the tester's own matcher"
            }
            Workload::Connect => "A storm of connections, at a rate",
            Workload::Churn => {
                "Clients that connect, subscribe and leave, again and again, at a rate"
            }
            Workload::Idle => "Connections that do nothing: what one costs in memory",
            Workload::Retained => "A large set of retained messages, replayed to all who subscribe",
            Workload::Backlog => {
                "Durable sessions that are away while messages come, and then are back"
            }
            Workload::Ramp => {
                "The load of the Firehose's bus, raised in steps to ten times the talk's peak"
            }
            Workload::Firehose => {
                "The Firehose of 2017 itself: its topics, payloads, rates, bursts and readers"
            }
        }
    }

    /// Whether an option of the load, by its name on the command line, means anything to it.
    pub fn uses(self, option: &str) -> bool {
        const ONE_RATE: &str = "rate arrivals window closed-loop find-max slo max-rate precision";
        const MESSAGES: &str = "publishers size qos sub-qos in-flight allow-loss spread-every";
        let own = match self {
            Workload::Fanout | Workload::Fanin => [ONE_RATE, MESSAGES, "shared durable"],
            Workload::Pairs => [ONE_RATE, MESSAGES, "durable"],
            Workload::Wildcard => [ONE_RATE, MESSAGES, "shared topics"],
            Workload::Connect => ["connect-rate slo", "", ""],
            Workload::Churn => ["connect-rate slo", "qos sub-qos shared", ""],
            Workload::Idle => ["qos sub-qos shared", "", ""],
            Workload::Retained | Workload::Backlog => ["rate messages slo", MESSAGES, ""],
            Workload::Ramp => ["arrivals from to steps shared slo", MESSAGES, ""],
            Workload::Firehose => [
                "scale time-lapse publishers shared slo",
                "qos sub-qos in-flight allow-loss spread-every",
                "",
            ],
        };
        let words = |list: &str| list.split(' ').any(|word| word == option);
        !words(OF_LOADS) || option == "subscribers" || own.into_iter().any(words)
    }

    /// What it sets unless the user does.
    pub fn presets(self) -> Options {
        Options {
            load: self.load_presets(),
            time: self.time_presets(),
            ..Options::default()
        }
    }

    fn load_presets(self) -> LoadOptions {
        let clients = |publishers: Option<u32>, subscribers: Option<u32>| LoadOptions {
            publishers,
            subscribers,
            ..LoadOptions::default()
        };
        match self {
            Workload::Fanout => LoadOptions {
                rate: Some(Rate(100.0)),
                ..clients(None, Some(1000))
            },
            Workload::Fanin => LoadOptions {
                rate: Some(Rate(20_000.0)),
                ..clients(Some(1000), None)
            },
            Workload::Pairs => LoadOptions {
                rate: Some(Rate(10_000.0)),
                ..clients(Some(50), Some(50))
            },
            Workload::Wildcard => LoadOptions {
                topics: Some(1000),
                rate: Some(Rate(1000.0)),
                ..clients(Some(10), Some(200))
            },
            Workload::Connect => LoadOptions {
                connect_rate: Some(Rate(1000.0)),
                ..clients(None, Some(5000))
            },
            Workload::Churn => LoadOptions {
                connect_rate: Some(Rate(500.0)),
                ..clients(None, Some(200))
            },
            Workload::Idle => clients(None, Some(5000)),
            Workload::Retained => LoadOptions {
                messages: Some(10_000),
                rate: Some(Rate(20_000.0)),
                size: Some(Bytes(256)),
                ..clients(None, Some(10))
            },
            Workload::Backlog => LoadOptions {
                messages: Some(1000),
                rate: Some(Rate(1000.0)),
                qos: Some(1),
                size: Some(Bytes(256)),
                ..clients(None, Some(100))
            },
            Workload::Ramp | Workload::Firehose => self.bus_presets(),
        }
    }

    /// Those of the bus of 2017.
    fn bus_presets(self) -> LoadOptions {
        match self {
            Workload::Ramp => LoadOptions {
                publishers: Some(25),
                subscribers: Some(9),
                from: Some(Rate(34_000.0)),
                to: Some(Rate(340_000.0)),
                steps: Some(10),
                size: Some(Bytes(256)),
                ..LoadOptions::default()
            },
            _ => LoadOptions {
                publishers: Some(super::model::PUBLISHERS_2017),
                subscribers: Some(100),
                scale: Some(20.0),
                time_lapse: Some(60.0),
                ..LoadOptions::default()
            },
        }
    }

    fn time_presets(self) -> TimeOptions {
        let (warm_up_s, duration_s) = match self {
            Workload::Fanout | Workload::Fanin | Workload::Pairs => (None, None),
            Workload::Wildcard | Workload::Churn => (None, None),
            Workload::Connect | Workload::Retained | Workload::Backlog => (Some(0.0), Some(60.0)),
            Workload::Idle => (Some(0.0), Some(5.0)),
            Workload::Ramp => (Some(1.0), Some(3.0)),
            Workload::Firehose => (None, Some(15.0)),
        };
        TimeOptions {
            warm_up: warm_up_s.map(Seconds),
            duration: duration_s.map(Seconds),
            ..TimeOptions::default()
        }
    }
}

/// The shape of a workload; an error is one of usage.
pub fn shape(workload: Workload, options: &Options) -> Result<Shape, String> {
    let given = Given::of(options);
    match workload {
        Workload::Fanout => fan::fanout(&given),
        Workload::Fanin => fan::fanin(&given),
        Workload::Pairs => fan::pairs(&given),
        Workload::Ramp => fan::ramp(&given),
        Workload::Wildcard => wildcard::wildcard(&given),
        Workload::Connect => Ok(connections::connect(&given)),
        Workload::Churn => Ok(connections::churn(&given)),
        Workload::Idle => Ok(connections::idle(&given)),
        Workload::Retained => Ok(stored::retained(&given)),
        Workload::Backlog => stored::backlog(&given),
        Workload::Firehose => Ok(model::firehose(&given)),
    }
}
