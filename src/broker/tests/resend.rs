//! What is in flight when a client comes back.

use super::slow::packets;
use super::*;
use crate::limits;
use crate::mqtt::Packet;

fn durable(client_id: &str) -> ConnectOut<'_> {
    ConnectOut {
        client_id,
        session_expiry: Some(1000),
        ..ConnectOut::default()
    }
}

/// A world with a durable subscriber of everything that takes what it is sent and acknowledges nothing.
fn world_with_subscriber(in_flight: u16) -> (World, ConnId, ConnId) {
    let mut world = World::new(Settings {
        max_inflight_messages: in_flight,
        ..Settings::default()
    });
    let subscriber = world.connect_as(&durable("s"), Version::V5);
    world.output(subscriber);
    world.subscribe(subscriber, Version::V5, "#", QoS::AtLeastOnce);
    let publisher = world.connect("p", Version::V311);
    (world, subscriber, publisher)
}

fn come_back(world: &mut World, old: ConnId, connect: &ConnectOut<'_>) -> ConnId {
    world.broker.on_eof(world.now_ms, old, CloseCause::Eof);
    world.broker.on_closed(world.now_ms, old);
    world.connect_as(connect, Version::V5)
}

/// MQTT-3.1.2-25: the window is not taken for ever by what the new connection cannot be sent.
#[test]
fn what_is_too_large_for_the_new_connection_is_done() {
    let (mut world, subscriber, publisher) = world_with_subscriber(2);
    for _ in 0..3 {
        world.publish(publisher, "t", 1, false, &[1; 100]);
    }
    world.output(subscriber);
    let small = ConnectOut {
        receive_maximum: Some(1),
        maximum_packet_size: Some(60),
        ..durable("s")
    };
    let subscriber = come_back(&mut world, subscriber, &small);
    world.publish(publisher, "t", 1, false, b"small");
    let mut payloads = Vec::new();
    packets(Version::V5, &world.output(subscriber), |packet| {
        if let Packet::Publish(publish) = packet {
            payloads.push(publish.payload.to_vec());
        }
    });
    assert_eq!(payloads, [b"small"]);
    assert_eq!(world.broker.counters().publish_dropped, 3);
    assert_eq!(world.broker.counters().stored_messages, 1, "the small one");
}

/// However much is in flight, a client that has come back holds no more of the log than any other.
#[test]
fn what_is_sent_again_waits_for_the_socket() {
    let (mut world, subscriber, publisher) = world_with_subscriber(0);
    for _ in 0..1000 {
        world.publish(publisher, "t", 1, false, &[1; 20_000]);
        world.output(subscriber);
    }
    let subscriber = come_back(&mut world, subscriber, &durable("s"));
    world.publish(publisher, "t", 1, false, b"new");
    let pending = world.broker.counters().outbound_bytes;
    assert!(pending < u64::from(limits::OUTBOUND_BYTES_MAX), "{pending}");
    let mut messages = Vec::new();
    packets(Version::V5, &world.output(subscriber), |packet| {
        if let Packet::Publish(publish) = packet {
            messages.push((publish.dup, publish.payload.len()));
        }
    });
    assert_eq!(messages.len(), 1001);
    assert!(
        messages[..1000]
            .iter()
            .all(|&message| message == (true, 20_000))
    );
    assert_eq!(messages[1000], (false, 3));
}
