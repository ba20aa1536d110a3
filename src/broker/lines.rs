//! Lines of the log of which clients can cause very many: so many of each kind in a while, and then how many were left out.

use std::fmt;

use super::said::{Bound, Said};
use super::settings::LogKind;
use crate::ids::Network;
use crate::limits;

/// What a connection does that nobody has vouched for, before it is let in and when it was let in without a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::broker) enum Doing {
    /// It has come.
    Coming,
    /// What it has sent is no CONNECT.
    Fault,
    /// It has gone.
    Going,
    /// It was let in.
    Entering,
    /// It was let in, and has broken the protocol.
    Erring,
    /// It was let in, and has gone.
    Leaving,
}

impl Doing {
    /// The same of a client that was let in.
    pub(super) fn when_let_in(self) -> Doing {
        match self {
            Doing::Fault => Doing::Erring,
            Doing::Going => Doing::Leaving,
            doing => doing,
        }
    }
}

/// What a line is about, and whose lines are told apart.
#[derive(Clone, Copy, Debug)]
pub(in crate::broker) enum About {
    /// A client that is not let in.
    Refusal(Network),
    /// What a client is refused that was let in.
    Request,
    /// A connection that nobody has vouched for.
    Stranger(Doing, Network),
    /// A session that has lost messages because memory is short.
    Shortened,
}

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

/// See the module. It is told the time by `take`, which comes before `admit`.
pub(super) struct Lines {
    refusals: Said<Network>,
    requests: Said<()>,
    strangers: Said<(Doing, Network)>,
    shortened: Said<()>,
    /// Lines about clients that acknowledge nothing: of which second, and how many.
    stuck: (u32, u32),
}

impl Default for Lines {
    fn default() -> Self {
        let bound = |lines, ms, apart| Bound { lines, ms, apart };
        let sources = limits::REFUSAL_SOURCES_MAX;
        let (refusals, strangers) = (limits::REFUSAL_LINES_MAX, limits::STRANGER_LINES_MAX);
        let (requests, shortened) = (limits::REFUSAL_LINES_PER_S, limits::SHARES_LINES);
        Lines {
            refusals: Said::new(bound(refusals, limits::REFUSALS_MS, sources)),
            requests: Said::new(bound(requests, limits::LINES_MS, 1)),
            strangers: Said::new(bound(strangers, limits::STRANGERS_MS, sources)),
            shortened: Said::new(bound(shortened, limits::LINES_MS, 1)),
            stuck: (0, 0),
        }
    }
}

impl Lines {
    /// Whether one more line about this is written; it is counted if not.
    pub(super) fn admit(&mut self, about: About) -> bool {
        match about {
            About::Refusal(network) => self.refusals.admit(network),
            About::Request => self.requests.admit(()),
            About::Stranger(doing, network) => self.strangers.admit((doing, network)),
            About::Shortened => self.shortened.admit(()),
        }
    }

    /// Whether there is room for one more line of this second about a client that acknowledges nothing.
    pub(super) fn admits_stuck(&mut self, now_s: u32) -> bool {
        if self.stuck.0 != now_s {
            self.stuck = (now_s, 0);
        }
        self.stuck.1 < limits::REFUSAL_LINES_PER_S
    }

    /// There is one.
    pub(super) fn on_stuck(&mut self) {
        self.stuck.1 += 1;
    }

    /// When `take` is to be called: a while ends.
    pub(super) fn due_ms(&self) -> Option<u64> {
        let due = [
            self.refusals.due_ms(),
            self.requests.due_ms(),
            self.strangers.due_ms(),
            self.shortened.due_ms(),
        ];
        due.into_iter().flatten().min()
    }

    /// It is so late. What is to be said of lines that were left out; those about refusals are of this kind.
    pub(super) fn take(&mut self, now_ms: u64, refusals: LogKind) -> Vec<(LogKind, String)> {
        let mut all = Vec::new();
        for (network, more) in self.refusals.take(now_ms) {
            let whose = Whose(network);
            let line = format!("{more} more refusals of {whose} were not logged.");
            all.push((refusals, line));
        }
        for (_, more) in self.requests.take(now_ms) {
            let line = format!("{more} more refusals were not logged.");
            all.push((LogKind::Notice, line));
        }
        for (about, more) in self.strangers.take(now_ms) {
            all.push((LogKind::Notice, of_strangers(about, more)));
        }
        for (_, times) in self.shortened.take(now_ms) {
            let line = format!(
                "Sessions have lost their oldest messages {times} more times for that reason."
            );
            all.push((LogKind::Warning, line));
        }
        all
    }
}

fn of_strangers(about: Option<(Doing, Network)>, more: u64) -> String {
    let whose = Whose(about.map(|(_, network)| network));
    let Some((doing, _)) = about else {
        return format!("{more} more lines about connections of {whose} were not logged.");
    };
    let (who, what) = match doing {
        Doing::Coming => ("connections", "have come"),
        Doing::Fault => ("connections", "have sent no CONNECT"),
        Doing::Going => ("connections", "have ended before they were let in"),
        Doing::Entering => ("clients", "were let in without a name"),
        Doing::Erring => ("clients", "have broken the protocol"),
        Doing::Leaving => ("clients", "have gone"),
    };
    format!("{more} more {who} of {whose} {what}.")
}
