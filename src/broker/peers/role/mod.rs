//! What a connection is to the broker: a client like others, or something that is served differently, from CONNECT to its end. Who
//! handles an event asks the role, and not what CONNECT had said.
//!
//! Each role is a file of its own here, and a line of `ALL`.

mod bridge;
mod client;
pub(in crate::broker) mod rules;

use crate::mqtt::{Connect, SubscribeOptions};
use rules::Rules;

/// All roles. The first one that claims a connection has it.
const ALL: &[&dyn Rules] = &[
    #[cfg(test)]
    &crate::broker::tests::examples::role::Listener,
    &bridge::Bridge,
    &client::Client,
];

/// See the module: a place in `ALL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Role(u8);

impl Role {
    /// A client like others, which claims all that is left.
    pub(crate) const CLIENT: Role = Role((ALL.len() - 1) as u8);

    /// The role of a connection with this CONNECT.
    pub(crate) fn of(connect: &Connect<'_>) -> Role {
        let claims = |rules: &&dyn Rules| rules.claims(connect);
        let place = ALL.iter().position(claims);
        place.map_or(Role::CLIENT, |place| Role(place as u8))
    }

    fn rules(self) -> &'static dyn Rules {
        ALL[usize::from(self.0)]
    }

    /// What it is called in the log.
    pub(crate) fn name(self) -> &'static str {
        self.rules().name()
    }

    /// The options with which it subscribes, where it asks for these.
    pub(crate) fn options(self, asked: SubscribeOptions, is_shared: bool) -> SubscribeOptions {
        self.rules().options(asked, is_shared)
    }
}
