//! One network connection between a client and the broker, with all that can happen to it.

use std::collections::VecDeque;

use crate::broker::{CloseHow, Handover};
use crate::ids::{ConnId, ShardId};

/// Where the broker's end of a connection is.
#[derive(Debug)]
pub(super) enum Place {
    /// In the kernel's queue, not accepted yet.
    Queued,
    /// At a shard.
    At(ShardId, ConnId),
    /// On its way from one shard to another.
    Moving(ShardId, Box<Handover>),
    /// Gone.
    Gone,
}

/// A connection.
pub(super) struct Link {
    pub client: usize,
    pub place: Place,
    /// Bytes on their way to the broker.
    pub to_broker: VecDeque<u8>,
    /// Bytes on their way to the client.
    pub to_client: VecDeque<u8>,
    /// Bytes of the send in flight.
    pub sending: Option<Vec<u8>>,
    /// The client has closed its end; the broker may not know yet.
    pub client_closed: bool,
    /// The client sends nothing more; it reads until the broker closes.
    pub half_closed: bool,
    /// With a reset: bytes on their way are lost.
    pub reset: bool,
    /// The broker was told of the end.
    pub end_told: bool,
    /// What the broker asked for.
    pub closing: Option<CloseHow>,
    /// The broker's side has sent its last byte.
    pub broker_closed: bool,
    /// The client does not read.
    pub stalled: bool,
    /// It did not read for a while, or shards did not hear of each other: the broker may have given up.
    pub was_stalled: bool,
    /// When its client began to wait for the end.
    pub half_closed_ms: u64,
    /// Some bytes that the client sent here never reached the broker.
    pub lost_bytes: bool,
    /// The broker is about to close it: what comes is not looked at.
    pub is_ending: bool,
    /// The send in flight is to be cancelled.
    pub cancel: bool,
    /// The will that must not come, if the goodbye has reached the broker.
    pub forbids: Option<String>,
    /// Its client is back in time: the session must be there.
    pub finds_session: bool,
    /// How it ended, for the broker.
    pub end: End,
}

/// How a connection ended.
#[derive(Default)]
pub(super) struct End {
    /// When everything ended at once, if that has cut it off.
    pub cut_ms: Option<u64>,
    /// How much had been written down when the broker was done with it.
    pub written: usize,
}

impl Link {
    /// A new connection of a client.
    pub(super) fn new(client: usize) -> Self {
        Link {
            client,
            place: Place::Queued,
            to_broker: VecDeque::new(),
            to_client: VecDeque::new(),
            sending: None,
            client_closed: false,
            half_closed: false,
            reset: false,
            end_told: false,
            closing: None,
            broker_closed: false,
            stalled: false,
            was_stalled: false,
            half_closed_ms: 0,
            lost_bytes: false,
            is_ending: false,
            cancel: false,
            forbids: None,
            finds_session: false,
            end: End::default(),
        }
    }
}
