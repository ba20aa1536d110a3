//! An administrator has something done (`deeds`).

use crate::broker::Broker;
use crate::broker::deeds::{Deed, Done};

impl Broker {
    /// Does it, as far as it is this shard's.
    pub fn on_deed(&mut self, now_ms: u64, deed: Deed) -> Done {
        match deed {
            Deed::ForgetRetained(topic) => Done::ForgotRetained(self.forget_asked(now_ms, &topic)),
            Deed::Disconnect {
                client,
                ends_session,
            } => Done::Disconnected(self.disconnect_asked(now_ms, &client, ends_session)),
        }
    }
}
