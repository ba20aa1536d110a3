//! What lies between the sockets of a shard's connections and MQTT: by connection, what it costs, and who is not ready yet.

use crate::budget::{Account, Pool};
use crate::ids::{ConnId, Network};
use crate::limits;
use crate::outbound::Slice;
use crate::table::Table;
use crate::transport::Transport;

use super::unready::{Standing, Unready};

/// What is kept for one connection.
#[derive(Default)]
struct Place {
    /// Elsewhere while a thread works on its handshake.
    transport: Option<Box<Transport>>,
    /// Bytes of the brain that its output was made of, and that are still lent.
    packed: usize,
    /// Bytes of its output that the socket took while it was elsewhere.
    taken: usize,
    /// Until it is ready for MQTT.
    standing: Option<Box<Standing>>,
}

/// By connection. Empty, and nothing is looked up, where all listeners are plain.
pub(super) struct Transports {
    places: Table<Place>,
    unready: Unready,
    /// Connections whose transport has output; some of them have none any more, or are there twice.
    waiting: Vec<ConnId>,
    /// MQTT bytes of one receive.
    pub plain: Vec<u8>,
    /// Where the brain has what is packed.
    pub slices: Vec<Slice>,
    /// Lengths of packets, where they do not share a record.
    pub parts: Vec<u32>,
    /// What all of them cost: the sum of their `counted`, and what is lent.
    cost: u64,
    /// Of that, what is with threads that work on handshakes.
    lent: u64,
    /// What was last charged to the account.
    charged: u64,
}

impl Transports {
    pub(super) fn new() -> Self {
        Transports {
            places: Table::new(),
            unready: Unready::default(),
            waiting: Vec::new(),
            plain: Vec::new(),
            slices: Vec::new(),
            parts: Vec::new(),
            cost: 0,
            lent: 0,
            charged: 0,
        }
    }

    pub(super) fn get(&self, conn: ConnId) -> Option<&Transport> {
        self.places.get(conn.index())?.transport.as_deref()
    }

    /// Has something done to one, and counts what it costs anew.
    pub(super) fn change<R>(
        &mut self,
        conn: ConnId,
        change: impl FnOnce(&mut Transport) -> R,
    ) -> Option<R> {
        let place = self.places.get_mut(conn.index())?;
        let transport = place.transport.as_deref_mut()?;
        let result = change(transport);
        let cost = transport.cost();
        self.cost = self.cost - transport.counted + cost;
        transport.counted = cost;
        if let Some(standing) = &mut place.standing {
            if let Some(source) = transport.source() {
                self.unready.move_to(standing, Network::of(source));
            }
            self.unready.change(standing, cost);
            if transport.is_ready()
                && let Some(standing) = place.standing.take()
            {
                self.unready.end(*standing);
            }
        }
        Some(result)
    }

    /// A connection of this address begins with what comes before MQTT.
    pub(super) fn begin(&mut self, conn: ConnId, source: Network) {
        let standing = self.unready.begin(conn, source);
        self.places.ensure(conn.index(), Place::default);
        self.places[conn.index()].standing = Some(Box::new(standing));
    }

    /// Where one counts that is not ready.
    pub(super) fn source(&self, conn: ConnId) -> Option<Network> {
        let standing = self.places.get(conn.index())?.standing.as_ref()?;
        Some(standing.source())
    }

    /// One counts no longer as unready.
    pub(super) fn end_unready(&mut self, conn: ConnId) {
        let place = self.places.get_mut(conn.index());
        if let Some(standing) = place.and_then(|place| place.standing.take()) {
            self.unready.end(*standing);
        }
    }

    pub(super) fn put(&mut self, conn: ConnId, mut transport: Box<Transport>) {
        self.places.ensure(conn.index(), Place::default);
        let place = &mut self.places[conn.index()];
        transport.took(std::mem::take(&mut place.taken));
        transport.counted = transport.cost();
        self.cost += transport.counted;
        place.transport = Some(transport);
    }

    pub(super) fn take(&mut self, conn: ConnId) -> Option<Box<Transport>> {
        let transport = self.places.get_mut(conn.index())?.transport.take()?;
        self.cost -= transport.counted;
        Some(transport)
    }

    /// The connection has ended: the next with its number begins with nothing.
    pub(super) fn forget(&mut self, conn: ConnId) {
        drop(self.take(conn));
        self.end_unready(conn);
        if let Some(place) = self.places.get_mut(conn.index()) {
            *place = Place::default();
        }
    }

    /// So many bytes of the brain's are in the output now.
    pub(super) fn set_packed(&mut self, conn: ConnId, bytes: usize) {
        if let Some(place) = self.places.get_mut(conn.index()) {
            place.packed = bytes;
        }
    }

    /// The bytes of the brain that its output was made of, when it is to hear of them.
    pub(super) fn take_packed(&mut self, conn: ConnId) -> usize {
        let place = self.places.get_mut(conn.index());
        place.map_or(0, |place| std::mem::take(&mut place.packed))
    }

    /// The socket has taken so many bytes of output that a thread has with it.
    pub(super) fn took_meanwhile(&mut self, conn: ConnId, bytes: usize) {
        if let Some(place) = self.places.get_mut(conn.index()) {
            place.taken += bytes;
        }
    }

    /// One is with a thread that works on its handshake, and still counts.
    pub(super) fn lend(&mut self, cost: u64) {
        self.cost += cost;
        self.lent += cost;
    }

    /// It has come back.
    pub(super) fn lent_back(&mut self, cost: u64) {
        self.cost -= cost;
        self.lent -= cost;
    }

    /// Whether any is away.
    pub(super) fn are_away(&self) -> bool {
        self.lent > 0
    }

    /// What all of them cost, with what is known of those that are not ready, in bytes, for the account.
    pub(super) fn charge(&mut self) -> u64 {
        #[cfg(test)]
        self.check();
        self.charged = self.held();
        self.charged
    }

    fn held(&self) -> u64 {
        self.cost + self.unready.memory()
    }

    /// Bytes that the account has room for; below zero where more is held than there is.
    fn room(&self, pool: &Pool) -> i64 {
        pool.free(Account::Transports) - (self.held() as i64 - self.charged as i64)
    }

    /// Whether there is memory for more that is received of records, frames and handshakes.
    pub(super) fn have_room(&self, pool: &Pool) -> bool {
        self.room(pool) > reserve(pool)
    }

    /// Bytes of MQTT that may be packed at once; `None` when there is no memory for any.
    pub(super) fn pack_bytes(&self, pool: &Pool) -> Option<usize> {
        match self.room(pool) {
            ..=0 => None,
            room if room < reserve(pool) / 2 => Some(limits::TRANSPORT_SEND_BYTES_SHORT),
            _ => Some(limits::TRANSPORT_SEND_BYTES_MAX),
        }
    }

    /// What all of them cost, in bytes.
    pub(super) fn cost(&self) -> u64 {
        self.cost
    }

    /// Who is to give way to a connection of this address that wants so many bytes; it counts no longer as unready.
    pub(super) fn give_up_one(&mut self, source: Network, wanted: u64) -> Option<ConnId> {
        let conn = self.unready.first_of_most(source, wanted)?;
        self.end_unready(conn);
        Some(conn)
    }

    /// Compares the sum with what they cost one by one.
    #[cfg(test)]
    fn check(&self) {
        let counted: u64 = (0..self.places.len())
            .filter_map(|index| self.get(ConnId(index as u32)))
            .map(Transport::cost)
            .sum();
        assert_eq!(self.cost, counted + self.lent);
    }

    /// A connection is to have its output sent.
    pub(super) fn wait(&mut self, conn: ConnId) {
        self.waiting.push(conn);
    }

    pub(super) fn next_waiting(&mut self) -> Option<ConnId> {
        self.waiting.pop()
    }
}

/// What is kept for sends, of what the account has.
fn reserve(pool: &Pool) -> i64 {
    (pool.limit(Account::Transports) / limits::TRANSPORTS_RESERVE_DIVISOR) as i64
}
