//! A CONNECT that waits for its password to be checked.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use crate::broker::effect::CloseCause;
use crate::broker::peers::partial::Place;

/// With what was found out about it.
pub struct Admission {
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
    pub place: Option<Place>,
}

impl Admission {
    /// Bytes of memory beside itself.
    pub fn memory(&self) -> usize {
        self.packet.capacity() + self.after.capacity() + self.client_id.capacity()
    }

    /// Tells its client, nearly always, from others.
    pub fn key(&self) -> u64 {
        key_of(&self.client_id)
    }
}

/// What those that wait are looked for by.
pub fn key_of(client_id: &str) -> u64 {
    FixedState::with_seed(0).hash_one(client_id)
}
