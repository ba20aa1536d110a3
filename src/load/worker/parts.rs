//! The parts of a worker, by what they are about; what is done with them is the worker's.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::bus_feed::BusFeed;
use super::command::{Command, Progress, QuitPart, Reply, SetupPart};
use super::measured::StepState;
use super::opening::Opening;
use super::publishing::Publishing;
use super::visits::Visits;

/// What it has been told to do, as far as that goes on.
#[derive(Default)]
pub(super) struct Work {
    pub opening: Option<Opening>,
    pub visits: Option<Visits>,
    pub publishing: Option<Publishing>,
    pub bus: Option<BusFeed>,
    pub step: StepState,
}

/// What has become of its connections.
pub(super) struct Tally {
    /// Since the coordinator asked last.
    pub setup: SetupPart,
    /// Counts whatever moves.
    pub moves: u64,
    /// What is told at the end.
    pub quit: QuitPart,
}

/// Its line to the coordinator.
pub(super) struct Line {
    pub commands: Receiver<Command>,
    pub replies: Sender<Reply>,
    pub progress: Arc<Progress>,
    /// Commands that it has taken.
    pub seen: u32,
}
