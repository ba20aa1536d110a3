//! What the control thread has the shard do.

use super::{Brain, Shard, ShardCommand, ShardError, ShardReport};

impl<B: Brain> Shard<B> {
    /// The eventfd was written to.
    pub(super) fn on_commands(&mut self) -> Result<(), ShardError> {
        self.commands.arm(&mut self.ring)?;
        if self.commands.is_to_drain() {
            self.begin_drain()?;
        }
        while let Some(command) = self.commands.take() {
            self.obey(command)?;
        }
        Ok(())
    }

    fn obey(&mut self, command: ShardCommand) -> Result<(), ShardError> {
        match command {
            ShardCommand::Publish(message) => self.brain.on_publish(self.now_ms, *message),
            ShardCommand::Verified {
                conn,
                ticket,
                verdict,
            } => {
                self.brain.on_verified(self.now_ms, conn, ticket, verdict);
                // Nothing was received from it meanwhile.
                self.receiving.want(conn);
            }
            ShardCommand::Reload(settings, done) => {
                self.brain.on_reload(self.now_ms, settings);
                // Whoever waited for its password may not wait any more.
                self.arm_all();
                let _ = done.try_send(self.id);
            }
            ShardCommand::Listen(done) => {
                self.listen()?;
                let _ = done.try_send(self.id);
            }
            ShardCommand::Shaken(shaken) => self.on_shaken(*shaken)?,
            ShardCommand::Pressure => {}
            ShardCommand::GiveBack => {
                self.brain.trim();
                self.give_memory_back();
            }
            ShardCommand::Drain => self.begin_drain()?,
            ShardCommand::Slowest(to) => {
                let _ = to.try_send(self.brain.slowest(self.now_ms));
            }
            ShardCommand::Report(to) => {
                let _ = to.try_send(ShardReport {
                    shard: self.id,
                    counters: self.brain.counters().clone(),
                    metrics: self.metrics.clone(),
                    turn_ns: self.overload.turn_ns().clone(),
                });
            }
        }
        Ok(())
    }
}
