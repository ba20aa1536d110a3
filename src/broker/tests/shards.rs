//! One of several shards, the others played by the test.

use super::slow::publish;
use super::*;
use crate::limits;

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

/// There is always a question open, and always another one.
#[test]
fn topics_noted_for_questions_are_forgotten_with_them() {
    let mut world = World {
        broker: Broker::new(Arc::new(Settings::default()), ShardId(0), 2, 7),
        now_ms: 1000,
    };
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
            let reply = MeshMessage::RetainReply {
                ticket: open.remove(0),
                messages: Vec::new(),
            };
            world.broker.on_mesh(world.now_ms, ShardId(1), reply);
        }
        assert_eq!(open.len(), 1);
        for index in 0..limits::LIVE_TOPICS_KEPT {
            let bytes = publish(&format!("t/{round}/{index}"), 0, true, b"");
            world.broker.on_bytes(world.now_ms, publisher, &bytes);
        }
        mesh(&mut world.broker);
    }
    let noted = world.broker.replays.live_topics();
    assert!(noted <= 4 * limits::LIVE_TOPICS_KEPT, "{noted}");
}
