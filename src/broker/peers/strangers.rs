//! Lines about connections that nobody has vouched for yet: of one address so many a second, however often it comes and goes.

use std::fmt;

use crate::broker::clients::Clients;
use crate::broker::said::{Bound, Said};
use crate::broker::settings::LogKind;
use crate::ids::{ConnId, Network};
use crate::limits;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::broker) enum Doing {
    /// It has come.
    Coming,
    /// What it has sent is no CONNECT.
    Fault,
    /// It has gone.
    Going,
}

/// Whose lines are told apart.
pub type Strangers = Said<(Doing, Network)>;

/// A network as the log has it; `None` for those that were not told apart.
pub(in crate::broker) struct Whose(pub Option<Network>);

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("other addresses"),
            Some(Network::UNSPECIFIED) => f.write_str("local sockets"),
            Some(network) => network.fmt(f),
        }
    }
}

/// The lines of a second.
pub fn strangers() -> Strangers {
    Said::new(Bound {
        lines: limits::STRANGER_LINES_MAX,
        ms: limits::STRANGERS_MS,
        apart: limits::REFUSAL_SOURCES_MAX,
    })
}

impl Clients {
    /// Whether one more line about what a connection does is written. One that was let in has all of its lines.
    pub(in crate::broker) fn may_tell(&mut self, now_ms: u64, conn: ConnId, doing: Doing) -> bool {
        if self.peers.session_of(conn).is_some() {
            return true;
        }
        self.tell_of_strangers(now_ms);
        let address = self.peers.conns[conn.index()].peer().address.ip();
        self.peers.strangers.admit((doing, Network::of(address)))
    }

    /// Says of how many there was no line, when that is due.
    pub(in crate::broker) fn tell_of_strangers(&mut self, now_ms: u64) {
        for (about, more) in self.peers.strangers.take(now_ms) {
            let whose = Whose(about.map(|(_, network)| network));
            self.desk.log(LogKind::Notice, || match about {
                Some((Doing::Coming, _)) => {
                    format!("{more} more connections of {whose} have come.")
                }
                Some((Doing::Fault, _)) => {
                    format!("{more} more connections of {whose} have sent no CONNECT.")
                }
                Some((Doing::Going, _)) => {
                    format!(
                        "{more} more connections of {whose} have ended before they were let in."
                    )
                }
                None => format!("{more} more lines about connections of {whose} were not logged."),
            });
        }
    }
}
