//! What the brain wants done.

use crate::broker::{CloseHow, Effect, LogKind};

use super::message::ShardMessage;
use super::{Brain, Metric, Shard, ShardError};

impl<B: Brain> Shard<B> {
    /// Carries out what the brain wants done.
    pub(super) fn run_effects(&mut self) -> Result<(), ShardError> {
        while let Some(effect) = self.brain.next_effect() {
            match effect {
                Effect::Mesh { to, message } => self.send_mesh(to, ShardMessage::Mesh(message)),
                Effect::Close {
                    conn,
                    how: CloseHow::Flush,
                } => self.close_flush(conn),
                Effect::Close {
                    conn,
                    how: CloseHow::Now,
                } => self.close_now(conn)?,
                Effect::CancelSend { conn } => self.return_memory(conn)?,
                Effect::Handover { conn, to, handover } => self.give(conn, to, handover)?,
                Effect::Verify(verify) => self.verify(verify),
                Effect::Pause { conn } => self.pause(conn)?,
                Effect::Resume { conn } => self.receiving.want(conn),
                Effect::Log { kind, text } => self.log(kind, text),
            }
        }
        Ok(())
    }

    /// Sends a log line, unless the writer is so far behind that it has to be dropped.
    pub(super) fn log(&mut self, kind: LogKind, text: String) {
        let line = self.shared.log_room().line(kind, text);
        if line.is_none_or(|line| self.log.try_send(line).is_err()) {
            self.metrics.add(Metric::LogDropped, 1);
        }
    }
}
