//! What keeps a promise over a crash, by name, so that a test can take one protection away at a time: the simulation has to miss each.
//!
//! Outside tests all are there, and asking costs nothing.

/// Something without which a crash would cost what was acknowledged, or bring something twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    /// PUBACK leaves when what it promises is durable.
    PubackHeld,
    /// The same of PUBREC.
    PubrecHeld,
    /// The same of PUBREL.
    PubrelHeld,
    /// The same of PUBCOMP.
    PubcompHeld,
    /// The same of SUBACK.
    SubackHeld,
    /// The same of UNSUBACK.
    UnsubackHeld,
    /// The same of CONNACK.
    ConnackHeld,
    /// A QoS 2 message leaves when its packet identifier is durable.
    Gate,
    /// What goes to another shard is written by who sends it.
    HandedWritten,
    /// And by who takes it.
    TookWritten,
    /// A turn is read whole, or not at all.
    TurnWhole,
    /// A turn has its place among all that is written before others see what it said.
    #[cfg(test)]
    TurnBeforeMesh,
}

/// Whether it is there.
#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn has(_: Protection) -> bool {
    true
}

#[cfg(test)]
thread_local! {
    static REMOVED: std::cell::Cell<Option<Protection>> = const { std::cell::Cell::new(None) };
}

/// Whether it is there.
#[cfg(test)]
pub(crate) fn has(protection: Protection) -> bool {
    REMOVED.get() != Some(protection)
}

/// Takes one away for this thread.
#[cfg(test)]
pub(crate) fn remove(protection: Option<Protection>) {
    REMOVED.set(protection);
}
