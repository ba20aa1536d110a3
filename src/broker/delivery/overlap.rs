//! `allow_duplicate_messages false`: a client with overlapping subscriptions gets a message once, with the greatest QoS
//! of those that match and with all their subscription identifiers (MQTT-3.3.4-2, MQTT-3.3.4-4).

use smallvec::SmallVec;

use crate::ids::SessionId;
use crate::routing::{EntryOptions, Together};

/// The sessions that filters which match the same topic stand for.
#[derive(Default)]
pub(crate) struct Overlap {
    found: Vec<(SessionId, EntryOptions)>,
}

/// What a session is granted by all its subscriptions that match.
pub(crate) struct Merged {
    pub session: SessionId,
    /// With the identifier, where there are not several.
    pub options: EntryOptions,
    /// Where there are several: all of them.
    pub ids: SmallVec<[u32; 8]>,
}

impl Overlap {
    /// A subscription of a session matches.
    pub(crate) fn add(&mut self, session: SessionId, options: EntryOptions) {
        self.found.push((session, options));
    }

    /// Each session once; but for those subscriptions that count for nothing.
    pub(crate) fn merged(
        mut self,
        counts: impl Fn(SessionId, EntryOptions) -> bool,
    ) -> Vec<Merged> {
        self.found
            .retain(|&(session, options)| counts(session, options));
        self.found.sort_by_key(|(session, _)| session.0);
        let each = self.found.chunk_by(|(one, _), (other, _)| one == other);
        each.filter_map(merge).collect()
    }
}

fn merge(subscriptions: &[(SessionId, EntryOptions)]) -> Option<Merged> {
    let &(session, _) = subscriptions.first()?;
    let Together { options, ids } = EntryOptions::together(subscriptions.iter().map(|one| one.1));
    Some(Merged {
        session,
        options,
        ids,
    })
}
