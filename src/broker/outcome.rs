//! What a handler of a packet has decided, for the one place that acts on it (`on_bytes`).

use crate::mqtt::ReasonCode;

/// What has become of a packet.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is handled.
    Done,
    /// It is handled when the wait with this ticket is over (`waits`), as if it had not come yet, and all that is behind it.
    Wait(u32),
    /// It ends the connection, for this reason.
    End(ReasonCode),
}

/// Until when a connection is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// A time, in milliseconds; earlier if what it waits for has come.
    Ms(u64),
    /// The turn at hand has ended.
    NextTurn,
    /// Owners of topics have passed on what its publisher has under way.
    PassedOn,
    /// The wait with this ticket is over.
    Over(u32),
}
