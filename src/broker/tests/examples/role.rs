//! A role: what it is called, who has it, what is different. Elsewhere: a line of `ALL` in `peers/role/mod.rs`.

use crate::broker::peers::role::rules::Rules;
use crate::broker::tests::*;
use crate::mqtt::{Connect, SubscribeOptions};

/// Listens to everything without a promise that it comes.
pub(in crate::broker) struct Listener;

impl Rules for Listener {
    fn name(&self) -> &'static str {
        "listener"
    }

    fn claims(&self, connect: &Connect<'_>) -> bool {
        connect.client_id == "example of a role"
    }

    fn options(&self, asked: SubscribeOptions, _is_shared: bool) -> SubscribeOptions {
        SubscribeOptions {
            qos: QoS::AtMostOnce,
            ..asked
        }
    }
}

#[test]
fn a_connection_has_its_role_from_connect_on() {
    let mut world = World::new(Settings::default());
    for (id, name, granted) in [("example of a role", "listener", 0), ("other", "client", 1)] {
        let conn = world.connect(id, Version::V311);
        let mut lines = std::iter::from_fn(|| world.broker.next_effect());
        let is_told = |effect| matches!(effect, Effect::Log { text, .. } if text.starts_with(&format!("New {name} ")));
        assert!(lines.any(is_told), "{name}");
        let subscribe = subscribe_packet(&["a"], Version::V311, QoS::AtLeastOnce);
        world.broker.on_bytes(1000, conn, &subscribe);
        assert_eq!(world.output(conn), [0x90, 3, 0, 1, granted], "{name}");
    }
}
