//! The parts of a worker, by what they are about; what is done with them is the worker's.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use socket2::SockAddr;

use crate::uring::{Completion, ReceiveBuffers, Ring};

use super::bus_feed::BusFeed;
use super::command::{Command, Progress, QuitPart, Reply, SetupPart};
use super::layer::Layer;
use super::link::Link;
use super::measured::StepState;
use super::opening::Opening;
use super::publishing::Publishing;
use super::visits::Visits;

/// The ring and what its operations name. The ring comes first, so that it goes first: what it uses outlives it.
pub(super) struct Sockets {
    pub ring: Ring,
    pub buffers: ReceiveBuffers,
    /// By connection: the subscribers' come first, then the publishers'.
    pub links: Vec<Link>,
    /// By connection; empty where MQTT lies on the sockets themselves.
    pub layers: Vec<Option<Box<Layer>>>,
    /// The broker's.
    pub address: Box<SockAddr>,
    /// Connections whose receive is to be armed.
    pub to_arm: Vec<u32>,
    pub completions: Vec<Completion>,
}

/// What it has been told to do, as far as that goes on.
#[derive(Default)]
pub(super) struct Work {
    pub opening: Option<Opening>,
    pub visits: Option<Visits>,
    pub publishing: Option<Publishing>,
    pub bus: Option<BusFeed>,
    pub step: StepState,
    /// Whether connections that are opened now forget their sessions.
    pub forget: bool,
    /// Connections that failed while the opening that began them was being worked on.
    pub failed_at_once: usize,
    /// When the messages of this turn were to be sent.
    pub slips: Vec<u64>,
}

/// What has become of its connections.
pub(super) struct Tally {
    /// Since the coordinator asked last.
    pub setup: SetupPart,
    /// Connections that are open, and subscribed if they subscribe.
    pub ready: u64,
    /// Connections that are being closed.
    pub leaving: u32,
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
