//! Accepting: who is let in, by the bounds on connections, on addresses and on memory.
//!
//! All shards accept from the same sockets; the kernel wakes one of them per connection. Which shard accepts does not
//! matter, for the connection moves to the home of its client.

use std::net::IpAddr;
use std::sync::Arc;

use crate::broker::{LogKind, Peer};
use crate::budget::{Account, Rung};
use crate::ids::Network;
use crate::limits;
use crate::mqtt::ReasonCode;
use crate::transport::Plan;
use crate::uring::{AcceptFailure, Completion};

use super::acceptor::{Accepted, Acceptor};
use super::brain::Brain;
use super::connections::Flags;
use super::desk::Desk;
use super::error::ShardError;
use super::metrics::Metric;
use super::shared::Full;
use super::sources::{RATE, Refused};
use super::traffic::Traffic;

impl Acceptor {
    /// The listeners have changed.
    pub(super) fn listen<B: Brain>(&mut self, traffic: &mut Traffic<B>) -> Result<(), ShardError> {
        self.follow(traffic.desk.shared());
        self.cancel_gone(traffic.sockets.ring())?;
        self.resume(traffic)
    }

    /// Puts all accepts in flight that are not.
    pub(super) fn resume<B: Brain>(&mut self, traffic: &mut Traffic<B>) -> Result<(), ShardError> {
        self.unpause();
        match traffic.desk.is_ending() {
            true => Ok(()),
            false => Ok(self.arm_all(traffic.sockets.ring())?),
        }
    }

    /// The same for one that is over.
    fn again<B: Brain>(
        &mut self,
        index: usize,
        traffic: &mut Traffic<B>,
    ) -> Result<(), ShardError> {
        match traffic.desk.is_ending() {
            true => Ok(()),
            false => Ok(self.arm(index, traffic.sockets.ring())?),
        }
    }

    /// An accept is over. While there is too much to do for those who are here, others wait.
    pub(super) fn on_accept<B: Brain>(
        &mut self,
        completion: Completion,
        is_too_much: bool,
        traffic: &mut Traffic<B>,
    ) -> Result<(), ShardError> {
        let index = completion.user_data.index() as usize;
        let Some(Accepted { peer, is_over }) = self.end(index) else {
            traffic.desk.count_stray();
            return Ok(());
        };
        let Ok(slot) = u32::try_from(completion.result) else {
            return match is_over {
                true => Ok(()),
                false => self.on_failed(index, peer.listener, -completion.result, traffic),
            };
        };
        if is_over {
            return Ok(traffic.sockets.close_slot(slot)?);
        }
        match is_too_much {
            true => self.rest(&mut traffic.desk),
            false => self.again(index, traffic)?,
        }
        welcome(slot, peer, traffic)
    }

    /// There is too much to do for those who are here: the others wait in the kernel's queue for a while.
    #[cold]
    fn rest(&mut self, desk: &mut Desk) {
        if self.pause(desk.now_ms() + limits::ACCEPT_PAUSE_MS) {
            desk.count(Metric::AcceptsPaused, 1);
        }
    }

    #[cold]
    fn on_failed<B: Brain>(
        &mut self,
        index: usize,
        listener: u16,
        errno: i32,
        traffic: &mut Traffic<B>,
    ) -> Result<(), ShardError> {
        let desk = &mut traffic.desk;
        match AcceptFailure::of(errno) {
            AcceptFailure::Cancelled => Ok(()),
            AcceptFailure::Connection => {
                desk.count(Metric::AcceptFailed, 1);
                self.again(index, traffic)
            }
            AcceptFailure::Resources => {
                desk.count(Metric::AcceptFailed, 1);
                if self.pause(desk.now_ms() + limits::ACCEPT_PAUSE_MS) {
                    let source = std::io::Error::from_raw_os_error(errno);
                    let slots = traffic.sockets.ring().files();
                    let text = format!(
                        "Connections are refused ({source}): shard {} has room for {slots}; raise the limit on open files \
                         (LimitNOFILE=, ulimit -n) or lower max_connections.",
                        desk.id().0
                    );
                    desk.log(LogKind::Warning, text);
                }
                Ok(())
            }
            AcceptFailure::Listener(errno) => Err(ShardError::Listener { listener, errno }),
        }
    }
}

/// Takes a connection in, if the bounds allow it.
fn welcome<B: Brain>(slot: u32, peer: Peer, traffic: &mut Traffic<B>) -> Result<(), ShardError> {
    if traffic.desk.is_ending() {
        return Ok(traffic.sockets.close_slot(slot)?);
    }
    let plan = traffic.desk.transport_plan(peer.listener);
    let is_tls = plan.as_ref().is_some_and(|plan| plan.tls.is_some());
    if !has_memory_for(is_tls, peer.address.ip(), traffic)? {
        traffic.desk.count(Metric::RefusedForMemory, 1);
        traffic.desk.note_full(Full::Memory, peer);
        return Ok(traffic.sockets.close_slot(slot)?);
    }
    // Behind a proxy the address is known later: `admit_source_late`.
    let is_proxied = plan.as_ref().is_some_and(|plan| plan.proxy.is_some());
    let (counted, refusal) = match is_proxied {
        true => (false, None),
        false => match traffic.desk.admit_source(peer.address.ip()) {
            Ok(counted) => (counted, None),
            Err(reason) if plan.is_none() && is_told(reason, traffic) => (false, Some(reason)),
            Err(_) => return Ok(traffic.sockets.close_slot(slot)?),
        },
    };
    let desk = &mut traffic.desk;
    if let Err(full) = desk.shared().admit(peer.listener, is_tls) {
        if counted {
            let sources = desk.shared().sources();
            sources.release(peer.address.ip(), desk.now_ms());
        }
        desk.note_full(full, peer);
        return Ok(traffic.sockets.close_slot(slot)?);
    }
    desk.count(Metric::Accepted, 1);
    let conn = traffic.brain.on_accept(desk.now_ms(), peer);
    if let Some(reason) = refusal {
        traffic.brain.turn_away(conn, reason);
    }
    traffic.sockets.insert(conn, slot, peer.listener);
    if counted {
        traffic.sockets.set(conn, Flags::COUNTED);
    }
    if let Some(plan) = plan {
        traffic.begin_transport(conn, &plan, peer.address.ip())?;
    }
    traffic.receiving.want(conn);
    Ok(())
}

/// Whether a connection that is refused for this reason is let in to be told so: some of those that come too fast, while
/// there is memory for others.
fn is_told<B: Brain>(reason: ReasonCode, traffic: &Traffic<B>) -> bool {
    reason == ReasonCode::CONNECTION_RATE_EXCEEDED
        && traffic.desk.pool().rung() < Rung::Refuse
        && traffic.brain.may_turn_away()
}

/// Whether there is memory for one more connection. One that could be refused in MQTT's words is let in for that;
/// behind TLS these words would cost a handshake.
fn has_memory_for<B: Brain>(
    is_tls: bool,
    address: IpAddr,
    traffic: &mut Traffic<B>,
) -> Result<bool, ShardError> {
    let pool = traffic.desk.pool();
    let rung = pool.rung();
    let has_socket = pool.free(Account::Sockets) > limits::SOCKET_BYTES as i64;
    if rung >= Rung::Shed || !has_socket {
        return Ok(false);
    }
    let source = Network::of(address);
    let wanted = limits::TLS_CONNECTION_BYTES;
    Ok(!is_tls || (rung < Rung::Refuse && traffic.makes_room(source, wanted)?))
}

impl Desk {
    /// What connections of a listener speak below MQTT, if anything.
    fn transport_plan(&self, listener: u16) -> Option<Arc<Plan>> {
        let listener = self.shared().listener(listener)?;
        Some(listener.transport()).filter(|plan| !plan.is_plain())
    }

    /// A connection is refused because there are too many; a flood of them does not flood the log.
    #[cold]
    fn note_full(&mut self, full: Full, peer: Peer) {
        self.count(Metric::Refused, 1);
        let option = match full {
            Full::Listener => "max_connections",
            Full::Broker => "global_max_connections",
            Full::Tls => "tls_memory_limit",
            Full::Memory => "memory_limit",
        };
        if self.shared().sources().may_say_now(self.now_ms()) {
            let address = peer.address;
            let text = format!("Client connection from {address} denied: {option} exceeded.");
            self.log(LogKind::Notice, text);
        }
    }

    /// Asks whether a connection from this address may come in, and if so whether it is counted, for `Flags::COUNTED`.
    /// The error, which has been counted and logged, is why not.
    pub(super) fn admit_source(&mut self, address: IpAddr) -> Result<bool, ReasonCode> {
        let admitted = self.shared().sources().admit(address, self.now_ms());
        let Refused { option, say } = match admitted {
            Ok(counted) => return Ok(counted),
            Err(refused) => refused,
        };
        self.count(Metric::Refused, 1);
        self.count(Metric::RefusedByAddress, 1);
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
}
