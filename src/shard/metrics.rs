//! What the thread of a shard counts about itself, beside the brain's counters.

use crate::figure::Figure;

macro_rules! metrics {
    ($(#[doc = $help:literal] $kind:ident $variant:ident = $name:literal),* $(,)?) => {
        /// One figure of a shard's thread.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub(crate) enum Metric { $(#[doc = $help] $variant),* }

        impl Metrics {
            /// How many there are.
            pub(crate) const COUNT: usize = [$($name),*].len();
            /// What they are, in the order of `values`.
            pub(crate) const FIGURES: [Figure; Self::COUNT] = [$(Figure::$kind($name, $help)),*];
        }
    };
}

metrics! {
    /// Connections open.
    level Connections = "connections",
    /// The most connections open at once.
    peak ConnectionsMaximum = "connections_maximum",
    /// Connections that there is room for: the limit on open files bounds them.
    level ConnectionsLimit = "connections_limit",
    /// Connections accepted.
    counter Accepted = "accepted",
    /// Connections closed at once because a limit was reached.
    counter Refused = "refused",
    /// Those of them that were one too many of their source address, at once or in a time.
    counter RefusedByAddress = "refused_by_address",
    /// Those of them for which there was no memory.
    counter RefusedForMemory = "refused_for_memory",
    /// Accepts that failed.
    counter AcceptFailed = "accept_failed",
    /// Turns.
    counter Turns = "turns",
    /// Turns that had worked for as long as one may, and left completions or messages to the next.
    counter OverloadedTurns = "overloaded_turns",
    /// How often accepts have rested because turns were long.
    counter AcceptsPaused = "accepts_paused",
    /// Completions handled.
    counter Completions = "completions",
    /// Receives that brought bytes.
    counter Receives = "receives",
    /// Receives that found no buffer.
    counter Starved = "starved",
    /// Sends submitted.
    counter Sends = "sends",
    /// Sends cancelled at the brain's wish.
    counter SendsCancelled = "sends_cancelled",
    /// Connections given to another shard.
    counter Given = "given",
    /// Connections taken over from another shard.
    counter Adopted = "adopted",
    /// Connections lost on the way between shards.
    counter HandoverFailed = "handover_failed",
    /// Wake-ups of other shards.
    counter Wakes = "wakes",
    /// Wake-ups that could not be posted and were tried again.
    counter WakesFailed = "wakes_failed",
    /// Messages that found the mesh full and had to wait.
    counter MeshOverflowed = "mesh_overflowed",
    /// Messages that wait because rings of the mesh are full.
    level MeshWaiting = "mesh_waiting",
    /// Turns in which congestion of the mesh held up receives.
    counter MeshCongested = "mesh_congested",
    /// Completions that belong to nothing.
    counter Stray = "stray",
    /// TLS handshakes that were completed.
    counter TlsHandshakes = "tls_handshakes",
    /// Of those, the ones that went on with an earlier session.
    counter TlsResumed = "tls_resumed",
    /// Connections given up because they broke the rules of their transport.
    counter TransportFailed = "transport_failed",
    /// Connections given up because there was no memory left for what TLS and WebSocket hold.
    counter TransportsRefused = "transports_refused",
    /// Connections given up because too many handshakes were waiting.
    counter HandshakesRefused = "handshakes_refused",
    /// How often free memory was given back to the system.
    counter MemoryGivenBack = "memory_given_back",
    /// Log lines dropped.
    counter LogDropped = "log_dropped",
}

/// All figures of a shard's thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Metrics {
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
    pub(crate) fn get(&self, metric: Metric) -> u64 {
        self.values[metric as usize]
    }

    /// All figures, in the order of `FIGURES`.
    pub(crate) fn values(&self) -> &[u64; Self::COUNT] {
        &self.values
    }

    /// From values in the order of `FIGURES`.
    pub(crate) fn from_values(values: [u64; Self::COUNT]) -> Self {
        Metrics { values }
    }

    #[inline]
    pub(super) fn add(&mut self, metric: Metric, more: u64) {
        self.values[metric as usize] += more;
    }

    pub(super) fn set_mesh_waiting(&mut self, messages: u64) {
        self.values[Metric::MeshWaiting as usize] = messages;
    }

    pub(super) fn set_connections_limit(&mut self, most: u64) {
        self.values[Metric::ConnectionsLimit as usize] = most;
    }

    pub(super) fn set_connections(&mut self, open: u64) {
        self.values[Metric::Connections as usize] = open;
        let most = &mut self.values[Metric::ConnectionsMaximum as usize];
        *most = open.max(*most);
    }
}
