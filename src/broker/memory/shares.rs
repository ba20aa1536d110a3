//! An account is short: who holds most above a fair share of it gives way, on whatever shard (`budget::Holdings`).
//!
//! The shard that finds no room asks the others what they hold, adds it up, and tells all of them who comes down to what
//! (`doors::on_shares`). A session gives its oldest messages, a connection with a packet that is not whole is closed
//! (`doors::give_way`).
//!
//! An answer takes as long as the longest turn of a shard, and one turn can fill the account. Until the others have given way,
//! each shard goes by what it sees itself: who holds most here above what the shard may have gives its own oldest for its
//! newest, and everybody else goes beyond the account.
//!
//! Invariants: nothing here happens while there is room; who comes down is decided by one shard that knows of all, so that no
//! shard takes from its own what another one has more of; what one shard sees decides only who grows.

use crate::broker::interest::reach::Reached;
use crate::budget::{Account, Cut, Holdings, Party};
use crate::ids::{Network, SessionId};
use crate::limits;
use crate::table::Table;

/// Whose a session is of which nothing is known.
const NOBODY: Party = Party::Address(Network::UNSPECIFIED);

/// Finding out who gives way, for one account.
#[derive(Default)]
struct Round {
    number: u32,
    /// Shards that have not answered.
    missing: u8,
    sum: Holdings,
    /// Bytes that somebody needs beyond the reserve.
    wanted: u64,
    /// Bytes that are to go although there is room.
    least: u64,
    /// What has to find no room before it is looked again: so many messages or packets, or so many bytes.
    pause: usize,
    pause_bytes: u64,
    /// Who gave way last.
    cut: Cut,
    /// Who would if this shard had its part of the account and no more, as it was looked last.
    own: Cut,
}

impl Round {
    /// Nobody looks again for a while: it costs as much as there are holders.
    fn rest(&mut self, limit: u64, holders: usize) {
        let some = holders / limits::SHARES_LOOK_HOLDERS;
        self.pause = limits::SHARES_LOOK_MIN.max(some);
        let least = limit / limits::SHARES_MARGIN_DIVISOR;
        let most = limit / limits::SHARES_RESERVE_DIVISOR;
        self.pause_bytes = (some as u64 * limits::SHARES_LOOK_BYTES).clamp(least, most);
    }

    /// The account is not short any more: what was found out is of others than will hold most next time.
    fn forget(&mut self) {
        (self.pause, self.pause_bytes) = (0, 0);
        for cut in [&mut self.cut, &mut self.own] {
            if !cut.is_empty() {
                *cut = Cut::default();
            }
        }
    }
}

/// Of what is held of an account of so many bytes, what those hold who are counted. The packets of those who were not let in yet are
/// not counted; they have a part of their own, so all the rest has come since where less was counted than that leaves.
pub(super) fn counted_of(account: Account, limit: u64, held: u64, holdings: &Holdings) -> u64 {
    match account {
        Account::Packets => {
            let beginners = limit / limits::PACKETS_BEGINNERS_DIVISOR;
            holdings.bytes().max(held.saturating_sub(beginners))
        }
        _ => held,
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Shares {
    /// Who each session is of.
    parties: Table<Party>,
    backlog: Round,
    packets: Round,
    /// By how much each has made it more what a topic can lead to.
    pub reached: Reached,
}

impl Shares {
    fn round_of(&self, account: Account) -> &Round {
        match account {
            Account::Packets => &self.packets,
            _ => &self.backlog,
        }
    }

    fn round(&mut self, account: Account) -> &mut Round {
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
    pub(crate) fn gives_way(&self, account: Account, party: Party, held: u64) -> bool {
        self.round_of(account).cut.is_above(party, held)
    }

    /// The account has found no room for so many bytes more, of which so many are `wanted` and not there yet. Whether it is to be
    /// looked who holds how much; unless that was done a moment ago.
    pub(crate) fn note_short(&mut self, account: Account, bytes: u64, wanted: u64) -> bool {
        let round = self.round(account);
        round.wanted = round.wanted.max(wanted);
        round.pause = round.pause.saturating_sub(1);
        round.pause_bytes = round.pause_bytes.saturating_sub(bytes);
        round.pause == 0 || round.pause_bytes == 0
    }

    /// Nobody looks again for a while at an account of so many bytes, of which so many may hold something.
    pub(crate) fn rest(&mut self, account: Account, limit: u64, holders: usize) {
        self.round(account).rest(limit, holders);
    }

    /// Whether shards have still to answer.
    pub(crate) fn is_asking(&self, account: Account) -> bool {
        self.round_of(account).missing > 0
    }

    /// These would give way if this shard had its part of the account and no more.
    pub(crate) fn note_own(&mut self, account: Account, own: Cut) {
        self.round(account).own = own;
    }

    /// So many bytes are to go although there is room.
    pub(crate) fn want_least(&mut self, account: Account, bytes: u64) {
        self.round(account).least = bytes;
    }

    /// A round begins with what this shard holds; so many others are asked. Returns its number.
    pub(crate) fn begin(&mut self, account: Account, sum: Holdings, others: u8) -> u32 {
        let round = self.round(account);
        (round.sum, round.missing) = (sum, others);
        round.number = round.number.wrapping_add(1);
        round.number
    }

    /// Another shard has answered in a round. Whether it is the one at hand, and all have.
    pub(crate) fn add(&mut self, account: Account, number: u32, holdings: &Holdings) -> bool {
        let round = self.round(account);
        if round.number != number || round.missing == 0 {
            return false;
        }
        round.sum.merge(holdings);
        round.missing -= 1;
        round.missing == 0
    }

    /// Bytes that somebody needs beyond the reserve.
    pub(super) fn wanted(&self, account: Account) -> u64 {
        self.round_of(account).wanted
    }

    /// All have answered: who gives way. The account has so many bytes, of which so many are held, and so many are missing.
    pub(super) fn end(&mut self, account: Account, limit: u64, held: u64, missing: i64) -> Cut {
        let round = self.round(account);
        let missing = missing.max(std::mem::take(&mut round.least) as i64);
        let sum = std::mem::take(&mut round.sum);
        let connected = limit / limits::SHARES_RESERVE_DIVISOR;
        let held = counted_of(account, limit, held, &sum);
        let cut = sum.cut(missing.max(0) as u64, held, connected);
        round.cut = cut.clone();
        round.wanted = 0;
        cut
    }

    /// Another shard has found out who gives way.
    pub(crate) fn note_cut(&mut self, account: Account, cut: Cut) {
        self.round(account).cut = cut;
    }

    /// The account is not short any more.
    pub(crate) fn forget(&mut self, account: Account) {
        self.round(account).forget();
    }

    /// From here on a session is of this party.
    pub(crate) fn join(&mut self, session: SessionId, party: Party) {
        let nodes = self.forget_reach(session);
        self.parties.ensure(session.index(), || NOBODY);
        self.parties[session.index()] = party;
        self.reached.add(session, party, nodes);
    }

    /// A session ends, or is another party's from here on: what it has made it more what a topic can lead to.
    pub(crate) fn forget_reach(&mut self, session: SessionId) -> u32 {
        let party = self.party(session);
        self.reached.give_back(session, party, u32::MAX)
    }

    /// Who a session is of.
    pub(crate) fn party(&self, session: SessionId) -> Party {
        let party = self.parties.get(session.index());
        party.copied().unwrap_or(NOBODY)
    }

    /// Gives memory back after many sessions have ended.
    pub(crate) fn trim(&mut self, exists: impl Fn(SessionId) -> bool) {
        let is_free = |index: usize, _: &Party| !exists(SessionId(index as u32));
        self.parties.trim(is_free);
        self.reached.trim();
    }

    /// Bytes of memory.
    pub(crate) fn memory(&self) -> usize {
        self.parties.memory() + self.reached.memory()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// What is missing is known when all have answered; what is held, by when each has.
    #[test]
    fn a_count_that_is_old_takes_nothing_from_those_within_a_share() {
        for account in [Account::Backlog, Account::Packets] {
            let mut sum = Holdings::default();
            sum.add(Party::User(1), 20_000);
            sum.add(NOBODY, 2 * MIB);
            let mut shares = Shares::default();
            shares.begin(account, sum, 1);
            // Eight of twelve are to go, and two were counted.
            let cut = shares.end(account, 8 * MIB, 12 * MIB, 8 * MIB as i64);
            assert_eq!(cut.level(Party::User(1)), None, "{account:?}");
        }
    }

    /// Those who were not let in yet hold an eighth of an account at most, and what is counted gives all that is missing.
    #[test]
    fn packets_that_are_not_counted_do_not_make_the_others_give_less() {
        let mut sum = Holdings::default();
        sum.add(NOBODY, 7 * MIB);
        let mut shares = Shares::default();
        shares.begin(Account::Packets, sum, 1);
        let cut = shares.end(Account::Packets, 8 * MIB, 8 * MIB, 2 * MIB as i64);
        assert_eq!(cut.level(NOBODY), Some(5 * MIB));
    }
}
