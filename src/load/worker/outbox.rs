//! Which connections have something to send, and memory for it.

/// Connections with output, and buffers for more.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Connections that have something to send.
    pub dirty: Vec<u32>,
    /// Buffers that are not in use.
    pub spare: Vec<Vec<u8>>,
}
