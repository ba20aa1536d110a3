//! Sockets of a worker: connect, receive, send, close, each as an operation of its ring.

use std::io;
use std::os::fd::AsRawFd;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::uring::{Completion, Filled, Op, ReceiveFailure, RingError, SendFailure, ops};

use super::Worker;
use super::command::KeptOut;
use super::hints;
use super::layer::Layer;
use super::link::{CANCELLING_RECEIVE, CANCELLING_SEND, RECEIVING, SENDING, SLOT_CLOSED, Stage};

impl Worker {
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
                return self.open_failed(index);
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
            return self.open_failed(index);
        }
        self.sockets.links[index as usize].stage = Stage::Handshake;
        if !self.sockets.layers.is_empty() {
            match Layer::new(&self.place.wire) {
                Ok(layer) => self.sockets.layers[index as usize] = Some(Box::new(layer)),
                Err(error) => {
                    self.protocol.keeps_out(KeptOut::Wire, error);
                    return self.open_failed(index);
                }
            }
        }
        self.queue_connect(index);
        self.sockets.to_arm.push(index);
        Ok(())
    }

    /// The connection that a completion belongs to, with one operation less in flight.
    fn completed(&mut self, completion: Completion) -> Option<u32> {
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
                    self.on_wrapped(index, filled, now_ns)?;
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
            return self.on_receive_ended(index, completion);
        }
        if ours && !listens {
            return self.advance_closing(index);
        }
        Ok(())
    }

    /// Bytes of a client with something between its socket and MQTT.
    fn on_wrapped(&mut self, index: u32, filled: Filled, now_ns: u64) -> Result<(), RingError> {
        let Some(layer) = &mut self.sockets.layers[index as usize] else {
            return Ok(());
        };
        let was_ready = layer.is_ready();
        let (protocol, job) = (&mut self.protocol, &self.job);
        let bytes = self.sockets.buffers.bytes_mut(filled);
        let is_plain = !was_ready && self.place.wire.tls.is_none();
        let record = hints::of_record(bytes).filter(|_| is_plain);
        let result = layer.receive(bytes, &mut |mqtt| {
            protocol.on_bytes(job, index, mqtt, now_ns)
        });
        if layer.has_output() || !was_ready {
            self.protocol.wake(index);
        }
        match result {
            Ok(()) => Ok(()),
            Err(error) => {
                let hint =
                    record.unwrap_or_else(|| hints::of_failed_layer(&error, &self.place.wire));
                // TLS 1.3: what the broker says of this side's handshake may come when it is over here.
                match self.protocol.is_connected(index) {
                    true => self.protocol.error(format!("{error}{hint}")),
                    false => self
                        .protocol
                        .keeps_out(KeptOut::Wire, format!("{error}{hint}")),
                }
                self.on_failed_layer(index)
            }
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
    fn on_receive_ended(&mut self, index: u32, completion: Completion) -> Result<(), RingError> {
        if completion.result < 0 {
            match ReceiveFailure::of(-completion.result) {
                ReceiveFailure::NoBuffers | ReceiveFailure::Again => {
                    self.sockets.to_arm.push(index);
                    return Ok(());
                }
                ReceiveFailure::Cancelled => return Ok(()),
                ReceiveFailure::Broken(errno) => return self.on_broken(index, errno),
            }
        }
        if completion.result > 0 {
            // Bytes without a buffer: there is no such thing.
            self.sockets.to_arm.push(index);
            return Ok(());
        }
        self.on_broken(index, 0)
    }

    /// The broker has closed the connection (errno 0), or it is broken.
    #[cold]
    fn on_broken(&mut self, index: u32, errno: i32) -> Result<(), RingError> {
        let link = &self.sockets.links[index as usize];
        if !link.is_wanted() {
            return self.close(index);
        }
        let opening = link.stage != Stage::Ready;
        let what = match errno {
            0 => "closed by the broker".into(),
            errno => io::Error::from_raw_os_error(errno).to_string(),
        };
        let hint = match errno {
            0 | libc::ECONNRESET | libc::EPIPE => self.hint(index),
            _ => "",
        };
        // What came before the end comes first: a refusal says more than the end that follows.
        self.handle_notes()?;
        if !self.sockets.links[index as usize].is_wanted() {
            return Ok(());
        }
        let text = format!("connection: {what}{hint}");
        match hint.is_empty() {
            true => self.protocol.error(text),
            false => self.protocol.keeps_out(KeptOut::Wire, text),
        }
        if opening {
            self.open_failed(index)
        } else {
            self.dropped(index)
        }
    }

    /// What lies below MQTT has failed, which has been told.
    #[cold]
    fn on_failed_layer(&mut self, index: u32) -> Result<(), RingError> {
        self.handle_notes()?;
        match &self.sockets.links[index as usize] {
            link if !link.is_wanted() => self.close(index),
            link if link.stage == Stage::Ready => self.dropped(index),
            _ => self.open_failed(index),
        }
    }

    /// What it may be that a connection ended before the broker said anything.
    fn hint(&self, index: u32) -> &'static str {
        if self.sockets.links[index as usize].stage != Stage::Handshake {
            return "";
        }
        match self.sockets.layers.get(index as usize) {
            Some(Some(layer)) => hints::of_layer(layer, &self.place.wire),
            _ => hints::BEFORE_CONNACK,
        }
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
            return self.on_broken(index, errno);
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

    /// Says DISCONNECT and closes.
    pub(super) fn leave(&mut self, index: u32) {
        let link = &mut self.sockets.links[index as usize];
        if link.stage == Stage::Ready {
            self.tally.ready -= 1;
        }
        link.stage = Stage::Leaving;
        self.tally.leaving += 1;
        let connection = self.protocol.output(index);
        connection
            .client
            .disconnect(&self.job.settings, &mut connection.out);
    }

    /// Closes without a word.
    pub(super) fn close(&mut self, index: u32) -> Result<(), RingError> {
        let link = &mut self.sockets.links[index as usize];
        if link.stage == Stage::Closed || link.stage == Stage::Closing {
            return Ok(());
        }
        if link.stage == Stage::Ready {
            self.tally.ready -= 1;
        }
        self.tally.leaving += u32::from(link.stage != Stage::Leaving);
        link.stage = Stage::Closing;
        self.advance_closing(index)
    }

    /// Ends the operations, empties the slot, and is done when nothing is in flight. The socket lives until the last of
    /// its operations is over, so the order of the two does not matter.
    fn advance_closing(&mut self, index: u32) -> Result<(), RingError> {
        let link = &mut self.sockets.links[index as usize];
        if link.stage != Stage::Closing {
            return Ok(());
        }
        for (op, cancel, busy, cancelling) in [
            (
                Op::Receive,
                Op::CancelReceive,
                RECEIVING,
                CANCELLING_RECEIVE,
            ),
            (Op::Send, Op::CancelSend, SENDING, CANCELLING_SEND),
        ] {
            if link.has(busy) && !link.has(cancelling) {
                link.set(cancelling);
                link.in_flight += 1;
                let (target, own) = (link.user_data(op, index), link.user_data(cancel, index));
                // SAFETY: names no memory.
                unsafe { self.sockets.ring.push(&ops::cancel(target, own))? };
            }
        }
        if !link.has(SLOT_CLOSED) {
            link.set(SLOT_CLOSED);
            link.in_flight += 1;
            let submission = ops::close(index, link.user_data(Op::Close, index));
            // SAFETY: names no memory.
            unsafe { self.sockets.ring.push(&submission)? };
        }
        if link.in_flight > 0 {
            return Ok(());
        }
        let sending = std::mem::take(&mut link.sending);
        link.reset();
        self.tally.leaving -= 1;
        self.protocol.recycle(sending);
        if let Some(layer) = self.sockets.layers.get_mut(index as usize) {
            *layer = None;
        }
        self.protocol.lost(index);
        self.on_closed(index)
    }

    /// A cancellation or the close of the slot is over. An operation may have been between two attempts, where it
    /// cannot be found: then it is cancelled again.
    pub(super) fn on_ending(&mut self, completion: Completion, flag: u8) -> Result<(), RingError> {
        let Some(index) = self.completed(completion) else {
            return Ok(());
        };
        self.sockets.links[index as usize].clear(flag);
        self.advance_closing(index)
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
