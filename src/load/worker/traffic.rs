//! Connect, receive and send, each as an operation of a worker's ring.

use std::io;
use std::os::fd::AsRawFd;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::uring::{Completion, Filled, Op, ReceiveFailure, RingError, SendFailure, ops};

use super::command::KeptOut;
use super::hints;
use super::layer::Layer;
use super::link::{RECEIVING, SENDING, SLOT_CLOSED, Stage};
use super::network::Network;
use super::protocol::Note;

impl Network {
    /// Begins a connection; `due_ns` is when it was to begin. What fails at once is told as one that fails later.
    pub(super) fn connect(
        &mut self,
        index: u32,
        due_ns: u64,
        now_ns: u64,
    ) -> Result<(), RingError> {
        let number = self.protocol.connections[index as usize].number;
        let connection = &mut self.protocol.connections[index as usize];
        connection.due_ns = due_ns;
        connection.since_ns = due_ns.min(now_ns);
        let socket = match self.socket(number) {
            Ok(socket) => socket,
            Err(error) => {
                self.protocol.error(format!("socket: {error}"));
                // There is no slot to be closed.
                let link = &mut self.sockets.links[index as usize];
                link.stage = Stage::Connecting;
                link.set(SLOT_CLOSED);
                self.protocol.notes.push((index, Note::Failed));
                return Ok(());
            }
        };
        self.sockets.ring.put_file(index, socket.as_raw_fd())?;
        let link = &mut self.sockets.links[index as usize];
        link.stage = Stage::Connecting;
        link.in_flight += 1;
        let user_data = link.user_data(Op::Connect, index);
        let address = &self.sockets.address;
        let submission = ops::connect(index, address.as_ptr().cast(), address.len(), user_data);
        // SAFETY: the address lives as long as the worker, and does not change.
        unsafe { self.sockets.ring.push(&submission) }
    }

    fn socket(&self, number: u32) -> io::Result<Socket> {
        let domain = Domain::for_address(self.place.target);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        let sources = &self.place.sources;
        if !sources.is_empty() {
            bind_late(&socket)?;
            let source = sources[number as usize % sources.len()];
            socket.bind(&SockAddr::from(std::net::SocketAddr::new(source, 0)))?;
        }
        Ok(socket)
    }

    /// TCP is connected, or is not.
    pub(super) fn on_connect(&mut self, completion: Completion) -> Result<(), RingError> {
        let Some(index) = self.completed(completion) else {
            return Ok(());
        };
        if self.sockets.links[index as usize].stage != Stage::Connecting {
            return self.advance_closing(index);
        }
        if completion.result < 0 {
            let error = io::Error::from_raw_os_error(-completion.result);
            let text = format!("connect: {error}");
            self.protocol.keeps_out(KeptOut::Unreached, text);
            self.protocol.notes.push((index, Note::Failed));
            return Ok(());
        }
        self.sockets.links[index as usize].stage = Stage::Handshake;
        if !self.sockets.layers.is_empty() {
            match Layer::new(&self.place.wire) {
                Ok(layer) => self.sockets.layers[index as usize] = Some(Box::new(layer)),
                Err(error) => {
                    self.protocol.keeps_out(KeptOut::Wire, error);
                    self.protocol.notes.push((index, Note::Failed));
                    return Ok(());
                }
            }
        }
        self.queue_connect(index);
        self.sockets.to_arm.push(index);
        Ok(())
    }

    /// The connection that a completion belongs to, with one operation less in flight.
    pub(super) fn completed(&mut self, completion: Completion) -> Option<u32> {
        let index = completion.user_data.index();
        let link = self.sockets.links.get_mut(index as usize)?;
        if !link.owns(completion.user_data) {
            return None;
        }
        link.in_flight = link.in_flight.saturating_sub(1);
        Some(index)
    }

    /// Arms the receives that are to be armed.
    pub(super) fn arm_receives(&mut self) -> Result<(), RingError> {
        while let Some(index) = self.sockets.to_arm.pop() {
            let link = &mut self.sockets.links[index as usize];
            if link.has(RECEIVING) || matches!(link.stage, Stage::Closed | Stage::Closing) {
                continue;
            }
            link.set(RECEIVING);
            link.in_flight += 1;
            let user_data = link.user_data(Op::Receive, index);
            let submission = ops::receive_multishot(index, self.sockets.buffers.group(), user_data);
            // SAFETY: names no memory; the provided buffers are `self.sockets.buffers`' affair.
            unsafe { self.sockets.ring.push(&submission)? };
        }
        Ok(())
    }

    /// A receive brought bytes, or ended.
    #[inline]
    pub(super) fn on_receive(&mut self, completion: Completion) -> Result<(), RingError> {
        let filled = self.sockets.buffers.take(&completion);
        let index = completion.user_data.index();
        let Some(link) = self.sockets.links.get_mut(index as usize) else {
            return Ok(());
        };
        let ours = link.owns(completion.user_data);
        if ours && !completion.more() {
            link.clear(RECEIVING);
            link.in_flight -= 1;
        }
        let listens = ours && !matches!(link.stage, Stage::Closed | Stage::Closing);
        let mut ended = listens;
        if let Some(filled) = filled {
            if listens && completion.result > 0 {
                ended = false;
                let now_ns = self.place.now_ns();
                if !self.sockets.layers.is_empty() {
                    self.on_wrapped(index, filled, now_ns);
                } else {
                    let bytes = self.sockets.buffers.bytes(filled);
                    self.protocol.on_bytes(&self.job, index, bytes, now_ns);
                }
                if !completion.more() {
                    self.sockets.to_arm.push(index);
                }
            }
            if let Some(id) = filled.finished {
                self.sockets.buffers.give_back(id);
            }
        }
        if ended {
            self.on_receive_ended(index, completion);
            return Ok(());
        }
        if ours && !listens {
            return self.advance_closing(index);
        }
        Ok(())
    }

    /// Bytes of a client with something between its socket and MQTT.
    fn on_wrapped(&mut self, index: u32, filled: Filled, now_ns: u64) {
        let Some(layer) = &mut self.sockets.layers[index as usize] else {
            return;
        };
        let was_ready = layer.is_ready();
        let (protocol, job) = (&mut self.protocol, &self.job);
        let bytes = self.sockets.buffers.bytes_mut(filled);
        let is_plain = !was_ready && self.place.wire.tls.is_none();
        let record = hints::of_record(bytes, self.place.wire.options).filter(|_| is_plain);
        let result = layer.receive(bytes, &mut |mqtt| {
            protocol.on_bytes(job, index, mqtt, now_ns)
        });
        if layer.has_output() || !was_ready {
            self.protocol.wake(index);
        }
        if let Err(error) = result {
            let hint = record.unwrap_or_else(|| hints::of_failed_layer(&error, &self.place.wire));
            let text = format!("{error}{hint}");
            // TLS 1.3: what the broker says of this side's handshake may come when it is over here.
            match self.protocol.is_connected(index) {
                true => self.protocol.error(text),
                false => self.protocol.keeps_out(KeptOut::Wire, text),
            }
            // What follows of it is not looked at.
            self.sockets.layers[index as usize] = None;
            self.protocol.notes.push((index, Note::Failed));
        }
    }

    /// What a connection has to send, with what lies below MQTT around it; empty if it has to wait.
    fn wrapped(&mut self, index: u32) -> Vec<u8> {
        let leaves = self.sockets.links[index as usize].stage == Stage::Leaving;
        let Some(layer) = &mut self.sockets.layers[index as usize] else {
            self.protocol.not_dirty(index);
            return Vec::new();
        };
        if !layer.is_ready() {
            self.protocol.not_dirty(index);
            return layer.take_output();
        }
        let mqtt = self.protocol.take_output(index);
        let packed = match mqtt.is_empty() {
            true => Ok(()),
            false => layer.pack(&mqtt),
        };
        if leaves {
            layer.close();
        }
        let out = layer.take_output();
        self.protocol.recycle(mqtt);
        if let Err(error) = packed {
            self.protocol.error(error);
        }
        out
    }

    #[cold]
    fn on_receive_ended(&mut self, index: u32, completion: Completion) {
        let errno = match completion.result {
            0 => 0,
            // Bytes without a buffer: there is no such thing.
            1.. => return self.sockets.to_arm.push(index),
            error => match ReceiveFailure::of(-error) {
                ReceiveFailure::NoBuffers | ReceiveFailure::Again => {
                    return self.sockets.to_arm.push(index);
                }
                ReceiveFailure::Cancelled => return,
                ReceiveFailure::Broken(errno) => errno,
            },
        };
        self.protocol.notes.push((index, Note::Broken(errno)));
    }

    /// Sends what there is, connection by connection.
    pub(super) fn start_sends(&mut self) -> Result<(), RingError> {
        while let Some(index) = self.protocol.outbox.dirty.pop() {
            let link = &self.sockets.links[index as usize];
            let barred = matches!(
                link.stage,
                Stage::Closed | Stage::Closing | Stage::Connecting
            );
            if link.has(SENDING) || barred {
                self.protocol.not_dirty(index);
                continue;
            }
            let out = match self.sockets.layers.is_empty() {
                true => self.protocol.take_output(index),
                false => self.wrapped(index),
            };
            if out.is_empty() {
                self.protocol.recycle(out);
                continue;
            }
            let link = &mut self.sockets.links[index as usize];
            link.sending = out;
            link.sent = 0;
            self.send(index)?;
        }
        Ok(())
    }

    fn send(&mut self, index: u32) -> Result<(), RingError> {
        let link = &mut self.sockets.links[index as usize];
        link.set(SENDING);
        link.in_flight += 1;
        let rest = &link.sending[link.sent as usize..];
        let user_data = link.user_data(Op::Send, index);
        let len = rest.len().min(i32::MAX as usize) as u32;
        let submission = ops::send(index, rest.as_ptr(), len, user_data);
        // SAFETY: `sending` is left alone until this send has completed, and its bytes do not move with the link.
        unsafe { self.sockets.ring.push(&submission) }
    }

    /// A send is over.
    #[inline]
    pub(super) fn on_send(&mut self, completion: Completion) -> Result<(), RingError> {
        let Some(index) = self.completed(completion) else {
            return Ok(());
        };
        let link = &mut self.sockets.links[index as usize];
        link.clear(SENDING);
        if link.stage == Stage::Closing {
            return self.advance_closing(index);
        }
        if completion.result < 0
            && let SendFailure::Broken(errno) = SendFailure::of(-completion.result)
        {
            self.protocol.notes.push((index, Note::Broken(errno)));
            return Ok(());
        }
        link.sent += completion.result.max(0) as u32;
        if (link.sent as usize) < link.sending.len() {
            return self.send(index);
        }
        let sent = std::mem::take(&mut link.sending);
        let leaves = link.stage == Stage::Leaving;
        self.protocol.recycle(sent);
        self.protocol.mark_dirty(index);
        if let Some(Some(layer)) = self.sockets.layers.get(index as usize)
            && layer.has_output()
        {
            self.protocol.wake(index);
        }
        if leaves && self.protocol.connections[index as usize].out.is_empty() {
            return self.close(index);
        }
        Ok(())
    }
}

/// Lets the kernel choose the port when it knows the other side: a port can then serve several destinations, and each
/// address has all its ports for this one.
fn bind_late(socket: &Socket) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the value is a c_int of the length given, and is copied.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
