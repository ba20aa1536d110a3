//! The load tester, `firehose bench`: a plan is made of options and workloads, carried out by workers against a broker, and
//! judged and reported. Every message is verified; what was measured says what it is worth.
//!
//! From the bottom: `stamp`, `client`, `ledger`, `measure`, `arrivals`, `model`, `matcher` know no socket; `job` is what
//! `worker` and `engine` are told; `plan`, `workloads`, `scenario` make it; `host` is the machine; `run` puts all together;
//! `verdict`, `search`, `report` say what came out; `stress` is pymqttbench's part.

pub mod arrivals;
mod assemble;
pub mod client;
pub mod distribution;
pub mod engine;
pub mod host;
pub mod job;
pub mod ledger;
pub mod live;
pub mod matcher;
pub mod measure;
pub mod model;
pub mod options;
pub mod plan;
pub mod quantity;
pub mod report;
pub mod result;
pub mod run;
pub mod scenario;
pub mod search;
pub mod secrets;
pub mod stamp;
pub mod stress;
pub mod verdict;
pub mod worker;
pub mod workloads;
