//! An administrator has a client disconnected: as a takeover does it, with another reason (MQTT 5, 3.14.2.1).

use crate::broker::Broker;
use crate::broker::deeds::Disconnected;
use crate::ids::ConnId;
use crate::mqtt::ReasonCode;

impl Broker {
    /// Disconnects a client (0x98 for MQTT 5, a close for 3.x), and ends its session if that is wanted or nothing outlives its
    /// connection. `None` if there is no such client.
    pub(in crate::broker) fn disconnect_asked(
        &mut self,
        now_ms: u64,
        client: &str,
        ends_session: bool,
    ) -> Option<Disconnected> {
        self.clients.sessions.find(client)?;
        let was_connected = self.conn_by_name(client).is_some();
        if let Some(conn) = self.conn_by_name(client) {
            // What it has sent before counts.
            self.finish_interrupted(now_ms, conn);
            if self.is_held(conn) {
                self.drop_held(now_ms, conn);
            }
        }
        if let Some(conn) = self.conn_by_name(client) {
            self.disconnect(now_ms, conn, ReasonCode::ADMINISTRATIVE_ACTION);
        }
        if ends_session && let Some(session) = self.clients.sessions.find(client) {
            self.end_session(now_ms, session);
        }
        self.end_event(now_ms);
        Some(Disconnected {
            was_connected,
            session_ended: self.clients.sessions.find(client).is_none(),
        })
    }

    fn conn_by_name(&self, client: &str) -> Option<ConnId> {
        let session = self.clients.sessions.find(client)?;
        self.clients.sessions.conn_of(session)
    }
}
