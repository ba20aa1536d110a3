//! Lists over all shards, one shard after the other, and in each from place to place: who asks for the next page says where the last
//! one ended. What stays where it is meanwhile comes exactly once.

use super::asking::Asking;
use super::refusal::Refusal;
use crate::broker::{
    ClientRow, Page, Query, Reply, RetainedRow, SubscriptionRow, Wanted, Which, WhoFrom, home,
};
use crate::budget::Charge;
use crate::ids::ShardId;
use crate::limits;
use crate::routing::Cursor;

/// A list over shards.
pub(crate) struct List<T> {
    /// The rows of one page.
    pub rows: Vec<T>,
    /// What to ask for the next one with; `None` if that was all.
    pub next: Option<String>,
    /// Shards that have not answered, whose rows are not there.
    pub missing: Vec<u8>,
    /// Shards with more than is looked at for one answer, of which nobody can ask for the rest.
    pub unfinished: Vec<u8>,
    /// What its rows are charged with.
    pub _held: Charge,
}

/// Bytes of a row beside its names, and of what is made of it.
const ROW_BYTES: usize = 512;

/// Charges rows with so many bytes of names each.
///
/// # Errors
/// 503: others hold too much.
pub(super) fn charge(held: &mut Charge, rows: impl Iterator<Item = usize>) -> Result<(), Refusal> {
    let bytes: usize = rows.map(|names| names + ROW_BYTES).sum();
    match held.take(bytes as u64, limits::HTTP_PROBE_BYTES) {
        true => Ok(()),
        false => Err(Refusal::no_memory()),
    }
}

/// What is listed.
pub(crate) trait Paged {
    /// A row of it.
    type Row;
    /// Where a shard goes on.
    type From;

    /// The start of a shard.
    fn start(&self) -> Self::From;
    /// The question for the next rows of a shard.
    fn query(&self, from: Self::From, limit: usize) -> Query;
    /// The answer to it.
    fn page(reply: Reply) -> Option<Page<Self::Row, Self::From>>;
    /// Bytes of names in a row.
    fn weight(row: &Self::Row) -> usize;
    /// A place as text, and back.
    fn text(from: &Self::From) -> String;
    /// `None` if it is no place.
    fn parse(text: &str) -> Option<Self::From>;
    /// The only shard that has it; `None` for all.
    fn home(&self, _shards: u8) -> Option<ShardId> {
        None
    }
}

impl Asking {
    /// A page of so many rows from where `after` says; from the start without it. It may have fewer rows although there are more.
    ///
    /// # Errors
    /// 400: `after` is no place of such a list. 503: others hold too much.
    pub(crate) async fn list<P: Paged>(
        &self,
        paged: &P,
        after: Option<&str>,
        limit: usize,
    ) -> Result<List<P::Row>, Refusal> {
        let limit = limit.clamp(1, limits::ANSWER_ROWS_MAX);
        let only = paged.home(self.shards());
        let first = only.map_or(0, |shard| shard.0);
        let end = only.map_or(self.shards(), |shard| shard.0 + 1);
        let (mut shard, mut from) = match after {
            Some(after) => place::<P>(after).ok_or_else(Refusal::no_place)?,
            None => (first, paged.start()),
        };
        let mut list = List {
            rows: Vec::new(),
            next: None,
            missing: Vec::new(),
            unfinished: Vec::new(),
            _held: self.held(),
        };
        let (mut bytes, mut pages) = (0, 0);
        while shard < end {
            let left = limit.saturating_sub(list.rows.len());
            let is_full = left == 0 || bytes >= limits::ANSWER_BYTES_MAX;
            if is_full || pages == limits::QUERY_PAGES_MAX {
                list.next = Some(format!("{shard}.{}", P::text(&from)));
                break;
            }
            pages += 1;
            let query = paged.query(from, left);
            let page = self.ask(ShardId(shard), query).await.and_then(P::page);
            let next = match page {
                Some(page) => {
                    bytes += page.rows.iter().map(P::weight).sum::<usize>();
                    charge(&mut list._held, page.rows.iter().map(P::weight))?;
                    list.rows.extend(page.rows);
                    page.next
                }
                None => {
                    list.missing.push(shard);
                    None
                }
            };
            (shard, from) = match next {
                Some(next) => (shard, next),
                None => (shard + 1, paged.start()),
            };
        }
        Ok(list)
    }
}

fn place<P: Paged>(after: &str) -> Option<(u8, P::From)> {
    let (shard, from) = after.split_once('.')?;
    Some((shard.parse().ok()?, P::parse(from)?))
}

/// Sessions, in the order of their places.
pub(crate) struct Clients(pub Which);

impl Paged for Clients {
    type Row = ClientRow;
    type From = u32;

    fn start(&self) -> u32 {
        0
    }

    fn query(&self, from: u32, limit: usize) -> Query {
        let which = self.0.clone();
        Query::Clients { which, from, limit }
    }

    fn page(reply: Reply) -> Option<Page<ClientRow, u32>> {
        match reply {
            Reply::Clients(page) => Some(page),
            _ => None,
        }
    }

    fn weight(row: &ClientRow) -> usize {
        row.name_bytes()
    }

    fn text(from: &u32) -> String {
        from.to_string()
    }

    fn parse(text: &str) -> Option<u32> {
        text.parse().ok()
    }
}

/// The subscriptions of one client.
pub(crate) struct SubscriptionsOf(pub Box<str>);

impl Paged for SubscriptionsOf {
    type Row = SubscriptionRow;
    type From = usize;

    fn start(&self) -> usize {
        0
    }

    fn query(&self, from: usize, limit: usize) -> Query {
        let client = self.0.clone();
        Query::SubscriptionsOf {
            client,
            from,
            limit,
        }
    }

    fn page(reply: Reply) -> Option<Page<SubscriptionRow, usize>> {
        match reply {
            Reply::SubscriptionsOf(page) => page.or(Some(Page {
                rows: Vec::new(),
                next: None,
            })),
            _ => None,
        }
    }

    fn weight(row: &SubscriptionRow) -> usize {
        row.name_bytes()
    }

    fn text(from: &usize) -> String {
        from.to_string()
    }

    fn parse(text: &str) -> Option<usize> {
        text.parse().ok()
    }

    fn home(&self, shards: u8) -> Option<ShardId> {
        Some(home(&self.0, shards))
    }
}

/// Who gets what.
pub(crate) struct Who(pub Wanted);

impl Paged for Who {
    type Row = SubscriptionRow;
    type From = WhoFrom;

    fn start(&self) -> WhoFrom {
        WhoFrom::START
    }

    fn query(&self, from: WhoFrom, limit: usize) -> Query {
        let wanted = self.0.clone();
        Query::Who {
            wanted,
            from,
            limit,
        }
    }

    fn page(reply: Reply) -> Option<Page<SubscriptionRow, WhoFrom>> {
        match reply {
            Reply::Who(page) => Some(page),
            _ => None,
        }
    }

    fn weight(row: &SubscriptionRow) -> usize {
        row.name_bytes()
    }

    fn text(from: &WhoFrom) -> String {
        match from {
            WhoFrom::Own(place, filter) => format!("o.{place}.{filter}"),
            WhoFrom::Shared(group, member) => format!("s.{group}.{member}"),
        }
    }

    fn parse(text: &str) -> Option<WhoFrom> {
        let (kind, numbers) = text.split_once('.')?;
        let (one, other) = numbers.split_once('.')?;
        let (one, other) = (one.parse().ok()?, other.parse().ok()?);
        match kind {
            "o" => Some(WhoFrom::Own(one, other)),
            "s" => Some(WhoFrom::Shared(one, other)),
            _ => None,
        }
    }
}

/// Retained messages that a filter matches.
pub(crate) struct Retained(pub Box<str>);

impl Paged for Retained {
    type Row = RetainedRow;
    type From = Cursor;

    fn start(&self) -> Cursor {
        Cursor::default()
    }

    fn query(&self, from: Cursor, limit: usize) -> Query {
        let filter = self.0.clone();
        Query::Retained {
            filter,
            from,
            limit,
        }
    }

    fn page(reply: Reply) -> Option<Page<RetainedRow, Cursor>> {
        match reply {
            Reply::Retained(page) => Some(page),
            _ => None,
        }
    }

    fn weight(row: &RetainedRow) -> usize {
        row.message.topic.len()
    }

    fn text(from: &Cursor) -> String {
        let (slot, scans) = from.place();
        format!("{slot}.{}", u8::from(scans))
    }

    fn parse(text: &str) -> Option<Cursor> {
        let (slot, scans) = text.split_once('.')?;
        let scans = match scans {
            "0" => false,
            "1" => true,
            _ => return None,
        };
        Some(Cursor::at(slot.parse().ok()?, scans))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_written() {
        for from in [WhoFrom::START, WhoFrom::Own(7, 9), WhoFrom::Shared(1, 2)] {
            assert_eq!(Who::parse(&Who::text(&from)), Some(from));
        }
        for from in [Cursor::default(), Cursor::at(5, true)] {
            assert_eq!(Retained::parse(&Retained::text(&from)), Some(from));
        }
        assert_eq!(place::<Clients>("3.17"), Some((3, 17)));
        for text in ["", "3", "3.", ".3", "256.1", "1.-1", "1.x", "1.4294967296"] {
            assert_eq!(place::<Clients>(text), None, "{text}");
        }
        for text in ["", "o", "o.1", "x.1.2", "o.1.2.3", "s..1"] {
            assert_eq!(Who::parse(text), None, "{text}");
        }
    }
}
