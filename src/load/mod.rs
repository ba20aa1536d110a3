//! `bench`: the load tester. Plan, workers, verification, histograms, verdict, reports.

pub mod distribution;
pub mod report;
pub mod result;
