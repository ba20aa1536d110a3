//! A CONNECT that waits for its password to be checked.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use crate::broker::continuation::{Continuation, Late};
use crate::broker::peers::partial::Rank;
use crate::broker::peers::peer::CloseCause;
use crate::budget::Account;

/// With what was found out about it.
pub(crate) struct Admission {
    /// CONNECT.
    pub packet: Vec<u8>,
    /// What came behind it.
    pub after: Vec<u8>,
    pub client_id: String,
    pub is_assigned: bool,
    /// Its peer has closed its side meanwhile.
    pub ended: Option<CloseCause>,
    /// Tick at which it began to wait.
    pub since: u32,
    /// Where it stands among those that are not let in yet.
    pub rank: Option<Rank>,
}

impl Admission {
    /// Of a CONNECT that begins to wait at this tick, with what came behind it, and the client identifier that was `found`
    /// for it: whether it was made up here.
    pub(crate) fn new(since: u32, packet: &[u8], after: &[u8], found: (String, bool)) -> Admission {
        let (client_id, is_assigned) = found;
        Admission {
            packet: packet.into(),
            after: after.into(),
            client_id,
            is_assigned,
            ended: None,
            since,
            rank: None,
        }
    }
}

impl Continuation for Admission {
    fn account(&self) -> Account {
        Account::Packets
    }

    fn memory(&self) -> usize {
        self.packet.capacity() + self.after.capacity() + self.client_id.capacity()
    }

    /// Tells its client, nearly always, from others.
    fn key(&self) -> Option<u64> {
        Some(key_of(&self.client_id))
    }

    fn be_late(&mut self) -> Late {
        Late::Closes("its password was not checked in time")
    }
}

/// What those that wait are looked for by.
pub(crate) fn key_of(client_id: &str) -> u64 {
    FixedState::with_seed(0).hash_one(client_id)
}
