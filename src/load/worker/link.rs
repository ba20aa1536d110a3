//! A connection's ring side: socket, operations in flight, what is being sent.

use crate::uring::{Op, UserData};

/// How far a connection has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// There is no socket.
    #[default]
    Closed,
    /// TCP connects.
    Connecting,
    /// CONNECT is on its way.
    Handshake,
    /// SUBSCRIBE is on its way.
    Subscribing,
    /// What was to be opened is open.
    Ready,
    /// DISCONNECT is on its way; then it closes.
    Leaving,
    /// Waits for the end of its operations.
    Closing,
}

pub(super) const RECEIVING: u8 = 1;
pub(super) const SENDING: u8 = 2;
pub(super) const CANCELLING_RECEIVE: u8 = 4;
pub(super) const CANCELLING_SEND: u8 = 8;
pub(super) const SLOT_CLOSED: u8 = 16;

#[derive(Debug, Default)]
pub(super) struct Link {
    /// Counts the sockets that it had.
    generation: u32,
    pub stage: Stage,
    flags: u8,
    /// Operations that have not completed.
    pub in_flight: u8,
    /// What a send in flight names; untouched until it has completed.
    pub sending: Vec<u8>,
    /// How much of it is sent.
    pub sent: u32,
}

impl Link {
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn set(&mut self, flag: u8) {
        self.flags |= flag;
    }

    pub(super) fn clear(&mut self, flag: u8) {
        self.flags &= !flag;
    }

    /// What a submission of it carries.
    pub(super) fn user_data(&self, op: Op, index: u32) -> UserData {
        UserData::new(op, self.generation, index)
    }

    /// Whether a completion belongs to the present socket.
    pub(super) fn owns(&self, user_data: UserData) -> bool {
        user_data.generation() == self.generation & UserData::GENERATION_MASK
    }

    /// Whether the broker's closing of it is a fault.
    pub(super) fn is_wanted(&self) -> bool {
        matches!(
            self.stage,
            Stage::Connecting | Stage::Handshake | Stage::Subscribing | Stage::Ready
        )
    }

    /// The socket is gone; another may come.
    pub(super) fn reset(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.stage = Stage::Closed;
        self.flags = 0;
        self.sent = 0;
    }
}
