//! The load tester, the half that knows no socket: identities of messages, the client's session, the ledger of deliveries, the
//! measurement of a step, results as data, and what belongs to the stress test but its traffic.

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
pub mod stamp;
pub mod stress;
pub mod verdict;
pub mod worker;
pub mod workloads;
