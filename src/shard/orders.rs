//! What the control thread has the shard do.

use super::{Brain, Shard, ShardCommand, ShardError, ShardReport};

impl<B: Brain> Shard<B> {
    /// The eventfd was written to.
    pub(super) fn on_commands(&mut self) -> Result<(), ShardError> {
        self.commands.arm(self.traffic.sockets.ring())?;
        if self.commands.is_to_drain() {
            self.begin_drain()?;
        }
        while let Some(command) = self.commands.take() {
            self.obey(command)?;
        }
        Ok(())
    }

    fn obey(&mut self, command: ShardCommand) -> Result<(), ShardError> {
        let traffic = &mut self.traffic;
        let now_ms = traffic.desk.now_ms();
        match command {
            ShardCommand::Publish(message) => traffic.brain.on_publish(now_ms, *message),
            ShardCommand::Verified {
                conn,
                ticket,
                verdict,
            } => {
                traffic.brain.on_verified(now_ms, conn, ticket, verdict);
                // Nothing was received from it meanwhile.
                traffic.receiving.want(conn);
            }
            ShardCommand::Reload(settings, done) => {
                traffic.brain.on_reload(now_ms, settings);
                // Whoever waited for its password may not wait any more.
                traffic.want_all();
                done.give(());
            }
            ShardCommand::Listen(done) => {
                self.acceptor.listen(traffic)?;
                done.give(());
            }
            ShardCommand::Shaken(shaken) => traffic.on_shaken(*shaken)?,
            ShardCommand::Pressure => {}
            ShardCommand::GiveBack => {
                traffic.brain.trim();
                traffic.give_memory_back();
            }
            ShardCommand::Drain => self.begin_drain()?,
            ShardCommand::Query(query, to) => to.give(traffic.brain.on_query(now_ms, *query)),
            ShardCommand::Deed(deed, to) => to.give(traffic.brain.on_deed(now_ms, *deed)),
            ShardCommand::Report(to) => to.give(ShardReport {
                #[cfg(test)]
                metrics: traffic.desk.metrics().clone(),
                turn_ns: self.overload.turn_ns().clone(),
                delivery_us: traffic.desk.delivery_us(),
            }),
        }
        Ok(())
    }
}
