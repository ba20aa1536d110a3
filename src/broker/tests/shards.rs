//! One of several shards, the others played by the test.

use super::slow::publish;
use super::*;
use crate::limits;
use crate::mqtt::message::{Holders, Message, NEVER, Sent};
use crate::mqtt::{Topic, UnsubscribeOut};

/// Messages that a shard has for the others.
fn mesh(broker: &mut Broker) -> Vec<MeshMessage> {
    let mut messages = Vec::new();
    while let Some(effect) = broker.next_effect() {
        if let Effect::Mesh { message, .. } = effect {
            messages.push(message);
        }
    }
    messages
}

/// The first of two shards.
fn one_of_two() -> World {
    World {
        broker: Broker::new(Arc::new(Settings::default()), ShardId(0), 2, 7),
        now_ms: 1000,
    }
}

/// There is always a question open, and always another one.
#[test]
fn topics_noted_for_questions_are_forgotten_with_them() {
    let mut world = one_of_two();
    let ids = (0..).map(|index| format!("c{index}"));
    let ids: Vec<String> = ids.filter(|id| home(id, 2) == ShardId(0)).take(2).collect();
    let (asker, publisher) = (
        world.connect(&ids[0], Version::V311),
        world.connect(&ids[1], Version::V311),
    );
    let mut open = Vec::new();
    for round in 0..20 {
        let subscribe = b"\x82\x08\x00\x01\x00\x03x/+\x00";
        world.broker.on_bytes(world.now_ms, asker, subscribe);
        for message in mesh(&mut world.broker) {
            if let MeshMessage::Interest { ticket, .. } = message {
                let stored = [0, 0].into();
                let ack = MeshMessage::InterestAck { ticket, stored };
                world.broker.on_mesh(world.now_ms, ShardId(1), ack);
            } else if let MeshMessage::RetainQuery(query) = message {
                open.push(query.ticket);
            }
        }
        for message in mesh(&mut world.broker) {
            if let MeshMessage::RetainQuery(query) = message {
                open.push(query.ticket);
            }
        }
        while open.len() > 1 {
            let reply = MeshMessage::RetainReply(Box::new(RetainReply {
                ticket: open.remove(0),
                messages: Vec::new(),
                next: None,
            }));
            world.broker.on_mesh(world.now_ms, ShardId(1), reply);
        }
        assert_eq!(open.len(), 1);
        for index in 0..limits::LIVE_TOPICS_KEPT {
            let bytes = publish(&format!("t/{round}/{index}"), 0, true, b"");
            world.broker.on_bytes(world.now_ms, publisher, &bytes);
        }
        mesh(&mut world.broker);
    }
    let noted = world.broker.live.topics();
    assert!(noted <= 4 * limits::LIVE_TOPICS_KEPT, "{noted}");
}

/// MQTT-3.10.4-2: whoever has left a shared subscription gets nothing by it that another shard chose it for before it
/// knew, as long as it has none that would bring the same.
#[test]
fn a_member_that_has_left_returns_what_comes_late() {
    let mut world = one_of_two();
    let id = (0..)
        .map(|number| format!("m{number}"))
        .find(|id| home(id, 2) == ShardId(0));
    let conn = world.connect(&id.unwrap(), Version::V311);
    mesh(&mut world.broker);
    // One of these groups is at home on the other shard.
    let joined = (0..64).find_map(|number| {
        let filter = format!("$share/g{number}/a/+");
        let filters = [(&filter[..], SubscribeOptions::with_qos(QoS::AtMostOnce))];
        let mut bytes = Vec::new();
        SubscribeOut {
            packet_id: PacketId::new(1).unwrap(),
            subscription_id: None,
            filters: &filters,
            user_properties: &[],
        }
        .encode(Version::V311, &mut bytes);
        world.broker.on_bytes(world.now_ms, conn, &bytes);
        let joins = mesh(&mut world.broker).into_iter();
        let mut joins = joins.filter_map(|message| match message {
            MeshMessage::Shared(message) => match *message {
                SharedMessage::Join { member, .. } => Some((filter.clone(), member)),
                _ => None,
            },
            _ => None,
        });
        joins.next()
    });
    let (filter, member) = joined.unwrap();
    let deliver = || {
        let message = Message {
            topic: Topic::new("a/b").unwrap(),
            payload: "late".into(),
            properties: "".into(),
            qos: QoS::AtMostOnce,
            retain: false,
            expires_at_ms: NEVER,
            origin: 0,
            author: None,
            sent: Sent::default(),
            holders: Holders::default(),
        };
        MeshMessage::Shared(Box::new(SharedMessage::Deliver {
            group: crate::ids::GroupId(0),
            member,
            message: Arc::new(message),
            insists: false,
        }))
    };
    world.output(conn);
    world.broker.on_mesh(world.now_ms, ShardId(1), deliver());
    assert!(world.output(conn).ends_with(b"late"));
    let mut bytes = Vec::new();
    UnsubscribeOut {
        packet_id: PacketId::new(2).unwrap(),
        filters: &[&filter],
        user_properties: &[],
    }
    .encode(Version::V311, &mut bytes);
    world.broker.on_bytes(world.now_ms, conn, &bytes);
    mesh(&mut world.broker);
    world.output(conn);
    world.broker.on_mesh(world.now_ms, ShardId(1), deliver());
    let returns = mesh(&mut world.broker).into_iter().any(|message| {
        matches!(message, MeshMessage::Shared(message)
            if matches!(*message, SharedMessage::Return { .. }))
    });
    assert!(returns);
    assert_eq!(world.output(conn), b"");
}

/// MQTT-3.10.4-2: a subscription that is taken back before its SUBACK, which waits for the other shard, is followed by no retained
/// message; one that has come again by then is.
#[test]
fn a_subscription_that_was_taken_back_before_suback_replays_nothing() {
    for comes_again in [false, true] {
        let mut world = one_of_two();
        let ids = (0..).map(|index| format!("c{index}"));
        let mut ids = ids.filter(|id| home(id, 2) == ShardId(0));
        let mut connect = || world.connect(&ids.next().unwrap(), Version::V311);
        let (client, publisher) = (connect(), connect());
        let topics = (0..).map(|index| format!("x/{index}"));
        let mut topics = topics.filter(|topic| owner_of_topic(topic, 2) == ShardId(0));
        let topic = topics.next().unwrap();
        let retained = publish(&topic, 0, true, b"kept");
        world.broker.on_bytes(world.now_ms, publisher, &retained);
        let subscribe = subscribe_packet(&[&topic], Version::V311, QoS::AtMostOnce);
        let mut unsubscribe = Vec::new();
        UnsubscribeOut {
            packet_id: PacketId::new(2).unwrap(),
            filters: &[&topic],
            user_properties: &[],
        }
        .encode(Version::V311, &mut unsubscribe);
        world.broker.on_bytes(world.now_ms, client, &subscribe);
        world.broker.on_bytes(world.now_ms, client, &unsubscribe);
        if comes_again {
            world.broker.on_bytes(world.now_ms, client, &subscribe);
        }
        for message in mesh(&mut world.broker) {
            if let MeshMessage::Interest {
                ticket,
                wanted: true,
                ..
            } = message
            {
                let stored = [0, 0].into();
                let ack = MeshMessage::InterestAck { ticket, stored };
                world.broker.on_mesh(world.now_ms, ShardId(1), ack);
            }
        }
        let came = world.output(client);
        assert!(came.windows(2).any(|bytes| bytes == [0x90, 0x03]), "SUBACK");
        assert_eq!(came.ends_with(b"kept"), comes_again, "{came:x?}");
    }
}
