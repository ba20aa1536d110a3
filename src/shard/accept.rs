//! Accepting: several accepts in flight per listener, each with a place of its own for the peer's address.
//!
//! All shards accept from the same sockets; the kernel wakes one of them per connection. Which shard accepts does not
//! matter, for the connection moves to the home of its client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use crate::broker::{LogKind, Peer};
use crate::budget::{Account, Rung};
use crate::limits;
use crate::mqtt::ReasonCode;
use crate::transport::Plan;
use crate::uring::{AcceptFailure, Completion, Op, UserData, ops};

use super::connections::Flags;
use super::shared::{Full, Shared};
use super::{Brain, Metric, Shard, ShardError};

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
    fn follow(&mut self, shared: &Shared) {
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

    /// Accepts in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// When `Shard::arm_accepts` is to be called again.
    pub(super) fn paused_until_ms(&self) -> Option<u64> {
        self.paused_until_ms
    }
}

impl<B: Brain> Shard<B> {
    /// The listeners have changed.
    pub(super) fn listen(&mut self) -> Result<(), ShardError> {
        self.acceptor.follow(&self.shared);
        self.cancel_those(|operation| operation.is_over)?;
        self.arm_accepts()
    }

    /// Puts all accepts in flight that are not.
    pub(super) fn arm_accepts(&mut self) -> Result<(), ShardError> {
        self.acceptor.paused_until_ms = None;
        (0..self.acceptor.operations.len()).try_for_each(|index| self.arm_accept(index))
    }

    fn arm_accept(&mut self, index: usize) -> Result<(), ShardError> {
        let operation = &mut self.acceptor.operations[index];
        if operation.in_flight || operation.is_over || self.drain_until_ms.is_some() {
            return Ok(());
        }
        operation.length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        let entry = ops::accept(
            operation.socket,
            &mut operation.address,
            &mut operation.length,
            UserData::new(Op::Accept, 0, index as u32),
        );
        // SAFETY: the operation lies in a box that `self.acceptor` owns until after the ring is dropped, and `in_flight`
        // keeps everyone from it until its completion.
        unsafe { self.ring.push(&entry)? };
        operation.in_flight = true;
        self.acceptor.in_flight += 1;
        Ok(())
    }

    /// Cancels all accepts, for good: a drain has begun.
    pub(super) fn cancel_accepts(&mut self) -> Result<(), ShardError> {
        self.acceptor.paused_until_ms = None;
        self.cancel_those(|_| true)
    }

    fn cancel_those(&mut self, which: fn(&AcceptOperation) -> bool) -> Result<(), ShardError> {
        let operations = self.acceptor.operations.iter().enumerate();
        for (index, _) in operations.filter(|(_, one)| one.in_flight && which(one)) {
            let target = UserData::new(Op::Accept, 0, index as u32);
            let entry = ops::cancel(target, UserData::new(Op::CancelAccept, 0, index as u32));
            // SAFETY: names no memory.
            unsafe { self.ring.push(&entry)? };
        }
        Ok(())
    }

    pub(super) fn on_accept(&mut self, completion: Completion) -> Result<(), ShardError> {
        let index = completion.user_data.index() as usize;
        let Some(operation) = self
            .acceptor
            .operations
            .get_mut(index)
            .filter(|operation| operation.in_flight)
        else {
            self.metrics.add(Metric::Stray, 1);
            return Ok(());
        };
        operation.in_flight = false;
        self.acceptor.in_flight -= 1;
        let (listener, is_over) = (operation.listener, operation.is_over);
        if is_over {
            // Nobody is to come in by it any more, and its socket may go.
            operation.sockets = Arc::new([]);
            return match u32::try_from(completion.result) {
                Ok(slot) => self.close_slot(slot),
                Err(_) => Ok(()),
            };
        }
        if completion.result < 0 {
            return self.on_accept_failed(index, listener, -completion.result);
        }
        let address = peer_address(&operation.address);
        match self.overload.is_too_much() {
            true => self.rest_accepts(),
            false => self.arm_accept(index)?,
        }
        self.welcome(completion.result as u32, Peer { address, listener })
    }

    /// There is too much to do for those who are here: the others wait in the kernel's queue for a while.
    #[cold]
    fn rest_accepts(&mut self) {
        if self.acceptor.paused_until_ms.is_none() {
            self.acceptor.paused_until_ms = Some(self.now_ms + limits::ACCEPT_PAUSE_MS);
            self.metrics.add(Metric::AcceptsPaused, 1);
        }
    }

    /// Takes a connection in, if the bounds allow it.
    fn welcome(&mut self, slot: u32, peer: Peer) -> Result<(), ShardError> {
        if self.drain_until_ms.is_some() {
            return self.close_slot(slot);
        }
        let plan = self.transport_plan(peer.listener);
        let is_tls = plan.as_ref().is_some_and(|plan| plan.tls.is_some());
        if !self.has_memory_for(is_tls, peer.address.ip())? {
            self.metrics.add(Metric::RefusedForMemory, 1);
            self.note_full(Full::Memory, peer);
            return self.close_slot(slot);
        }
        // Behind a proxy the address is known later: `admit_source_late`.
        let is_proxied = plan.as_ref().is_some_and(|plan| plan.proxy.is_some());
        let (counted, refusal) = match is_proxied {
            true => (false, None),
            false => match self.admit_source(peer.address.ip()) {
                Ok(counted) => (counted, None),
                Err(reason) if plan.is_none() && self.is_told(reason) => (false, Some(reason)),
                Err(_) => return self.close_slot(slot),
            },
        };
        if let Err(full) = self.shared.admit(peer.listener, is_tls) {
            if counted {
                let sources = self.shared.sources();
                sources.release(peer.address.ip(), self.now_ms);
            }
            self.note_full(full, peer);
            return self.close_slot(slot);
        }
        self.metrics.add(Metric::Accepted, 1);
        let conn = self.brain.on_accept(self.now_ms, peer);
        if let Some(reason) = refusal {
            self.brain.turn_away(conn, reason);
        }
        self.connections.insert(conn, slot, peer.listener);
        if let Some(entry) = self.connections.get(conn).filter(|_| counted) {
            entry.flags.set(Flags::COUNTED);
        }
        if let Some(plan) = plan {
            self.begin_transport(conn, &plan, peer.address.ip())?;
        }
        self.to_arm.push(conn);
        Ok(())
    }

    /// Whether a connection that is refused for this reason is let in to be told so: some of those that come too fast, while
    /// there is memory for others.
    fn is_told(&self, reason: ReasonCode) -> bool {
        reason == ReasonCode::CONNECTION_RATE_EXCEEDED
            && self.shared.pool().rung() < Rung::Refuse
            && self.brain.may_turn_away()
    }

    /// Whether there is memory for one more connection. One that could be refused in MQTT's words is let in for that;
    /// behind TLS these words would cost a handshake.
    fn has_memory_for(&mut self, is_tls: bool, address: IpAddr) -> Result<bool, ShardError> {
        let pool = self.shared.pool();
        let rung = pool.rung();
        let has_socket = pool.free(Account::Sockets) > limits::SOCKET_BYTES as i64;
        if rung >= Rung::Shed || !has_socket {
            return Ok(false);
        }
        Ok(!is_tls
            || (rung < Rung::Refuse && self.makes_room(address, limits::TLS_CONNECTION_BYTES)?))
    }

    /// What connections of a listener speak below MQTT, if anything.
    fn transport_plan(&self, listener: u16) -> Option<Arc<Plan>> {
        let listener = self.shared.listener(listener)?;
        Some(listener.transport()).filter(|plan| !plan.is_plain())
    }

    /// A connection is refused because there are too many; a flood of them does not flood the log.
    #[cold]
    fn note_full(&mut self, full: Full, peer: Peer) {
        self.metrics.add(Metric::Refused, 1);
        let option = match full {
            Full::Listener => "max_connections",
            Full::Broker => "global_max_connections",
            Full::Tls => "tls_memory_limit",
            Full::Memory => "memory_limit",
        };
        if self.shared.sources().may_say_now(self.now_ms) {
            let address = peer.address;
            let text = format!("Client connection from {address} denied: {option} exceeded.");
            self.log(LogKind::Notice, text);
        }
    }

    #[cold]
    fn on_accept_failed(
        &mut self,
        index: usize,
        listener: u16,
        errno: i32,
    ) -> Result<(), ShardError> {
        match AcceptFailure::of(errno) {
            AcceptFailure::Cancelled => Ok(()),
            AcceptFailure::Connection => {
                self.metrics.add(Metric::AcceptFailed, 1);
                self.arm_accept(index)
            }
            AcceptFailure::Resources => {
                self.metrics.add(Metric::AcceptFailed, 1);
                if self.acceptor.paused_until_ms.is_none() {
                    self.acceptor.paused_until_ms = Some(self.now_ms + limits::ACCEPT_PAUSE_MS);
                    let source = std::io::Error::from_raw_os_error(errno);
                    let slots = self.ring.files();
                    self.log(
                        LogKind::Warning,
                        format!(
                            "Connections are refused ({source}): shard {} has room for {slots}; raise the limit on open files \
                             (LimitNOFILE=, ulimit -n) or lower max_connections.",
                            self.id.0
                        ),
                    );
                }
                Ok(())
            }
            AcceptFailure::Listener(errno) => Err(ShardError::Listener { listener, errno }),
        }
    }

    /// Closes a slot that has no connection.
    pub(super) fn close_slot(&mut self, slot: u32) -> Result<(), ShardError> {
        // SAFETY: names no memory.
        unsafe {
            self.ring
                .push(&ops::close(slot, UserData::new(Op::CloseSlot, 0, slot)))?
        };
        self.closing_slots += 1;
        Ok(())
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
