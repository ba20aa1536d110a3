//! What a shard counts, as plain integers; the thread around it publishes copies of them.

use crate::figure::Figure;
use crate::mqtt::{QoS, Version};

macro_rules! counters {
    ($(#[doc = $help:literal] $kind:ident $name:ident),* $(,)?) => {
        /// What has been counted.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Counters { $(#[doc = $help] pub $name: u64),* }

        impl Counters {
            /// How many there are.
            pub const COUNT: usize = [$(stringify!($name)),*].len();
            /// What they are, in the order of `values`.
            pub const FIGURES: [Figure; Self::COUNT] = [$(Figure::$kind(stringify!($name), $help)),*];
            /// Their values, in the order of `FIGURES`.
            pub fn values(&self) -> [u64; Self::COUNT] { [$(self.$name),*] }
            /// From values in the order of `FIGURES`.
            pub fn from_values(values: [u64; Self::COUNT]) -> Self {
                let [$($name),*] = values;
                Counters { $($name),* }
            }
        }
    };
}

#[cfg(test)]
pub(in crate::broker) use counters;

counters! {
    /// Bytes received from clients.
    counter bytes_received,
    /// Bytes that sockets took.
    counter bytes_sent,
    /// Packets of every type received.
    counter packets_received,
    /// Packets of every type queued for sending.
    counter packets_sent,
    /// PUBLISH packets received.
    counter publish_received,
    /// PUBLISH packets queued for sending.
    counter publish_sent,
    /// Of the PUBLISH packets received, those with QoS 1.
    counter publish_received_qos1,
    /// Of the PUBLISH packets received, those with QoS 2.
    counter publish_received_qos2,
    /// Of the PUBLISH packets queued for sending, those with QoS 1.
    counter publish_sent_qos1,
    /// Of the PUBLISH packets queued for sending, those with QoS 2.
    counter publish_sent_qos2,
    /// Messages dropped for one subscriber each: queue bounds, packet size, expiry; for a shared subscription those of which no member takes it.
    counter publish_dropped,
    /// Times that a client was made to wait because it published too fast.
    counter publish_paused,
    /// PUBLISH packets, and wills, that their client has no right to.
    counter publish_denied,
    /// PUBLISH packets with a larger payload than `message_size_limit`.
    counter publish_oversize,
    /// PUBLISH packets to a topic that is longer or deeper than allowed.
    counter topics_refused,
    /// Messages, sessions and subscriptions refused because the disk takes nothing more.
    counter unkept_refused,
    /// Subscriptions refused: too many, too long or deep, wildcards too close to the start.
    counter subscriptions_refused,
    /// Payload bytes of PUBLISH packets received.
    counter publish_bytes_received,
    /// Payload bytes of PUBLISH packets queued for sending.
    counter publish_bytes_sent,
    /// Clients connected.
    level clients_connected,
    /// Clients connected by MQTT 3.1.
    level clients_v31,
    /// Clients connected by MQTT 3.1.1.
    level clients_v311,
    /// Clients connected by MQTT 5.
    level clients_v5,
    /// Sessions whose client is away.
    level clients_disconnected,
    /// The most clients connected at once.
    peak clients_maximum,
    /// Sessions ended by their expiry.
    counter clients_expired,
    /// Subscriptions.
    level subscriptions,
    /// Shared subscriptions.
    level shared_subscriptions,
    /// Times that a member of a shared subscription was asked whether it takes a message.
    counter shared_asked,
    /// Retained messages owned.
    level retained_messages,
    /// Bytes of retained messages owned.
    level retained_bytes,
    /// Messages queued or in flight for sessions.
    level stored_messages,
    /// Bytes of the messages queued or in flight for sessions.
    level stored_bytes,
    /// Connections accepted.
    counter connections_accepted,
    /// CONNECTs accepted.
    counter connects_accepted,
    /// Connections closed for malformed or forbidden input.
    counter protocol_errors,
    /// Connections closed because they took no byte for too long.
    counter stalled,
    /// Of the messages dropped, those that expired while they waited.
    counter publish_dropped_expired,
    /// Of the messages dropped, those that are larger than the packets that their subscriber takes.
    counter publish_dropped_large,
    /// Of the messages dropped, those of a shared subscription of which no member takes them.
    counter publish_dropped_untaken,
    /// Of the messages dropped, those whose place a newer one of their topic took.
    counter publish_replaced,
    /// Connections closed because their policy wants that when they are slow.
    counter clients_slow,
    /// Connections closed because there was no memory for a packet that had not come whole.
    counter packets_refused,
    /// Connections closed because a packet came too slowly.
    counter packets_too_slow,
    /// CONNECTs refused, for whatever reason; the next ones say for which.
    counter connects_refused,
    /// CONNECTs refused because nothing proves who the client is: a failed login.
    counter connects_refused_login,
    /// CONNECTs refused for their protocol version.
    counter connects_refused_version,
    /// CONNECTs refused for their client id.
    counter connects_refused_client_id,
    /// CONNECTs that were malformed.
    counter connects_refused_malformed,
    /// CONNECTs refused because memory was short, or too many came.
    counter connects_refused_busy,
    /// CONNECTs refused for another reason.
    counter connects_refused_other,
    /// Subscriptions refused because memory was short.
    counter subscriptions_short,
    /// Retained messages that were not kept because memory was short.
    counter retained_refused,
    /// Times that the shard that owns a topic was asked whether it has room for a retained message.
    counter retained_asked,
    /// Of the messages dropped, those that were dropped for one session each because memory was short.
    counter backlog_refused,
    /// Connections closed, and sessions that were away emptied, because memory was short.
    counter shed,
    /// Times that a publisher was made to wait because memory was short.
    counter publish_slowed,
    /// Times that a publisher was made to wait for the next turn, because the one at hand had delivered what it may.
    counter publish_cut,
    /// Times that a publisher was made to wait until owners of topics had passed on what was sent before.
    counter publish_awaited,
    /// Times that a subscriber was made to wait for the next turn, because the one at hand had subscribed to what it may.
    counter subscribe_cut,
    /// QoS 2 messages borne of clients that had more open than the receive maximum that they were told.
    counter receive_maximum_exceeded,
    /// Times that free memory was given back to the system.
    counter trims,
    /// Bytes queued for sockets.
    level outbound_bytes,
    /// Traces of clients and topics that somebody looks at; each is on all shards.
    level traces,
    /// Events of traces that were left out: too many in a second, or no room until the next look.
    counter trace_events_left_out,
}

impl Counters {
    /// A PUBLISH has come.
    #[inline]
    pub(in crate::broker) fn publish_came(&mut self, qos: QoS, payload_bytes: usize) {
        self.publish_received += 1;
        self.publish_bytes_received += payload_bytes as u64;
        match qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => self.publish_received_qos1 += 1,
            QoS::ExactlyOnce => self.publish_received_qos2 += 1,
        }
    }

    /// A PUBLISH that is acknowledged has been queued for sending, and is counted among all.
    #[inline]
    pub(in crate::broker) fn publish_goes(&mut self, qos: QoS) {
        match qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => self.publish_sent_qos1 += 1,
            QoS::ExactlyOnce => self.publish_sent_qos2 += 1,
        }
    }

    /// A message is larger than the packets that its subscriber takes (MQTT-3.1.2-24).
    #[cold]
    pub(in crate::broker) fn drop_large(&mut self) {
        self.publish_dropped += 1;
        self.publish_dropped_large += 1;
    }

    /// No member of a shared subscription takes a message.
    #[cold]
    pub(in crate::broker) fn drop_untaken(&mut self) {
        self.publish_dropped += 1;
        self.publish_dropped_untaken += 1;
    }

    /// How many clients are connected by this version.
    pub(crate) fn clients_by(&mut self, version: Version) -> &mut u64 {
        match version {
            Version::V31 => &mut self.clients_v31,
            Version::V311 => &mut self.clients_v311,
            Version::V5 => &mut self.clients_v5,
        }
    }
}
