//! Who gets what: the sessions of this shard whose subscriptions match a topic name, or are to a filter.
//!
//! Those of their own come in the order of the sessions' places, and of one session in that of its filters' numbers; so one that stays
//! comes exactly once, whatever others do between two pages. Few entries are looked through for each page; of many it is asked
//! session by session whether it has one.

use smallvec::SmallVec;

use crate::broker::Broker;
use crate::broker::queries::{Page, Pager, SubscriptionRow, Wanted, WhoFrom};
use crate::broker::sessions::table::Sessions;
use crate::ids::{GroupId, SessionId};
use crate::limits;
use crate::mqtt::topic;
use crate::routing::{EntryOptions, FilterId, Subscriptions, Target};

/// A subscription of a session's own.
type Found = (SessionId, FilterId, EntryOptions);

/// Where one stands in the order.
type Key = (u32, u32);

fn key(&(session, filter, _): &Found) -> Key {
    (session.0, filter.number())
}

impl Broker {
    /// The next of those who get it.
    pub(in crate::broker) fn who(
        &mut self,
        wanted: &Wanted,
        from: WhoFrom,
        limit: usize,
    ) -> Page<SubscriptionRow, WhoFrom> {
        let (mut pager, mut rows) = (Pager::new(limit), Vec::new());
        let next = match from {
            WhoFrom::Own(place, filter) => {
                let next = self.own_subscribers(wanted, (place, filter), &mut pager, &mut rows);
                match next {
                    Some((place, filter)) => Some(WhoFrom::Own(place, filter)),
                    None => self.shared_subscribers(wanted, (0, 0), &mut pager, &mut rows),
                }
            }
            WhoFrom::Shared(group, member) => {
                self.shared_subscribers(wanted, (group, member), &mut pager, &mut rows)
            }
        };
        Page { rows, next }
    }

    /// Those with a subscription of their own. Returns where to go on.
    fn own_subscribers(
        &mut self,
        wanted: &Wanted,
        from: Key,
        pager: &mut Pager,
        rows: &mut Vec<SubscriptionRow>,
    ) -> Option<Key> {
        let filters = self.filters_of(wanted);
        let (clients, subscriptions) = (&mut self.clients, &self.routing.subscriptions);
        let entries: usize = filters
            .iter()
            .map(|&filter| subscriptions.entries(filter).len())
            .sum();
        let (found, next) = match entries <= limits::QUERY_ENTRIES_MAX {
            true => look_through(subscriptions, &filters, from, pager.rows()),
            false => ask_each(subscriptions, &clients.sessions, &filters, from, pager),
        };
        let mut stamp = 0;
        for one in &found {
            let &(session, filter, options) = one;
            let mut name = String::new();
            subscriptions.filter_name(filter, &mut name);
            let names = (None, &*name);
            let row = row(
                &mut clients.sessions,
                (wanted, &mut stamp),
                session,
                names,
                options,
            );
            let Some(row) = row else {
                continue;
            };
            if !pager.takes(row.name_bytes()) {
                return Some(key(one));
            }
            rows.push(row);
        }
        next
    }

    /// The filters that are asked for, by their numbers.
    fn filters_of(&mut self, wanted: &Wanted) -> SmallVec<[FilterId; 8]> {
        let mut filters = SmallVec::new();
        match wanted {
            Wanted::Topic(topic) => {
                // Whoever asks may name any topic: the cache is for those of PUBLISH.
                let subscriptions = &self.routing.subscriptions;
                let visited = subscriptions.matching_once(topic, &mut filters);
                self.clients.memory.turn.count_match(visited);
            }
            Wanted::Filter {
                share: None,
                filter,
            } => filters.extend(self.routing.subscriptions.find(filter)),
            Wanted::Filter { share: Some(_), .. } => {}
        }
        filters.sort_unstable();
        filters
    }

    /// The members on this shard of shared subscriptions. Returns where to go on.
    fn shared_subscribers(
        &mut self,
        wanted: &Wanted,
        (mut group, mut member): Key,
        pager: &mut Pager,
        rows: &mut Vec<SubscriptionRow>,
    ) -> Option<WhoFrom> {
        let (sessions, guests) = (&mut self.clients.sessions, &self.routing.guests);
        let mut stamp = 0;
        while let Some(of) = guests.at(GroupId(group)) {
            let members = match wanted.is_group(&of.group, &of.filter) {
                true => of.members(),
                false => &[],
            };
            while let Some(one) = members.get(member as usize) {
                if !pager.goes_on() {
                    return Some(WhoFrom::Shared(group, member));
                }
                pager.look(1);
                let names = (Some(&*of.group), &*of.filter);
                let row = row(
                    sessions,
                    (wanted, &mut stamp),
                    one.session,
                    names,
                    one.options,
                );
                if let Some(row) = row {
                    if !pager.takes(row.name_bytes()) {
                        return Some(WhoFrom::Shared(group, member));
                    }
                    rows.push(row);
                }
                member += 1;
            }
            (group, member) = (group + 1, 0);
            if !pager.goes_on() {
                return Some(WhoFrom::Shared(group, member));
            }
            pager.look(1);
        }
        None
    }
}

impl Wanted {
    /// Whether a shared subscription is meant.
    fn is_group(&self, group: &str, filter: &str) -> bool {
        match self {
            Wanted::Topic(topic) => topic::matches(filter, topic),
            Wanted::Filter {
                share,
                filter: wanted,
            } => **wanted == *filter && share.as_deref().is_none_or(|share| share == group),
        }
    }
}

/// Looks through all entries of the filters for those that come next.
fn look_through(
    subscriptions: &Subscriptions,
    filters: &[FilterId],
    from: Key,
    most: usize,
) -> (Vec<Found>, Option<Key>) {
    let mut found: Vec<Found> = Vec::new();
    for &filter in filters {
        let entries = subscriptions.entries(filter).iter();
        let sessions = entries.filter_map(|entry| {
            let session = entry.as_session()?;
            Some((session, filter, entry.options()))
        });
        found.extend(sessions.filter(|one| key(one) >= from));
    }
    let mut next = None;
    if found.len() > most {
        let (_, first_left, _) = found.select_nth_unstable_by_key(most, key);
        next = Some(key(first_left));
        found.truncate(most);
    }
    found.sort_unstable_by_key(key);
    (found, next)
}

/// Asks one session after the other for its entries.
fn ask_each(
    subscriptions: &Subscriptions,
    sessions: &Sessions,
    filters: &[FilterId],
    (mut place, mut first): Key,
    pager: &mut Pager,
) -> (Vec<Found>, Option<Key>) {
    let mut found = Vec::new();
    while (place as usize) < sessions.places() {
        let session = SessionId(place);
        pager.look(1);
        let is_one = sessions.get(session).is_some();
        for &filter in filters.iter().filter(|_| is_one) {
            if filter.number() < first {
                continue;
            }
            if !pager.goes_on() || found.len() >= pager.rows() {
                return (found, Some((place, filter.number())));
            }
            pager.look(1);
            if let Some(entry) = subscriptions.entry(filter, Target::Session(session)) {
                found.push((session, filter, entry.options()));
            }
        }
        (place, first) = (place + 1, 0);
        if !pager.goes_on() {
            return (found, Some((place, 0)));
        }
    }
    (found, None)
}

/// A subscription, if there is its session.
fn row(
    sessions: &mut Sessions,
    (wanted, stamp): (&Wanted, &mut u64),
    session: SessionId,
    (share, filter): (Option<&str>, &str),
    options: EntryOptions,
) -> Option<SubscriptionRow> {
    let may_read = match wanted {
        Wanted::Topic(topic) => Some(sessions.may_read(session, topic, stamp)),
        Wanted::Filter { .. } => None,
    };
    let client = sessions.get(session)?.client_id().into();
    Some(SubscriptionRow {
        client,
        share: share.map(Box::from),
        filter: filter.into(),
        options,
        is_connected: sessions.conn_of(session).is_some(),
        may_read,
    })
}
