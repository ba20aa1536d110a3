//! The thread with the real brain in it: MQTT 3.1.1 from client to client, across shards.

use std::sync::Arc;

use super::world::{Client, Plan, World, eventually};
use crate::broker::{Broker, Settings};
use crate::shard::Metric;

pub(super) fn world(shards: u8, slots: usize) -> World {
    let plan = Plan {
        shards,
        descriptors: 4000,
        mesh_slots: slots,
        ..Plan::default()
    };
    let settings = Arc::new(Settings::default());
    World::with(plan, |id| {
        let settings = settings.clone();
        move || Broker::new(settings, id, shards, 7)
    })
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut len = body.len();
    loop {
        packet.push((len % 128) as u8 | if len > 127 { 0x80 } else { 0 });
        len /= 128;
        if len == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

pub(super) fn connect(world: &World, id: &str) -> Client {
    let mut client = world.connect();
    let body = [b"\0\x04MQTT\x04\x02\0\0".as_slice(), &text(id)].concat();
    client.write(&packet(0x10, &body));
    assert_eq!(client.bytes(4), [0x20, 2, 0, 0]);
    client
}

pub(super) fn subscribe(client: &mut Client, filter: &str, qos: u8) {
    let body = [&[0, 1], text(filter).as_slice(), &[qos]].concat();
    client.write(&packet(0x82, &body));
    assert_eq!(client.bytes(5), [0x90, 3, 0, 1, qos]);
}

pub(super) fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    packet(0x30, &[text(topic).as_slice(), payload].concat())
}

#[test]
fn clients_of_all_shards_get_every_message_in_order() {
    let world = world(2, 64);
    let mut subscribers: Vec<_> = (0..40)
        .map(|n| {
            let mut client = connect(&world, &format!("subscriber {n}"));
            subscribe(&mut client, "a/#", 0);
            client
        })
        .collect();
    assert!(world.metric(Metric::Adopted) > 0, "some moved home");
    let mut publisher = connect(&world, "publisher");
    let messages: Vec<_> = (0..3000u32)
        .map(|n| publish("a/b", &n.to_be_bytes().repeat(20)))
        .collect();
    let expected = messages.concat();
    let sent = expected.clone();
    let writer = std::thread::spawn(move || {
        publisher.write(&sent);
        publisher
    });
    for client in &mut subscribers {
        assert!(client.bytes(expected.len()) == expected);
    }
    drop(writer.join().unwrap());
    drop(subscribers);
    eventually("all closed", || world.shared.connections() == 0);
    world.end();
}

#[test]
fn a_large_message_reaches_slow_readers() {
    let world = world(2, 64);
    let mut subscribers: Vec<_> = (0..8)
        .map(|n| {
            let mut client = connect(&world, &format!("subscriber {n}"));
            subscribe(&mut client, "large", 0);
            client
        })
        .collect();
    let mut publisher = connect(&world, "publisher");
    let large = publish("large", &vec![b'x'; 3_000_000]);
    publisher.write(&large);
    std::thread::sleep(std::time::Duration::from_millis(100));
    for client in &mut subscribers {
        assert!(client.bytes(large.len()) == large);
    }
    drop(subscribers);
    drop(publisher);
    world.end();
}

#[test]
fn a_second_connection_with_the_same_client_identifier_ends_the_first() {
    let world = world(2, 64);
    let mut clients: Vec<_> = (0..10).map(|n| connect(&world, &format!("c{n}"))).collect();
    let again: Vec<_> = (0..10).map(|n| connect(&world, &format!("c{n}"))).collect();
    for client in &mut clients {
        assert!(client.is_dead());
    }
    drop((clients, again));
    world.end();
}

#[test]
fn clients_that_stay_connected_are_told_of_the_end() {
    let world = world(2, 64);
    let clients: Vec<_> = (0..50).map(|n| connect(&world, &format!("c{n}"))).collect();
    let readers: Vec<_> = clients
        .into_iter()
        .map(|mut client| std::thread::spawn(move || assert!(client.is_dead())))
        .collect();
    world.end();
    for reader in readers {
        reader.join().unwrap();
    }
}
