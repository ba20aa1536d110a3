//! Connections that come too fast from one address, and are let in only to be told so: a client that speaks MQTT 5 waits
//! longer when it knows why (0x9F). They are few at a time: the others are closed by the shard without a word.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::broker::Broker;
use crate::ids::ConnId;
use crate::limits;
use crate::mqtt::ReasonCode;

/// What each of them is to be told.
pub struct TurnedAway(HashMap<u32, ReasonCode, FixedState>);

impl Default for TurnedAway {
    fn default() -> Self {
        TurnedAway(HashMap::with_hasher(FixedState::with_seed(0)))
    }
}

impl TurnedAway {
    /// What a connection that says CONNECT now is told.
    #[inline]
    pub fn take(&mut self, conn: ConnId) -> Option<ReasonCode> {
        match self.0.is_empty() {
            true => None,
            false => self.0.remove(&conn.0),
        }
    }
}

impl Broker {
    /// Whether one more may be let in to be turned away.
    pub fn may_turn_away(&self) -> bool {
        self.turned_away.0.len() < limits::TURNED_AWAY_MAX
    }

    /// A connection that has just been accepted is to be refused for this reason when its CONNECT comes.
    pub fn turn_away(&mut self, conn: ConnId, reason: ReasonCode) {
        self.turned_away.0.insert(conn.0, reason);
    }
}
