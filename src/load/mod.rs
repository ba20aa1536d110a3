//! `bench`: the load tester. Plan, workers, verification, histograms, verdict, reports.

pub mod client;
pub mod distribution;
pub mod job;
pub mod ledger;
pub mod measure;
pub mod result;
pub mod stamp;
