//! Sending: one send per connection with output at the end of a turn, all of them in one submission.

use crate::ids::ConnId;
use crate::transport::Transport;
use crate::uring::{Completion, SendFailure};

use super::brain::Brain;
use super::connections::Flags;
use super::error::ShardError;
use super::metrics::Metric;
use super::sockets::Sent;
use super::traffic::Traffic;
use super::transports::Unpacked;

impl<B: Brain> Traffic<B> {
    /// Starts a send for every connection that has output and none in flight.
    pub(super) fn start_sends(&mut self) -> Result<(), ShardError> {
        self.sockets.begin_sends();
        while let Some(conn) = self.transports.next_waiting() {
            self.start_send(conn)?;
        }
        while let Some(conn) = self.brain.next_dirty() {
            self.start_send(conn)?;
        }
        Ok(())
    }

    #[inline]
    fn start_send(&mut self, conn: ConnId) -> Result<(), ShardError> {
        match self.sockets.send(conn, &mut self.brain, &self.desk)? {
            Sent::Begun => self.desk.count(Metric::Sends, 1),
            Sent::Nothing => {}
            Sent::Wrapped => self.start_transport_send(conn)?,
        }
        Ok(())
    }

    /// Sends the transport's output; when there is none, packs what the brain has.
    fn start_transport_send(&mut self, conn: ConnId) -> Result<(), ShardError> {
        let (sockets, brain) = (&mut self.sockets, &mut self.brain);
        match self.transports.pack(conn, sockets, brain, &self.desk) {
            Ok(()) => {}
            Err(Unpacked::NoMemory) => self.run_short_of_memory(conn)?,
            Err(Unpacked::Failed(failure)) => {
                self.return_memory(conn)?;
                self.on_transport_failed(conn, &failure)?;
            }
        }
        if self.transports.send(conn, &mut self.sockets)? {
            self.desk.count(Metric::Sends, 1);
        }
        Ok(())
    }

    /// A send is over.
    #[inline]
    pub(super) fn on_send(&mut self, completion: Completion) -> Result<(), ShardError> {
        let Some((conn, entry)) = self.sockets.over(&completion, Flags::SENDING) else {
            self.desk.count_stray();
            return Ok(());
        };
        let leaving = entry.flags.has(Flags::LEAVING);
        let written = completion.result.max(0) as usize;
        if entry.flags.has(Flags::TRANSPORT) {
            self.on_transport_sent(conn, written);
        } else {
            self.repay(conn, written);
        }
        if completion.result < 0 {
            self.on_send_failed(conn, -completion.result)?;
        }
        if leaving { self.advance(conn) } else { Ok(()) }
    }

    #[cold]
    fn on_send_failed(&mut self, conn: ConnId, errno: i32) -> Result<(), ShardError> {
        match SendFailure::of(errno) {
            SendFailure::Nothing => Ok(()),
            SendFailure::Broken(errno) => self.on_broken(conn, errno),
        }
    }

    /// A send of a transport's output is over, and the socket took so much of it. What it did not take is sent again, and
    /// lent until then, or until the connection ends.
    fn on_transport_sent(&mut self, conn: ConnId, written: usize) {
        let sent = self.transports.change(conn, |transport| {
            (transport.took(written), transport.has_output())
        });
        let Some((is_over, rest)) = sent else {
            return self.transports.took_meanwhile(conn, written);
        };
        let mut was_lent = false;
        if is_over {
            let packed = self.transports.take_packed(conn);
            was_lent = self.repay(conn, packed);
        } else if written > 0 {
            self.brain.on_progress(self.desk.now_ms(), conn);
        }
        // The brain may have asked to send while an answer of the transport's own was under way, and is not told of the
        // end of that: it is asked again.
        let was_answer = is_over && !was_lent;
        if rest || was_answer {
            self.transports.wait(conn);
        }
    }

    /// A cancellation of a send is over. The send may have been between two attempts, where it cannot be found: then
    /// it is cancelled again.
    pub(super) fn on_send_cancelled(&mut self, completion: Completion) -> Result<(), ShardError> {
        let Some((conn, _)) = self.sockets.over(&completion, Flags::CANCELLING_SEND) else {
            self.desk.count_stray();
            return Ok(());
        };
        if completion.result < 0 {
            self.sockets.cancel_send(conn, &mut self.desk)?;
        }
        self.advance(conn)
    }

    /// What the brain has lent goes back to it: so many bytes of it have been taken. Returns whether anything was lent.
    #[inline]
    pub(super) fn repay(&mut self, conn: ConnId, taken: usize) -> bool {
        let (brain, desk) = (&mut self.brain, &mut self.desk);
        self.sockets.repay(conn, taken, brain, desk)
    }

    /// The brain wants memory back that a send in flight holds. A transport's send holds a copy.
    pub(super) fn return_memory(&mut self, conn: ConnId) -> Result<(), ShardError> {
        if !self.sockets.has(conn, Flags::TRANSPORT) {
            return Ok(self.sockets.cancel_send(conn, &mut self.desk)?);
        }
        let packed = self.transports.take_packed(conn);
        self.repay(conn, packed);
        Ok(())
    }

    /// The end of a connection that has nothing else left to send is announced to the peer, once; true while that is
    /// under way.
    pub(super) fn says_goodbye(&mut self, conn: ConnId) -> Result<bool, ShardError> {
        let close = |transport: &mut Transport| {
            transport.close();
            transport.has_output()
        };
        if self.transports.change(conn, close) != Some(true) {
            return Ok(false);
        }
        self.start_transport_send(conn)?;
        Ok(true)
    }
}
