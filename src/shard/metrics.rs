//! What the thread of a shard counts about itself, beside the brain's counters.

macro_rules! metrics {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)?) => {
        /// One figure of a shard's thread.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Metric { $($(#[$doc])* $variant),* }

        impl Metrics {
            /// How many there are.
            pub const COUNT: usize = [$($name),*].len();
            /// Their names, in the order of `values`.
            pub const NAMES: [&'static str; Self::COUNT] = [$($name),*];
        }
    };
}

metrics! {
    /// Level: connections open.
    Connections = "connections",
    /// Level at most: connections open at once.
    ConnectionsMaximum = "connections_maximum",
    /// Connections accepted.
    Accepted = "accepted",
    /// Connections closed at once because a limit was reached.
    Refused = "refused",
    /// Those of them that were one too many of their source address, at once or in a time.
    RefusedByAddress = "refused_by_address",
    /// Those of them for which there was no memory.
    RefusedForMemory = "refused_for_memory",
    /// Accepts that failed.
    AcceptFailed = "accept_failed",
    /// Turns.
    Turns = "turns",
    /// Turns that had worked for as long as one may, and left completions or messages to the next.
    OverloadedTurns = "overloaded_turns",
    /// How often accepts have rested because turns were long.
    AcceptsPaused = "accepts_paused",
    /// Completions handled.
    Completions = "completions",
    /// Receives that brought bytes.
    Receives = "receives",
    /// Receives that found no buffer.
    Starved = "starved",
    /// Sends submitted.
    Sends = "sends",
    /// Sends cancelled at the brain's wish.
    SendsCancelled = "sends_cancelled",
    /// Connections given to another shard.
    Given = "given",
    /// Connections taken over from another shard.
    Adopted = "adopted",
    /// Connections lost on the way between shards.
    HandoverFailed = "handover_failed",
    /// Wake-ups of other shards.
    Wakes = "wakes",
    /// Wake-ups that could not be posted and were tried again.
    WakesFailed = "wakes_failed",
    /// Messages that found the mesh full and had to wait.
    MeshOverflowed = "mesh_overflowed",
    /// Level: messages that wait because rings of the mesh are full.
    MeshWaiting = "mesh_waiting",
    /// Turns in which congestion of the mesh held up receives.
    MeshCongested = "mesh_congested",
    /// Completions that belong to nothing.
    Stray = "stray",
    /// TLS handshakes that were completed.
    TlsHandshakes = "tls_handshakes",
    /// Of those, the ones that went on with an earlier session.
    TlsResumed = "tls_resumed",
    /// Connections given up because they broke the rules of their transport.
    TransportFailed = "transport_failed",
    /// Connections given up because there was no memory left for what TLS and WebSocket hold.
    TransportsRefused = "transports_refused",
    /// Connections given up because too many handshakes were waiting.
    HandshakesRefused = "handshakes_refused",
    /// How often free memory was given back to the system.
    MemoryGivenBack = "memory_given_back",
    /// Log lines dropped.
    LogDropped = "log_dropped",
}

/// All figures of a shard's thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    values: [u64; Self::COUNT],
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics {
            values: [0; Self::COUNT],
        }
    }
}

impl Metrics {
    /// One figure.
    #[inline]
    pub fn get(&self, metric: Metric) -> u64 {
        self.values[metric as usize]
    }

    /// All figures, in the order of `NAMES`.
    pub fn values(&self) -> &[u64; Self::COUNT] {
        &self.values
    }

    /// From values in the order of `NAMES`.
    pub fn from_values(values: [u64; Self::COUNT]) -> Self {
        Metrics { values }
    }

    #[inline]
    pub(super) fn add(&mut self, metric: Metric, more: u64) {
        self.values[metric as usize] += more;
    }

    pub(super) fn set_mesh_waiting(&mut self, messages: u64) {
        self.values[Metric::MeshWaiting as usize] = messages;
    }

    pub(super) fn set_connections(&mut self, open: u64) {
        self.values[Metric::Connections as usize] = open;
        let most = &mut self.values[Metric::ConnectionsMaximum as usize];
        *most = open.max(*most);
    }
}
