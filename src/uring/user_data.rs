//! What a submission carries so that its completion finds home: operation, generation and index in 64 bits.

/// The operation that a completion belongs to. For all but `Wake`, `WakeFailed` and `Given` the index names a
/// connection, an accept operation or a slot of this thread; those come from, or go to, the rings of others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Op {
    /// An accept; the index is that of the accept operation.
    Accept = 1,
    /// A cancellation of an accept.
    CancelAccept,
    /// A receive, single or multishot; the index is the connection, as for the following.
    Receive,
    /// A send.
    Send,
    /// A cancellation of a receive.
    CancelReceive,
    /// A cancellation of a send.
    CancelSend,
    /// A shutdown of the sending side.
    Shutdown,
    /// The close of a connection's slot.
    Close,
    /// The close of a slot that has no connection: the index is the slot.
    CloseSlot,
    /// A connection's socket on its way to another ring.
    Give,
    /// The read of the eventfd that announces commands.
    Commands,
    /// A wake-up of another ring that failed (one that succeeds leaves no completion here).
    WakeFailed,
    /// Another ring woke this one.
    Wake,
    /// Another ring gave a socket: the generation is the giver's number, the index its ticket.
    Given,
    /// A connection's way out; only the load tester has it.
    Connect,
}

impl Op {
    const ALL: [Op; 15] = [
        Op::Accept,
        Op::CancelAccept,
        Op::Receive,
        Op::Send,
        Op::CancelReceive,
        Op::CancelSend,
        Op::Shutdown,
        Op::Close,
        Op::CloseSlot,
        Op::Give,
        Op::Commands,
        Op::WakeFailed,
        Op::Wake,
        Op::Given,
        Op::Connect,
    ];
}

/// Operation (8 bits), generation (24 bits), index (32 bits), packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(crate) struct UserData(u64);

impl UserData {
    /// The bits of a generation that are kept.
    pub(crate) const GENERATION_MASK: u32 = 0x00ff_ffff;

    /// Packs; of the generation the lower 24 bits are kept.
    #[inline]
    pub(crate) const fn new(op: Op, generation: u32, index: u32) -> Self {
        UserData(
            (op as u64) << 56 | ((generation & Self::GENERATION_MASK) as u64) << 32 | index as u64,
        )
    }

    /// From what a completion carries.
    #[inline]
    pub(crate) const fn from_raw(raw: u64) -> Self {
        UserData(raw)
    }

    /// For a submission.
    #[inline]
    pub(crate) const fn raw(self) -> u64 {
        self.0
    }

    /// The operation; `None` for bits that nobody packed.
    #[inline]
    pub(crate) fn op(self) -> Option<Op> {
        Op::ALL
            .get(((self.0 >> 56) as usize).wrapping_sub(1))
            .copied()
    }

    /// The generation.
    #[inline]
    pub(crate) const fn generation(self) -> u32 {
        (self.0 >> 32) as u32 & Self::GENERATION_MASK
    }

    /// The index.
    #[inline]
    pub(crate) const fn index(self) -> u32 {
        self.0 as u32
    }
}
