//! What a shard counts, as plain integers; the thread around it publishes copies of them.

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Totals since the start, and levels where the name says so.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Counters { $($(#[$doc])* pub $name: u64),* }

        impl Counters {
            /// How many there are.
            pub const COUNT: usize = [$(stringify!($name)),*].len();
            /// Their names, in the order of `values`.
            pub const NAMES: [&'static str; Self::COUNT] = [$(stringify!($name)),*];
            /// Their values, in the order of `NAMES`.
            pub fn values(&self) -> [u64; Self::COUNT] { [$(self.$name),*] }
            /// From values in the order of `NAMES`.
            pub fn from_values(values: [u64; Self::COUNT]) -> Self {
                let [$($name),*] = values;
                Counters { $($name),* }
            }
        }
    };
}

counters! {
    /// Bytes received from clients.
    bytes_received,
    /// Bytes that sockets took.
    bytes_sent,
    /// Packets of every type received.
    packets_received,
    /// Packets of every type queued for sending.
    packets_sent,
    /// PUBLISH packets received.
    publish_received,
    /// PUBLISH packets queued for sending.
    publish_sent,
    /// Messages dropped for one subscriber each: queue bounds, packet size, expiry; for a shared subscription those of which no member takes it.
    publish_dropped,
    /// Times that a client was made to wait because it published too fast.
    publish_paused,
    /// PUBLISH packets, and wills, that their client has no right to.
    publish_denied,
    /// PUBLISH packets with a larger payload than `message_size_limit`.
    publish_oversize,
    /// PUBLISH packets to a topic that is longer or deeper than allowed.
    topics_refused,
    /// Subscriptions refused: too many, too long or deep, wildcards too close to the start.
    subscriptions_refused,
    /// Payload bytes of PUBLISH packets received.
    publish_bytes_received,
    /// Payload bytes of PUBLISH packets queued for sending.
    publish_bytes_sent,
    /// Level: clients connected.
    clients_connected,
    /// Level: sessions whose client is away.
    clients_disconnected,
    /// Level at most: clients connected at once.
    clients_maximum,
    /// Sessions ended by their expiry.
    clients_expired,
    /// Level: subscriptions.
    subscriptions,
    /// Level: shared subscriptions.
    shared_subscriptions,
    /// Times that a member of a shared subscription was asked whether it takes a message.
    shared_asked,
    /// Level: retained messages owned.
    retained_messages,
    /// Level: bytes of retained messages owned.
    retained_bytes,
    /// Level: messages queued or in flight for sessions.
    stored_messages,
    /// Level: bytes of the messages queued or in flight for sessions.
    stored_bytes,
    /// Connections accepted.
    connections_accepted,
    /// CONNECTs accepted.
    connects_accepted,
    /// Connections closed for malformed or forbidden input.
    protocol_errors,
    /// Connections closed because they took no byte for too long.
    stalled,
    /// Of the messages dropped, those whose place a newer one of their topic took.
    publish_replaced,
    /// Connections closed because their policy wants that when they are slow.
    clients_slow,
    /// Connections closed because there was no memory for a packet that had not come whole.
    packets_refused,
    /// Connections closed because a packet came too slowly.
    packets_too_slow,
    /// CONNECTs refused, for whatever reason; the next ones say for which.
    connects_refused,
    /// CONNECTs refused because nothing proves who the client is: a failed login.
    connects_refused_login,
    /// CONNECTs refused for their protocol version.
    connects_refused_version,
    /// CONNECTs refused for their client id.
    connects_refused_client_id,
    /// CONNECTs that were malformed.
    connects_refused_malformed,
    /// CONNECTs refused because memory was short, or too many came.
    connects_refused_busy,
    /// CONNECTs refused for another reason.
    connects_refused_other,
    /// Subscriptions refused because memory was short.
    subscriptions_short,
    /// Retained messages that were not kept because memory was short.
    retained_refused,
    /// Times that the shard that owns a topic was asked whether it has room for a retained message.
    retained_asked,
    /// Messages dropped for one session each because memory was short.
    backlog_refused,
    /// Connections closed, and sessions that were away emptied, because memory was short.
    shed,
    /// Times that a publisher was made to wait because memory was short.
    publish_slowed,
    /// Times that a publisher was made to wait for the next turn, because the one at hand had delivered what it may.
    publish_cut,
    /// Times that a publisher was made to wait until owners of topics had passed on what was sent before.
    publish_awaited,
    /// Times that a subscriber was made to wait for the next turn, because the one at hand had subscribed to what it may.
    subscribe_cut,
    /// QoS 2 messages borne of clients that had more open than the receive maximum that they were told.
    receive_maximum_exceeded,
    /// Times that free memory was given back to the system.
    trims,
    /// Level: bytes queued for sockets.
    outbound_bytes,
}
