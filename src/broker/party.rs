//! Whose a session and a connection are (`budget::Party`), where an account that is short is shared out.

use std::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::fast::FixedState;

use super::PLACEMENT_SEED;
use super::clients::Clients;
use crate::budget::Party;
use crate::ids::{ConnId, SessionId};

/// The party of a user name that has been proved.
pub fn party_of_user(name: &str) -> Party {
    Party::User(FixedState::with_seed(PLACEMENT_SEED).hash_one(name))
}

/// The party of those of whom only the address is known: an IPv6 host has 64 bits to itself.
pub fn party_of_address(address: IpAddr) -> Party {
    Party::Address(match address.to_canonical() {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
    })
}

impl Clients {
    /// Who a session is of, and, if nobody knows more of that one than the address, whether it is connected.
    pub(super) fn party_of_session(&self, session: SessionId) -> Party {
        match self.shares.party(session) {
            Party::Address(address) if self.conn_of(session).is_none() => Party::Away(address),
            party => party,
        }
    }

    /// Who a connection is of.
    pub(super) fn party_of(&self, conn: ConnId) -> Party {
        match self.session_of(conn) {
            Some(session) => self.shares.party(session),
            None => party_of_address(self.conns[conn.index()].peer().address.ip()),
        }
    }
}
