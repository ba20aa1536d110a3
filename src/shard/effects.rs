//! What the brain wants done.

use crate::broker::{CloseHow, Effect};

use super::handover::ShardMessage;
use super::{Brain, Shard, ShardError};

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
                Effect::Resume { conn } => self.to_arm.push(conn),
                Effect::Log { kind, text } => self.log(kind, text),
            }
        }
        Ok(())
    }
}
