//! What of the memory and of a turn this shard may use.

use crate::broker::interest::reach::is_plain;
use crate::broker::memory::shares::{Shares, counted_of};
use crate::broker::memory::stored::{self, Stored};
use crate::broker::memory::turn::Turn;
use crate::budget::{Account, Cut, Holdings, Lease, Party, Rung};
use crate::ids::SessionId;
use crate::limits;
use crate::mqtt::Connect;
use crate::mqtt::message::Message;
use crate::outbound::Outbound;
use crate::session::Backlog;

/// See the module.
pub(crate) struct Allowed {
    /// What this shard may hold, and holds, in memory.
    pub lease: Lease,
    /// Bytes that may be pending for a connection: fewer as memory becomes short.
    pub outbound_max: u32,
    /// Up to so many nobody is near a bound of that kind.
    pub outbound_near: u32,
    /// Bytes that one packet may take.
    pub packet_memory: u32,
    /// Who holds what of an account that is short.
    pub shares: Shares,
    /// What the turn may deliver.
    pub turn: Turn,
    /// Whether publishers have to wait, because memory is short.
    pub slows: bool,
    /// The messages that sessions hold.
    pub stored: Stored,
}

impl Default for Allowed {
    fn default() -> Self {
        Allowed {
            lease: Lease::unbounded(),
            outbound_max: limits::OUTBOUND_BYTES_MAX,
            outbound_near: limits::OUTBOUND_BYTES_MAX / 4 * 3,
            packet_memory: u32::MAX,
            shares: Shares::default(),
            turn: Turn::default(),
            slows: false,
            stored: Stored::default(),
        }
    }
}

impl Allowed {
    /// A session keeps a message in flight from here on.
    #[inline]
    pub(crate) fn store(&mut self, message: &Message) {
        self.stored.keep(&mut self.lease, message);
    }

    /// A session no longer keeps a message in flight.
    pub(crate) fn unstore(&mut self, message: &Message) {
        self.stored.keep_no_longer(&mut self.lease, message);
    }

    /// One more message of this list waits for a session.
    #[inline]
    pub(crate) fn note_waits(&mut self, backlog: &mut Backlog, message: &Message) {
        self.stored.wait(&mut self.lease, backlog, message);
    }

    /// Charges what the list of messages that wait has come to.
    pub(crate) fn settle_backlog(&mut self, backlog: &mut Backlog) {
        stored::settle(&mut self.lease, backlog);
    }

    /// A message no longer waits for a session.
    pub(crate) fn note_waits_no_longer(&mut self, backlog: &mut Backlog, message: &Message) {
        let lease = &mut self.lease;
        self.stored.wait_no_longer(lease, backlog, message);
    }

    /// Bytes of an account that are left to those who hold less than a share; ever more as memory becomes short.
    pub(crate) fn reserve(&self, account: Account) -> u64 {
        let limit = self.lease.pool().limit(account);
        match self.lease.rung() {
            Rung::Shrink | Rung::Refuse | Rung::Slow if account == Account::Backlog => limit / 4,
            Rung::Drop | Rung::Shed if account == Account::Backlog => limit / 2,
            _ => limit / limits::SHARES_RESERVE_DIVISOR,
        }
    }

    /// Whether so many bytes more leave the reserve of an account untouched.
    #[inline]
    pub(crate) fn is_within(&self, account: Account, wanted: u64) -> bool {
        self.lease.has_room(account, wanted + self.reserve(account))
    }

    /// Whether a holder of a party that has `held` bytes, of which so many are not there yet, may go on before others have given
    /// way: who holds less than its share until the account is overdrawn by half, and until it is by the reserve who holds more
    /// than that only of what this shard sees.
    pub(crate) fn may_go_beyond(
        &self,
        account: Account,
        party: Party,
        held: u64,
        wanted: u64,
    ) -> bool {
        let divisor = match self.shares.has_above(account, party, held) {
            true => limits::SHARES_RESERVE_DIVISOR,
            false => limits::SHARES_BEYOND_DIVISOR,
        };
        let beyond = (self.lease.pool().limit(account) / divisor) as i64;
        self.lease.balance(account).saturating_add(beyond) >= wanted as i64
    }

    /// All shards have said what they hold of an account: who gives way.
    pub(crate) fn end_round(&mut self, account: Account) -> Cut {
        let pool = self.lease.pool();
        let limit = pool.limit(account);
        let held = pool.leased(account).max(1);
        let wanted = self.shares.wanted(account);
        let goal = self.reserve(account) + limit / limits::SHARES_MARGIN_DIVISOR + wanted;
        // One that is as large as the account does not take what is left to the others by their shares.
        let goal = goal.min(limit - limit / limits::SHARES_LEFT_DIVISOR);
        let missing = goal as i64 - self.lease.balance(account);
        self.shares.end(account, limit, held, missing)
    }

    /// Who would give way if this shard had its part of the account and no more.
    pub(crate) fn own_cut(&self, account: Account, holdings: &Holdings, shards: u8) -> Cut {
        let limit = self.lease.pool().limit(account);
        let held = u64::try_from(self.lease.held(account)).unwrap_or(0);
        let most = limit / u64::from(shards);
        if shards == 1 || held <= most {
            return Cut::default();
        }
        let connected = limit / limits::SHARES_RESERVE_DIVISOR;
        let counted = counted_of(account, limit, held, holdings);
        holdings.cut(held - most, counted, connected)
    }

    /// It has been looked who holds how much, here or by another shard, of so many who may.
    pub(crate) fn rest(&mut self, account: Account, holders: usize) {
        let limit = self.lease.pool().limit(account);
        self.shares.rest(account, limit, holders);
    }

    /// Sets the bounds that hold until the next look.
    pub(crate) fn set_bounds(&mut self, rung: Rung, out: &mut Outbound, shards: u8) {
        let by_rung = match rung {
            Rung::Calm | Rung::Trim => limits::OUTBOUND_BYTES_MAX,
            Rung::Shrink | Rung::Refuse | Rung::Slow => limits::OUTBOUND_BYTES_SHRUNK,
            Rung::Drop | Rung::Shed => limits::OUTBOUND_BYTES_MIN,
        };
        let by_account = self.lease.threshold(Account::Outbound);
        let by_account = u32::try_from(by_account).unwrap_or(u32::MAX);
        self.outbound_max = by_rung.min(by_account.max(limits::OUTBOUND_BYTES_MIN));
        // Below what `outbound_max_of` gives to anybody.
        self.outbound_near = self.outbound_max / 4 * 3;
        let pool = self.lease.pool();
        let packets = pool.limit(Account::Packets) / limits::PACKET_DIVISOR;
        self.packet_memory = u32::try_from(packets).unwrap_or(u32::MAX);
        out.set_memory(pool.limit(Account::Outbound) / u64::from(shards));
        out.set_private_max(self.outbound_max);
        self.slows = rung >= Rung::Slow;
    }

    /// Whether memory is too short for a client that wants to come in.
    pub(crate) fn is_short_for_connect(&self, connect: &Connect<'_>) -> bool {
        let will = connect.will.as_ref();
        let will_bytes = will.map_or(0, |will| will.topic.len() + will.payload.len());
        let bytes = (connect.client_id.len() + will_bytes) as u64 + limits::CONNECTION_BYTES;
        let lease = &self.lease;
        lease.rung() >= Rung::Refuse
            || !lease.has_room(Account::Connections, bytes)
            || !lease.has_room(Account::Sockets, limits::SOCKET_BYTES)
    }

    /// Whether memory is too short for a new filter of a session that has so many. What is left at the end is for plain filters
    /// of those who have few, and the last of it for users who have proved their name: strangers, however many, leave that.
    pub(crate) fn is_short_for_filter(
        &self,
        session: SessionId,
        filter: &str,
        others: usize,
    ) -> bool {
        let is_modest = is_plain(filter) && others < limits::MATCH_RESERVE_SUBSCRIPTIONS;
        let is_user = matches!(self.shares.party(session), Party::User(_));
        let pool = self.lease.pool();
        let part = pool.limit(Account::Subscriptions) / limits::SUBSCRIPTIONS_PART_DIVISOR;
        let left = part * (u64::from(!is_modest) + u64::from(!is_user));
        let bytes = 2 * filter.len() as u64 + limits::SUBSCRIPTION_BYTES + left;
        self.lease.rung() >= Rung::Refuse || !self.lease.has_room(Account::Subscriptions, bytes)
    }
}
