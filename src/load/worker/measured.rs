//! What a worker keeps of a step beside the meter.

/// Counts and times of one step.
#[derive(Debug, Default)]
pub(super) struct StepState {
    /// Nothing is done but receiving, until then.
    pub(super) receives_until_ns: u64,
    /// CPU and wall nanoseconds when the measured part began and when it ended.
    pub(super) began: Option<(u64, u64)>,
    pub(super) ended: Option<(u64, u64)>,
    /// When the messages of this turn were to be sent.
    pub slips: Vec<u64>,
    pub operations: u64,
    pub operations_failed: u64,
    pub throttled: u64,
    pub unsent: u64,
    pub done_ns: u64,
}

impl StepState {
    pub(super) fn is_receiving(&self, now_ns: u64) -> bool {
        now_ns < self.receives_until_ns
    }
}
