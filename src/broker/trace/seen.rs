//! From a packet to what is shown of it.

use super::event::{
    Direction, TracedConnect, TracedContent, TracedFilter, TracedMessage, TracedPacket, TracedWill,
};
use super::look::{payload_start, properties_start};
use crate::broker::settings::ListenerSettings;
use crate::limits;
use crate::mqtt::{
    Connect, Packet, PacketId, PacketType, Publish, ReasonCode, SubscribeOptions, topic,
};

/// Where a packet was seen.
pub(crate) struct PacketAt<'a> {
    /// The number of the connection.
    pub connection: u64,
    /// Where it goes.
    pub direction: Direction,
    /// Its bytes.
    pub bytes: usize,
    /// Bytes of it behind those that are known.
    pub unknown: usize,
    /// The listener of the client.
    pub listener: &'a ListenerSettings,
    /// What an alias stands for, as the client knows it, where the packet does not say it.
    pub topic: Option<&'a str>,
    /// Bytes of the payload that are wanted.
    pub payload_bytes: usize,
}

/// What is shown of a packet.
pub(crate) fn seen(packet: &Packet<'_>, at: &PacketAt<'_>) -> TracedPacket {
    let (kind, packet_id, raw) = outline(packet);
    let (properties, has_more_properties) = properties_start(raw);
    TracedPacket {
        connection: at.connection,
        direction: at.direction,
        packet: kind,
        bytes: at.bytes,
        packet_id: packet_id.map(PacketId::get),
        content: content(packet, at),
        properties,
        has_more_properties,
    }
}

/// Type, identifier and properties.
fn outline<'a>(packet: &Packet<'a>) -> (PacketType, Option<PacketId>, &'a [u8]) {
    match packet {
        Packet::Connect(one) => (PacketType::Connect, None, one.properties.all.raw()),
        Packet::Connack(one) => (PacketType::Connack, None, one.properties.raw()),
        Packet::Publish(one) => (PacketType::Publish, one.packet_id, one.properties.raw),
        Packet::Puback(one) => (
            PacketType::Puback,
            Some(one.packet_id),
            one.properties.raw(),
        ),
        Packet::Pubrec(one) => (
            PacketType::Pubrec,
            Some(one.packet_id),
            one.properties.raw(),
        ),
        Packet::Pubrel(one) => (
            PacketType::Pubrel,
            Some(one.packet_id),
            one.properties.raw(),
        ),
        Packet::Pubcomp(one) => (
            PacketType::Pubcomp,
            Some(one.packet_id),
            one.properties.raw(),
        ),
        Packet::Subscribe(one) => {
            let properties = one.properties.raw();
            (PacketType::Subscribe, Some(one.packet_id), properties)
        }
        Packet::Suback(one) => (
            PacketType::Suback,
            Some(one.packet_id),
            one.properties.raw(),
        ),
        Packet::Unsubscribe(one) => {
            let properties = one.properties.raw();
            (PacketType::Unsubscribe, Some(one.packet_id), properties)
        }
        Packet::Unsuback(one) => (
            PacketType::Unsuback,
            Some(one.packet_id),
            one.properties.raw(),
        ),
        Packet::Pingreq => (PacketType::Pingreq, None, &[]),
        Packet::Pingresp => (PacketType::Pingresp, None, &[]),
        Packet::Disconnect(one) => (PacketType::Disconnect, None, one.properties.raw()),
        Packet::Auth(one) => (PacketType::Auth, None, one.properties.raw()),
    }
}

fn content(packet: &Packet<'_>, at: &PacketAt<'_>) -> TracedContent {
    match packet {
        Packet::Connect(connect) => TracedContent::Connect(Box::new(of_connect(connect, at))),
        Packet::Connack(connack) => TracedContent::Connack {
            session_present: connack.session_present,
            reason: connack.reason.0,
        },
        Packet::Publish(publish) => TracedContent::Publish(Box::new(of_publish(publish, at))),
        Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
            TracedContent::Reason(ack.reason.0)
        }
        Packet::Subscribe(subscribe) => {
            let filters = subscribe.filters();
            of_filters(filters.map(|(filter, options)| (filter, Some(options))), at)
        }
        Packet::Unsubscribe(unsubscribe) => {
            of_filters(unsubscribe.filters().map(|filter| (filter, None)), at)
        }
        Packet::Suback(suback) => of_reasons(suback.reasons()),
        Packet::Unsuback(unsuback) => of_reasons(unsuback.reasons()),
        Packet::Disconnect(disconnect) => TracedContent::Reason(disconnect.reason.0),
        Packet::Auth(auth) => TracedContent::Reason(auth.reason.0),
        Packet::Pingreq | Packet::Pingresp => TracedContent::None,
    }
}

fn of_connect(connect: &Connect<'_>, at: &PacketAt<'_>) -> TracedConnect {
    let will = connect.will.as_ref().map(|will| TracedWill {
        topic: at.listener.mounted(will.topic).into(),
        qos: will.qos,
        retain: will.retain,
        delay_s: will.delay_s,
        payload_bytes: will.payload.len(),
    });
    TracedConnect {
        version: connect.version,
        clean_start: connect.clean_start,
        keep_alive_s: connect.keep_alive,
        user: connect.username.map(Box::from),
        has_password: connect.password.is_some(),
        will,
    }
}

fn of_publish(publish: &Publish<'_>, at: &PacketAt<'_>) -> TracedMessage {
    let said = (!publish.topic.is_empty()).then_some(publish.topic);
    let topic = said.or(at.topic);
    TracedMessage {
        topic: topic.map(|topic| at.listener.mounted(topic).into()),
        qos: publish.qos,
        retain: publish.retain,
        dup: publish.dup,
        payload_bytes: publish.payload.len() + at.unknown,
        payload: payload_start(publish.payload, at.payload_bytes),
    }
}

fn of_filters<'a>(
    filters: impl Iterator<Item = (&'a str, Option<SubscribeOptions>)>,
    at: &PacketAt<'_>,
) -> TracedContent {
    let (mut shown, mut more, mut bytes) = (Vec::new(), 0, 0);
    for (filter, options) in filters {
        bytes += filter.len();
        let has_room = bytes <= limits::TRACE_PACKET_BYTES_MAX;
        if !has_room || shown.len() == limits::TRACE_FILTERS_MAX {
            more += 1;
            continue;
        }
        let (share, inner) = topic::split_share(filter);
        let mounted = at.listener.mounted(inner);
        let filter = match share {
            Some(share) => format!("$share/{share}/{mounted}").into(),
            None => mounted.into(),
        };
        shown.push(TracedFilter { filter, options });
    }
    TracedContent::Filters {
        filters: shown,
        more,
    }
}

fn of_reasons(reasons: impl ExactSizeIterator<Item = ReasonCode>) -> TracedContent {
    let all = reasons.len();
    let codes = reasons.take(limits::TRACE_FILTERS_MAX);
    let codes: Box<[u8]> = codes.map(|reason| reason.0).collect();
    TracedContent::Reasons {
        more: all - codes.len(),
        codes,
    }
}
