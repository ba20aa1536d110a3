//! An account is short: who holds most above a fair share of it gives way, on whatever shard (`budget::Holdings`).
//!
//! The shard that finds no room asks the others what they hold, adds it up, and tells all of them who comes down to what
//! (`rounds`). A session gives its oldest messages, a connection with a packet that is not whole is closed (`giving_way`).
//!
//! An answer takes as long as the longest turn of a shard, and one turn can fill the account. Until the others have given way,
//! each shard goes by what it sees itself: who holds most here above what the shard may have gives its own oldest for its
//! newest, and everybody else goes beyond the account.
//!
//! Invariants: nothing here happens while there is room; who comes down is decided by one shard that knows of all, so that no
//! shard takes from its own what another one has more of; what one shard sees decides only who grows.

use crate::broker::interest::reach::Reached;
use crate::broker::said::{Bound, Said};
use crate::budget::{Account, Cut, Holdings, Party};
use crate::ids::{Network, SessionId};
use crate::limits;
use crate::table::Table;

/// Whose a session is of which nothing is known.
const NOBODY: Party = Party::Address(Network::UNSPECIFIED);

/// Finding out who gives way, for one account.
#[derive(Default)]
pub struct Round {
    pub(super) number: u32,
    /// Shards that have not answered.
    pub(super) missing: u8,
    pub(super) sum: Holdings,
    /// Bytes that somebody needs beyond the reserve.
    pub(super) wanted: u64,
    /// Bytes that are to go although there is room.
    pub(super) least: u64,
    /// What has to find no room before it is looked again: so many messages or packets, or so many bytes.
    pub(super) pause: usize,
    pub(super) pause_bytes: u64,
    /// Who gave way last.
    pub(super) cut: Cut,
    /// Who would if this shard had its part of the account and no more, as it was looked last.
    pub(super) own: Cut,
}

impl Round {
    /// Nobody looks again for a while: it costs as much as there are holders.
    pub(super) fn rest(&mut self, limit: u64, holders: usize) {
        let some = holders / limits::SHARES_LOOK_HOLDERS;
        self.pause = limits::SHARES_LOOK_MIN.max(some);
        let least = limit / limits::SHARES_MARGIN_DIVISOR;
        let most = limit / limits::SHARES_RESERVE_DIVISOR;
        self.pause_bytes = (some as u64 * limits::SHARES_LOOK_BYTES).clamp(least, most);
    }

    /// The account is not short any more: what was found out is of others than will hold most next time.
    pub(super) fn forget(&mut self) {
        (self.pause, self.pause_bytes) = (0, 0);
        for cut in [&mut self.cut, &mut self.own] {
            if !cut.is_empty() {
                *cut = Cut::default();
            }
        }
    }
}

/// See the module.
pub struct Shares {
    /// Who each session is of.
    parties: Table<Party>,
    backlog: Round,
    packets: Round,
    /// Lines about sessions that have given way.
    pub(super) lines: Said<()>,
    /// By how much each has made it more what a topic can lead to.
    pub reached: Reached,
}

impl Default for Shares {
    fn default() -> Self {
        let lines = Said::new(Bound {
            lines: limits::SHARES_LINES,
            ms: limits::LINES_MS,
            apart: 1,
        });
        Shares {
            parties: Table::default(),
            backlog: Round::default(),
            packets: Round::default(),
            lines,
            reached: Reached::default(),
        }
    }
}

impl Shares {
    fn round_of(&self, account: Account) -> &Round {
        match account {
            Account::Packets => &self.packets,
            _ => &self.backlog,
        }
    }

    pub(super) fn round(&mut self, account: Account) -> &mut Round {
        match account {
            Account::Packets => &mut self.packets,
            _ => &mut self.backlog,
        }
    }

    /// Whether a holder of a party that has so many bytes is above what it comes down to, by the last round or by what this
    /// shard sees.
    pub(super) fn has_above(&self, account: Account, party: Party, held: u64) -> bool {
        let round = self.round_of(account);
        round.cut.is_above(party, held) || round.own.is_above(party, held)
    }

    /// Whether the last round would have such a holder give way.
    pub(super) fn gives_way(&self, account: Account, party: Party, held: u64) -> bool {
        self.round_of(account).cut.is_above(party, held)
    }

    /// When it is to be said what was not said about sessions that have given way.
    pub fn lines_due_ms(&self) -> Option<u64> {
        self.lines.due_ms()
    }

    /// From here on a session is of this party.
    pub fn join(&mut self, session: SessionId, party: Party) {
        let nodes = self.forget_reach(session);
        self.parties.ensure(session.index(), || NOBODY);
        self.parties[session.index()] = party;
        self.reached.add(session, party, nodes);
    }

    /// A session ends, or is another party's from here on: what it has made it more what a topic can lead to.
    pub fn forget_reach(&mut self, session: SessionId) -> u32 {
        let party = self.party(session);
        self.reached.give_back(session, party, u32::MAX)
    }

    /// Who a session is of.
    pub fn party(&self, session: SessionId) -> Party {
        let party = self.parties.get(session.index());
        party.copied().unwrap_or(NOBODY)
    }

    /// Gives memory back after many sessions have ended.
    pub fn trim(&mut self, exists: impl Fn(SessionId) -> bool) {
        let is_free = |index: usize, _: &Party| !exists(SessionId(index as u32));
        self.parties.trim(is_free);
        self.reached.trim();
    }

    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        self.parties.memory() + self.reached.memory()
    }
}
