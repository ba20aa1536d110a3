//! Clients that ask for more than their share.

use super::slow::packets;
use super::*;
use crate::limits;
use crate::mqtt::Packet;

fn subscribe(filters: &[&str], version: Version) -> Vec<u8> {
    let options = SubscribeOptions::with_qos(QoS::AtMostOnce);
    let filters: Vec<_> = filters.iter().map(|&filter| (filter, options)).collect();
    let mut bytes = Vec::new();
    SubscribeOut {
        packet_id: PacketId::new(1).unwrap(),
        subscription_id: None,
        filters: &filters,
        user_properties: &[],
    }
    .encode(version, &mut bytes);
    bytes
}

impl World {
    fn flow_queued(&mut self, client_id: &str) -> usize {
        let session = self.broker.clients.find_session(client_id).unwrap();
        let entry = self.broker.clients.session(session).unwrap();
        entry.flow.as_ref().map_or(0, |flow| flow.queued())
    }
}

/// Retained messages are fetched as they are taken, and none is missed.
#[test]
fn subscribing_again_and_again_holds_no_more_than_a_bound() {
    const TOPICS: usize = 500;
    let mut world = World::new(Settings::default());
    let publisher = world.connect("p", Version::V311);
    for index in 0..TOPICS {
        world.publish(publisher, &format!("t/{index}"), 0, true, &[1; 1000]);
    }
    let greedy = world.connect("greedy", Version::V5);
    let rounds = 3 * limits::REPLAY_MESSAGES_MAX / TOPICS;
    for _ in 0..rounds {
        let bytes = subscribe(&["#"], Version::V5);
        world.broker.on_bytes(world.now_ms, greedy, &bytes);
        assert!(world.flow_queued("greedy") < limits::REPLAY_MESSAGES_MAX + TOPICS);
    }
    let mut messages = 0;
    packets(Version::V5, &world.output(greedy), |packet| {
        messages += usize::from(matches!(packet, Packet::Publish(_)));
    });
    assert_eq!(messages, rounds * TOPICS);
}

#[test]
fn one_packet_has_a_bounded_number_of_filters() {
    let mut world = World::new(Settings::default());
    let conn = world.connect("c", Version::V5);
    let filters = vec!["a"; limits::FILTERS_PER_PACKET_MAX + 1];
    world
        .broker
        .on_bytes(world.now_ms, conn, &subscribe(&filters, Version::V5));
    let answer = world.output(conn);
    assert_eq!((answer[0], answer[2]), (0xe0, 0x97), "quota exceeded");
    assert_eq!(world.broker.counters().subscriptions, 0);
}

#[test]
fn a_session_has_a_bounded_number_of_subscriptions() {
    let mut world = World::new(Settings::default());
    let conn = world.connect("c", Version::V5);
    for (prefix, max) in [
        ("", limits::SUBSCRIPTIONS_MAX),
        ("$share/g/", limits::SHARED_SUBSCRIPTIONS_MAX),
    ] {
        let filters: Vec<String> = (0..=max).map(|index| format!("{prefix}{index}")).collect();
        let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
        let mut last = 0;
        for filters in filters.chunks(limits::FILTERS_PER_PACKET_MAX) {
            let bytes = subscribe(filters, Version::V5);
            world.broker.on_bytes(world.now_ms, conn, &bytes);
            last = *world.output(conn).last().unwrap();
        }
        assert_eq!(last, 0x97, "the one too many");
    }
    let counters = world.broker.counters().clone();
    assert_eq!(counters.subscriptions as usize, limits::SUBSCRIPTIONS_MAX);
    assert_eq!(
        counters.shared_subscriptions as usize,
        limits::SHARED_SUBSCRIPTIONS_MAX
    );
    world.broker.on_eof(world.now_ms, conn, CloseCause::Eof);
    assert_eq!(world.broker.counters().subscriptions, 0);
}
