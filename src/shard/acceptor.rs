//! The accepts of a shard: several in flight per listener, each with a place of its own for the peer's address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use crate::broker::Peer;
use crate::limits;
use crate::uring::{Op, Ring, RingError, UserData, ops};

use super::shared::Shared;

/// One accept and the place where the kernel writes the peer's address.
struct AcceptOperation {
    address: libc::sockaddr_storage,
    length: libc::socklen_t,
    socket: RawFd,
    /// Keeps the socket open.
    sockets: Arc<[OwnedFd]>,
    listener: u16,
    in_flight: bool,
    /// Not to be armed any more: its listener is gone. When it is not in flight its place is free.
    is_over: bool,
}

impl AcceptOperation {
    fn new(listener: u16, socket: RawFd, sockets: &Arc<[OwnedFd]>) -> Box<Self> {
        Box::new(AcceptOperation {
            // SAFETY: a sockaddr_storage is plain data, for which zeros are a value.
            address: unsafe { std::mem::zeroed() },
            length: 0,
            socket,
            sockets: sockets.clone(),
            listener,
            in_flight: false,
            is_over: false,
        })
    }
}

/// All accepts of a shard.
pub(super) struct Acceptor {
    // Each is boxed and stays where it is while it is in flight: the kernel knows its address.
    #[allow(clippy::vec_box)]
    operations: Vec<Box<AcceptOperation>>,
    /// Until when those that failed for want of resources, or that were one too many for the shard's turns, rest.
    paused_until_ms: Option<u64>,
    in_flight: usize,
}

/// What an accept was for.
pub(super) struct Accepted {
    /// Who came, if somebody has.
    pub peer: Peer,
    /// Whether its listener is gone.
    pub is_over: bool,
}

impl Acceptor {
    pub(super) fn new(shared: &Shared) -> Self {
        let mut acceptor = Acceptor {
            operations: Vec::new(),
            paused_until_ms: None,
            in_flight: 0,
        };
        acceptor.follow(shared);
        acceptor
    }

    /// Has the accepts that the listeners ask for, and no others: those of listeners that are gone are marked.
    pub(super) fn follow(&mut self, shared: &Shared) {
        let listeners = shared.listeners();
        for operation in &mut self.operations {
            let listener = listeners.get(usize::from(operation.listener));
            operation.is_over = listener
                .is_none_or(|listener| !Arc::ptr_eq(&listener.sockets(), &operation.sockets));
        }
        for (index, listener) in listeners.iter().enumerate() {
            let (index, sockets) = (index as u16, listener.sockets());
            let is_its = |operation: &AcceptOperation| {
                operation.listener == index && Arc::ptr_eq(&operation.sockets, &sockets)
            };
            if self.operations.iter().any(|operation| is_its(operation)) {
                continue;
            }
            for socket in sockets.iter().map(AsRawFd::as_raw_fd) {
                for _ in 0..limits::ACCEPTS_PER_LISTENER {
                    self.put(AcceptOperation::new(index, socket, &sockets));
                }
            }
        }
    }

    fn put(&mut self, operation: Box<AcceptOperation>) {
        let is_free = |old: &&mut Box<AcceptOperation>| old.is_over && !old.in_flight;
        match self.operations.iter_mut().find(is_free) {
            Some(place) => *place = operation,
            None => self.operations.push(operation),
        }
    }

    /// Those that rest do so no longer.
    pub(super) fn unpause(&mut self) {
        self.paused_until_ms = None;
    }

    /// Puts all accepts in flight that are not.
    pub(super) fn arm_all(&mut self, ring: &mut Ring) -> Result<(), RingError> {
        (0..self.operations.len()).try_for_each(|index| self.arm(index, ring))
    }

    /// Puts one in flight, if it is not.
    pub(super) fn arm(&mut self, index: usize, ring: &mut Ring) -> Result<(), RingError> {
        let operation = &mut self.operations[index];
        if operation.in_flight || operation.is_over {
            return Ok(());
        }
        operation.length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        let entry = ops::accept(
            operation.socket,
            &mut operation.address,
            &mut operation.length,
            UserData::new(Op::Accept, 0, index as u32),
        );
        // SAFETY: the operation lies in a box that `self` owns, which the shard drops after the ring, and `in_flight` keeps
        // everyone from it until its completion.
        unsafe { ring.push(&entry)? };
        operation.in_flight = true;
        self.in_flight += 1;
        Ok(())
    }

    /// Cancels all accepts, for good.
    pub(super) fn cancel_all(&mut self, ring: &mut Ring) -> Result<(), RingError> {
        self.paused_until_ms = None;
        self.cancel_those(ring, |_| true)
    }

    /// Cancels those whose listeners are gone.
    pub(super) fn cancel_gone(&mut self, ring: &mut Ring) -> Result<(), RingError> {
        self.cancel_those(ring, |operation| operation.is_over)
    }

    fn cancel_those(
        &self,
        ring: &mut Ring,
        which: fn(&AcceptOperation) -> bool,
    ) -> Result<(), RingError> {
        let operations = self.operations.iter().enumerate();
        for (index, _) in operations.filter(|(_, one)| one.in_flight && which(one)) {
            let target = UserData::new(Op::Accept, 0, index as u32);
            let entry = ops::cancel(target, UserData::new(Op::CancelAccept, 0, index as u32));
            // SAFETY: names no memory.
            unsafe { ring.push(&entry)? };
        }
        Ok(())
    }

    /// An accept is over: what it was for. `None` if there was none.
    pub(super) fn end(&mut self, index: usize) -> Option<Accepted> {
        let operation = self.operations.get_mut(index)?;
        if !std::mem::take(&mut operation.in_flight) {
            return None;
        }
        self.in_flight -= 1;
        if operation.is_over {
            // Nobody is to come in by it any more, and its socket may go.
            operation.sockets = Arc::new([]);
        }
        Some(Accepted {
            peer: Peer {
                address: peer_address(&operation.address),
                listener: operation.listener,
            },
            is_over: operation.is_over,
        })
    }

    /// Those that fail, or are one too many for the shard's turns, rest until then. False if they do already.
    pub(super) fn pause(&mut self, until_ms: u64) -> bool {
        let is_first = self.paused_until_ms.is_none();
        self.paused_until_ms.get_or_insert(until_ms);
        is_first
    }

    /// When `resume` is to be called again.
    pub(super) fn paused_until_ms(&self) -> Option<u64> {
        self.paused_until_ms
    }

    /// Whether no accept is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight == 0
    }
}

/// The address that an accept left; unspecified for a family other than IPv4 and IPv6 (a Unix socket).
fn peer_address(storage: &libc::sockaddr_storage) -> SocketAddr {
    let place: *const libc::sockaddr_storage = storage;
    match i32::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that this is what the storage holds; it is aligned and large enough for it.
            let address = unsafe { &*place.cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
            SocketAddr::from((ip, u16::from_be(address.sin_port)))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let address = unsafe { &*place.cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
            SocketAddr::from((
                IpAddr::V6(ip).to_canonical(),
                u16::from_be(address.sin6_port),
            ))
        }
        _ => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
    }
}
