//! What is in flight when a client comes back.

use super::slow::packets;
use super::*;
use crate::limits;
use crate::mqtt::Packet;

/// As somebody calls himself who would like to be taken for an address.
const ID: &str = "s [1.2.3.4:5]";

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
    let subscriber = world.connect_as(&durable(ID), Version::V5);
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
        ..durable(ID)
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
    let subscriber = come_back(&mut world, subscriber, &durable(ID));
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

/// It acknowledges all but the first, of more than there are identifiers; and then the first after all.
#[test]
fn a_message_that_is_never_acknowledged_does_not_stop_the_others() {
    let (mut world, subscriber, publisher) = world_with_subscriber(20);
    let mut first = None;
    let mut came = 0u32;
    for number in 0..70_000u32 {
        world.publish(publisher, "t", 1, false, &number.to_be_bytes());
        world.output(publisher);
        let (mut acks, out) = (Vec::new(), world.output(subscriber));
        packets(Version::V5, &out, |packet| {
            if let Packet::Publish(publish) = packet {
                assert_eq!(publish.payload, came.to_be_bytes());
                came += 1;
                let id = publish.packet_id.unwrap().get();
                let first = *first.get_or_insert(id);
                if came > 1 {
                    assert_ne!(id, first, "in use");
                    acks.extend_from_slice(&[0x40, 2]);
                    acks.extend_from_slice(&id.to_be_bytes());
                }
            }
        });
        world.broker.on_bytes(world.now_ms, subscriber, &acks);
    }
    assert_eq!(came, 70_000);
    let mut said = String::new();
    for _ in 0..3 {
        let lags = world.slowest();
        while let Some(effect) = world.broker.next_effect() {
            if let Effect::Log { text, .. } = effect {
                said += &text;
            }
        }
        if world.now_ms > 100_000 {
            assert_eq!((&*lags[0].client, lags[0].bytes), (ID, 0));
            let connection = lags[0].connection.as_ref().unwrap();
            assert!(connection.unacknowledged_s >= limits::STUCK_SECONDS_MIN);
        }
        world.now_ms += 1000 * u64::from(limits::STUCK_SECONDS_MIN);
    }
    assert_eq!(said.matches("has not acknowledged a message").count(), 1);
    assert!(!said.contains("[1.2.3.4"), "{said}");
    // It comes again to the next connection, alone.
    let again = come_back(&mut world, subscriber, &durable(ID));
    let mut ids = Vec::new();
    packets(Version::V5, &world.output(again), |packet| {
        if let Packet::Publish(publish) = packet {
            assert!(publish.dup && publish.payload == [0; 4]);
            ids.push(publish.packet_id.map(|id| id.get()));
        }
    });
    assert_eq!(ids, [first]);
    let mut ack = vec![0x40, 2];
    ack.extend_from_slice(&first.unwrap().to_be_bytes());
    world.broker.on_bytes(world.now_ms, again, &ack);
    assert_eq!(world.broker.counters().stored_messages, 0);
}
