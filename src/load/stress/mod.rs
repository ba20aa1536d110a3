//! `firehose bench stress`: the stress test of pymqttbench, all but its traffic. Options, statistics, printed text, the
//! grid of the talk with its `.dat` file, and the comparison with the published runs. Only `dat` touches files.

pub mod compare;
pub mod dat;
pub mod grid;
pub mod options;
pub mod output;
pub mod stats;

#[cfg(test)]
mod tests;
