//! Accepting: who is let in, by the bounds on connections, on addresses and on memory.
//!
//! All shards accept from the same sockets; the kernel wakes one of them per connection. Which shard accepts does not
//! matter, for the connection moves to the home of its client.

use std::net::IpAddr;
use std::sync::Arc;

use crate::broker::{LogKind, Peer};
use crate::budget::{Account, Rung};
use crate::ids::ConnId;
use crate::limits;
use crate::mqtt::ReasonCode;
use crate::transport::Plan;
use crate::uring::{AcceptFailure, Completion};

use super::acceptor::Accepted;
use super::connections::{Connection, Flags};
use super::shared::Full;
use super::sources::{RATE, Refused};
use super::{Brain, Metric, Shard, ShardError};

impl<B: Brain> Shard<B> {
    /// The listeners have changed.
    pub(super) fn listen(&mut self) -> Result<(), ShardError> {
        self.acceptor.follow(&self.shared);
        self.acceptor.cancel_gone(&mut self.ring)?;
        self.arm_accepts()
    }

    /// Puts all accepts in flight that are not.
    pub(super) fn arm_accepts(&mut self) -> Result<(), ShardError> {
        self.acceptor.unpause();
        match self.drain.has_begun() {
            true => Ok(()),
            false => Ok(self.acceptor.arm_all(&mut self.ring)?),
        }
    }

    fn arm_accept(&mut self, index: usize) -> Result<(), ShardError> {
        match self.drain.has_begun() {
            true => Ok(()),
            false => Ok(self.acceptor.arm(index, &mut self.ring)?),
        }
    }

    pub(super) fn on_accept(&mut self, completion: Completion) -> Result<(), ShardError> {
        let index = completion.user_data.index() as usize;
        let Some(Accepted { peer, is_over }) = self.acceptor.end(index) else {
            self.metrics.add(Metric::Stray, 1);
            return Ok(());
        };
        let Ok(slot) = u32::try_from(completion.result) else {
            return match is_over {
                true => Ok(()),
                false => self.on_accept_failed(index, peer.listener, -completion.result),
            };
        };
        if is_over {
            return self.close_slot(slot);
        }
        match self.overload.is_too_much() {
            true => self.rest_accepts(),
            false => self.arm_accept(index)?,
        }
        self.welcome(slot, peer)
    }

    /// There is too much to do for those who are here: the others wait in the kernel's queue for a while.
    #[cold]
    fn rest_accepts(&mut self) {
        if self.acceptor.pause(self.now_ms + limits::ACCEPT_PAUSE_MS) {
            self.metrics.add(Metric::AcceptsPaused, 1);
        }
    }

    /// Takes a connection in, if the bounds allow it.
    fn welcome(&mut self, slot: u32, peer: Peer) -> Result<(), ShardError> {
        if self.drain.has_begun() {
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
        self.receiving.want(conn);
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
                if self.acceptor.pause(self.now_ms + limits::ACCEPT_PAUSE_MS) {
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
        Ok(self.acceptor.close_slot(slot, &mut self.ring)?)
    }

    /// Asks whether a connection from this address may come in, and if so whether it is counted, for `Flags::COUNTED`.
    /// The error, which has been counted and logged, is why not.
    pub(super) fn admit_source(&mut self, address: IpAddr) -> Result<bool, ReasonCode> {
        let Refused { option, say } = match self.shared.sources().admit(address, self.now_ms) {
            Ok(counted) => return Ok(counted),
            Err(refused) => refused,
        };
        self.metrics.add(Metric::Refused, 1);
        self.metrics.add(Metric::RefusedByAddress, 1);
        if let Some(count) = say {
            let times = match count {
                1 => String::new(),
                count => format!(" ({count} times since the last such line)"),
            };
            let text =
                format!("Client connection from {address} denied: {option} exceeded{times}.");
            self.log(LogKind::Notice, text);
        }
        Err(match option {
            RATE => ReasonCode::CONNECTION_RATE_EXCEEDED,
            _ => ReasonCode::QUOTA_EXCEEDED,
        })
    }

    /// The same for a connection whose address is known only now (the PROXY header has been read and the brain knows
    /// it); false: it is to be closed.
    pub(super) fn admit_source_late(&mut self, conn: ConnId) -> bool {
        let Some(address) = self.brain.address(conn) else {
            return true;
        };
        let counted = self.admit_source(address);
        if let (Ok(true), Some(entry)) = (counted, self.connections.get(conn)) {
            entry.flags.set(Flags::COUNTED);
        }
        counted.is_ok()
    }

    /// A connection ends here: its address has one less. To be called while the brain knows it.
    pub(super) fn release_source(&mut self, conn: ConnId) {
        let is_counted = |entry: &&mut Connection| {
            entry.flags.has(Flags::COUNTED) && !entry.flags.has(Flags::GIVEN)
        };
        if self.connections.get(conn).filter(is_counted).is_some()
            && let Some(address) = self.brain.address(conn)
        {
            self.shared.sources().release(address, self.now_ms);
        }
    }
}
