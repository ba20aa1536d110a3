//! `bench`: the load tester. Plan, workers, verification, histograms, verdict, reports.

pub mod distribution;
pub mod result;
pub mod stress;
