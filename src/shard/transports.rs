//! What lies between the sockets of a shard's connections and MQTT: by connection, what it costs, and who is not ready yet.

use crate::budget::{Account, Pool};
use crate::ids::{ConnId, Network};
use crate::limits;
use crate::outbound::Slice;
use crate::table::Table;
use crate::transport::{Failure, Progress, Transport};
use crate::uring::RingError;

use super::brain::Brain;
use super::desk::Desk;
use super::sockets::Sockets;
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
    plain: Vec<u8>,
    /// Where the brain has what is packed.
    slices: Vec<Slice>,
    /// Lengths of packets, where they do not share a record.
    parts: Vec<u32>,
    /// What all of them cost: the sum of their `counted`, and what is lent.
    cost: u64,
    /// Of that, what is with threads that work on handshakes.
    lent: u64,
    /// What was last charged to the account.
    charged: u64,
}

/// What a transport has made of received bytes.
pub(super) struct Unwrapped {
    pub result: Result<Progress, Failure>,
    /// MQTT bytes that the brain has not had yet; the list goes back by `keep`.
    pub plain: Vec<u8>,
    /// Whether it holds more than before.
    pub has_grown: bool,
}

/// Why nothing was packed.
pub(super) enum Unpacked {
    /// There is no memory for it.
    NoMemory,
    /// The transport cannot go on.
    Failed(Failure),
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

    /// Bytes of a connection's socket: what is MQTT goes to the brain, if the connection is to stay on this shard.
    pub(super) fn receive<B: Brain>(
        &mut self,
        conn: ConnId,
        bytes: &mut [u8],
        brain: &mut B,
        now_ms: u64,
    ) -> Option<Unwrapped> {
        let mut plain = std::mem::take(&mut self.plain);
        let before = self.cost;
        let received = self.change(conn, |transport| match brain.is_established(conn) {
            true => transport.receive(bytes, &mut |mqtt| brain.on_bytes(now_ms, conn, mqtt)),
            false => transport.receive(bytes, &mut |mqtt| plain.extend_from_slice(mqtt)),
        });
        let Some(result) = received else {
            self.keep(plain);
            return None;
        };
        Some(Unwrapped {
            result,
            plain,
            has_grown: self.cost > before,
        })
    }

    /// Gives the list of `receive` back.
    pub(super) fn keep(&mut self, mut plain: Vec<u8>) {
        plain.clear();
        plain.shrink_to(limits::TRANSPORT_SEND_BYTES_MAX);
        self.plain = plain;
    }

    /// Packs what the brain has for a connection whose transport has nothing to send.
    ///
    /// # Errors
    /// The connection has to end. After a failure something may be packed nevertheless, for the peer to hear of it.
    pub(super) fn pack<B: Brain>(
        &mut self,
        conn: ConnId,
        sockets: &mut Sockets,
        brain: &mut B,
        desk: &Desk,
    ) -> Result<(), Unpacked> {
        let is_free = |transport: &Transport| !transport.has_output() && transport.is_ready();
        if !self.get(conn).is_some_and(is_free) {
            return Ok(());
        }
        let Some(mut max) = self.pack_bytes(desk.pool()) else {
            return Err(Unpacked::NoMemory);
        };
        let splits = brain.splits(conn);
        if splits {
            max = max.min(limits::TRANSPORT_SEND_BYTES_SPLIT);
        }
        let mut slices = std::mem::take(&mut self.slices);
        slices.clear();
        let bytes = brain.gather(desk.now_ms(), conn, max, &mut slices);
        let mut lengths = std::mem::take(&mut self.parts);
        lengths.clear();
        if splits {
            brain.parts(conn, &mut lengths);
        }
        let parts: smallvec::SmallVec<[&[u8]; 16]> = slices
            .iter()
            // SAFETY: the brain leaves the bytes untouched until `on_sent`, which comes after this function.
            .map(|slice| unsafe { std::slice::from_raw_parts(slice.base, slice.len) })
            .collect();
        if bytes > 0 {
            sockets.lend(conn, brain.has_more(conn), desk);
            self.set_packed(conn, bytes);
        }
        let packed = match bytes {
            0 => None,
            _ => self.change(conn, |transport| transport.pack(&parts, &lengths)),
        };
        self.slices = slices;
        self.parts = lengths;
        packed.unwrap_or(Ok(())).map_err(Unpacked::Failed)
    }

    /// Sends a connection's output; false if there is none.
    pub(super) fn send(&mut self, conn: ConnId, sockets: &mut Sockets) -> Result<bool, RingError> {
        let lend =
            |transport: &mut Transport| (transport.output().as_ptr(), transport.output().len());
        let Some((output, len @ 1..)) = self.change(conn, lend) else {
            return Ok(false);
        };
        // SAFETY: the output stays where it is until `took` is told of all of it, which is done by completions of its
        // sends only; the transport is boxed, and dropped or moved only when nothing of the connection is in flight.
        unsafe { sockets.send_output(conn, output, len) }
    }

    /// So many bytes of the brain's are in the output now.
    fn set_packed(&mut self, conn: ConnId, bytes: usize) {
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
    fn pack_bytes(&self, pool: &Pool) -> Option<usize> {
        match self.room(pool) {
            ..=0 => None,
            room if room < reserve(pool) / 2 => Some(limits::TRANSPORT_SEND_BYTES_SHORT),
            _ => Some(limits::TRANSPORT_SEND_BYTES_MAX),
        }
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
