//! From a database to bytes.

use super::layout::{self, direction, filling, flag, kind, option};
use super::model::{Client, Database, Delivery, Stage, Stored, Subscription};
use super::properties;
use crate::mqtt::QoS;

/// Appends a chunk: its kind, its length, and what `put` appends.
fn put_chunk(out: &mut Vec<u8>, kind: u32, put: impl FnOnce(&mut Vec<u8>)) {
    out.extend(kind.to_be_bytes());
    let at = out.len();
    out.extend([0; 4]);
    put(out);
    let len = out.len() - at - 4;
    out[at..at + 4].copy_from_slice(&(len as u32).to_be_bytes());
}

/// The length of a text, which is at most 65,535 as everywhere in MQTT.
fn put_len(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u16).to_be_bytes());
}

/// Properties with their length in front; nothing if there are none.
fn put_properties(out: &mut Vec<u8>, properties: &[u8]) {
    let mut len = properties.len();
    while len > 0 {
        let more = if len > 0x7f { 0x80 } else { 0 };
        out.push((len & 0x7f) as u8 | more);
        len >>= 7;
    }
    out.extend_from_slice(properties);
}

/// The file, in version 6 of the format.
pub(super) fn write(database: &Database<'_>) -> Vec<u8> {
    let mut out = layout::MAGIC.to_vec();
    out.extend([0; 4]);
    out.extend(layout::VERSION.to_be_bytes());
    let numbers = database.messages.iter().map(|message| message.number);
    let newest = numbers.max().unwrap_or(0);
    put_chunk(&mut out, kind::CONFIGURATION, |out| {
        out.extend(newest.to_le_bytes());
        // The broker ended, as far as can be known.
        out.extend([1, layout::NUMBER_BYTES]);
        out.extend([0; filling::CONFIGURATION]);
    });
    for message in &database.messages {
        put_chunk(&mut out, kind::MESSAGE, |out| put_message(out, message));
    }
    for client in &database.clients {
        put_chunk(&mut out, kind::CLIENT, |out| put_client(out, client));
        for delivery in &client.deliveries {
            put_chunk(&mut out, kind::DELIVERY, |out| {
                put_delivery(out, client.id, delivery);
            });
        }
    }
    for client in &database.clients {
        for subscription in &client.subscriptions {
            put_chunk(&mut out, kind::SUBSCRIPTION, |out| {
                put_subscription(out, client.id, subscription);
            });
        }
    }
    for number in &database.retained {
        put_chunk(&mut out, kind::RETAINED, |out| {
            out.extend(number.to_le_bytes());
        });
    }
    out
}

fn put_message(out: &mut Vec<u8>, message: &Stored<'_>) {
    let client_id = message.source.client_id.unwrap_or_default();
    let user = message.source.user.unwrap_or_default();
    out.extend(message.number.to_le_bytes());
    out.extend(message.expires_at_s.to_le_bytes());
    out.extend((message.payload.len() as u32).to_be_bytes());
    out.extend(message.source_packet.to_be_bytes());
    put_len(out, client_id);
    put_len(out, user);
    put_len(out, message.topic);
    out.extend(message.source.port.to_be_bytes());
    out.extend([message.qos.into(), u8::from(message.retain)]);
    out.extend_from_slice(client_id.as_bytes());
    out.extend_from_slice(user.as_bytes());
    out.extend_from_slice(message.topic.as_bytes());
    out.extend_from_slice(message.payload);
    put_properties(out, &message.properties);
}

fn put_client(out: &mut Vec<u8>, client: &Client<'_>) {
    let user = client.user.unwrap_or_default();
    out.extend(client.ends_at_s.to_le_bytes());
    out.extend(client.expiry_s.to_be_bytes());
    out.extend(client.last_id.to_be_bytes());
    put_len(out, client.id);
    out.extend(client.port.to_be_bytes());
    put_len(out, user);
    out.extend([0; filling::CLIENT]);
    out.extend_from_slice(client.id.as_bytes());
    out.extend_from_slice(user.as_bytes());
}

fn put_delivery(out: &mut Vec<u8>, client_id: &str, delivery: &Delivery) {
    let &Delivery { stage, qos, .. } = delivery;
    let is_sent = matches!(stage, Stage::Sent | Stage::Received) && qos != QoS::AtMostOnce;
    let retain = if delivery.retain { flag::RETAIN_SET } else { 0 };
    let dup = if is_sent { flag::DUP_SET } else { 0 };
    let way = match stage {
        Stage::Inbound => direction::FROM_CLIENT,
        Stage::Waits | Stage::Sent | Stage::Received => direction::TO_CLIENT,
    };
    out.extend(delivery.number.to_le_bytes());
    out.extend(delivery.id.to_be_bytes());
    put_len(out, client_id);
    out.extend([qos.into(), layout::state_of(stage, qos), retain | dup, way]);
    out.extend_from_slice(client_id.as_bytes());
    put_properties(out, &properties::joined(&delivery.subscription_ids, &[]));
}

fn put_subscription(out: &mut Vec<u8>, client_id: &str, subscription: &Subscription<'_>) {
    let option = |is_set: bool, option: u8| if is_set { option } else { 0 };
    let options = option(subscription.no_local, option::NO_LOCAL)
        | option(
            subscription.retain_as_published,
            option::RETAIN_AS_PUBLISHED,
        );
    out.extend(subscription.id.to_be_bytes());
    put_len(out, client_id);
    put_len(out, &subscription.filter);
    out.extend([subscription.qos.into(), options]);
    out.extend([0; filling::SUBSCRIPTION]);
    out.extend_from_slice(client_id.as_bytes());
    out.extend_from_slice(subscription.filter.as_bytes());
}
