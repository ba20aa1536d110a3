//! Lines about connections that nobody has vouched for yet: of one address so many a second, however often it comes and goes.

use crate::broker::clients::Clients;
use crate::broker::lines::{About, Doing};
use crate::ids::{ConnId, Network};

impl Clients {
    /// Whether one more line about what a connection does is written. One that was let in has all of its lines.
    pub(in crate::broker) fn may_tell(&mut self, now_ms: u64, conn: ConnId, doing: Doing) -> bool {
        if self.peers.session_of(conn).is_some() {
            return true;
        }
        self.desk.tell_left_out(now_ms);
        let address = self.peers.conns[conn.index()].peer().address.ip();
        let about = About::Stranger(doing, Network::of(address));
        self.desk.lines.admit(about)
    }
}
