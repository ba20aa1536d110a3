//! Clients in an order, over all shards: each shard looks at a part of its sessions at a time and gives those of them that come first;
//! here those of all parts are put together (docs/decisions/0912).

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use super::asking::Asking;
use super::paged::{List, charge};
use super::refusal::Refusal;
use crate::broker::{ClientRow, Order, Query, Ranked, RankedPage, Ranking, Reply, Which};
use crate::budget::{Account, Charge, Plan, Pool};
use crate::ids::{SessionRef, ShardId};
use crate::limits;

/// The first ones so far.
struct First {
    limit: usize,
    rows: Vec<(ShardId, Ranked)>,
    /// Nothing is known of names behind this one.
    horizon: Option<Box<str>>,
}

/// What all shards have said, and which of them have said nothing, or not all.
struct Gathered {
    first: First,
    missing: Vec<u8>,
    unfinished: Vec<u8>,
}

impl First {
    fn add(&mut self, shard: ShardId, page: RankedPage) {
        self.rows
            .extend(page.rows.into_iter().map(|ranked| (shard, ranked)));
        if let Some(horizon) = page.horizon
            && self.horizon.as_ref().is_none_or(|known| horizon < *known)
        {
            self.horizon = Some(horizon);
        }
        if self.rows.len() >= 2 * self.limit {
            self.cut();
        }
    }

    /// Leaves as many as are wanted.
    fn cut(&mut self) {
        self.rows.sort_unstable_by(|(_, one), (_, other)| {
            let key = |ranked: &Ranked| (Reverse(ranked.figure), ranked.session.serial);
            let by_figure = || key(one).cmp(&key(other));
            match one.figure == other.figure {
                true => one.name.cmp(&other.name).then_with(by_figure),
                false => by_figure(),
            }
        });
        if let Some(horizon) = &self.horizon {
            self.rows.retain(|(_, ranked)| ranked.name <= *horizon);
        }
        self.rows.truncate(self.limit);
        // Names may be as long as a packet allows. The first one is there always.
        let mut bytes = 0;
        let within = self.rows.iter().take_while(|(_, ranked)| {
            let fits = bytes < limits::ANSWER_BYTES_MAX;
            bytes += ranked.name.len();
            fits
        });
        let within = within.count();
        if let Some((_, behind)) = self.rows.get(within.saturating_sub(1))
            && within < self.rows.len()
        {
            self.horizon = Some(behind.name.clone());
            self.rows.truncate(within);
        }
    }
}

impl Asking {
    /// The clients that come first in an order, at most so many; in the order of names those behind `after`.
    pub(crate) async fn ranked(
        &self,
        which: Which,
        order: Order,
        after: Option<Box<str>>,
        limit: usize,
    ) -> Result<List<ClientRow>, Refusal> {
        let limit = limit.clamp(1, limits::ANSWER_ROWS_MAX);
        let ranking = Ranking {
            which,
            order,
            after,
            from: 0,
            limit,
        };
        let Gathered {
            mut first,
            mut missing,
            unfinished,
        } = self.gather(ranking).await;
        first.cut();
        let is_more = first.rows.len() == limit || first.horizon.is_some();
        let last = first.rows.last().map(|(_, ranked)| ranked.name.to_string());
        let next = last.filter(|_| order == Order::Name && is_more);
        let held = match order {
            // The broker asks for itself, for a few rows, whether anybody can ask over HTTP or not.
            Order::Slowest => uncharged(),
            _ => self.held(),
        };
        let held = (held, &mut missing);
        let (rows, held) = self.rows_in_order(&first.rows, held).await?;
        missing.sort_unstable();
        missing.dedup();
        Ok(List {
            rows,
            next,
            missing,
            unfinished,
            _held: held,
        })
    }

    /// Asks all shards, each for as many pages as one answer may have.
    async fn gather(&self, mut ranking: Ranking) -> Gathered {
        let mut first = First {
            limit: ranking.limit,
            rows: Vec::new(),
            horizon: None,
        };
        let mut missing = Vec::new();
        let mut from: Vec<(ShardId, u32)> = (0..self.shards())
            .map(|shard| (ShardId(shard), 0))
            .collect();
        for _ in 0..limits::QUERY_PAGES_MAX {
            if from.is_empty() {
                break;
            }
            let questions = from.iter().map(|&(shard, from)| {
                ranking.from = from;
                (shard, Query::Ranking(ranking.clone()))
            });
            let questions: Vec<(ShardId, Query)> = questions.collect();
            from.clear();
            for (shard, reply) in self.ask_each(questions).await {
                let Some(Reply::Ranked(page)) = reply else {
                    missing.push(shard.0);
                    continue;
                };
                from.extend(page.next.map(|next| (shard, next)));
                first.add(shard, page);
            }
        }
        // What is left was too much for one answer.
        let unfinished = from.iter().map(|(shard, _)| shard.0).collect();
        Gathered {
            first,
            missing,
            unfinished,
        }
    }

    /// The rows of these sessions, as far as there are any more.
    async fn rows_in_order(
        &self,
        ranked: &[(ShardId, Ranked)],
        (mut held, missing): (Charge, &mut Vec<u8>),
    ) -> Result<(Vec<ClientRow>, Charge), Refusal> {
        let mut rows: HashMap<SessionRef, ClientRow> = HashMap::new();
        for shard in (0..self.shards()).map(ShardId) {
            let of_shard = ranked.iter().filter(|(of, _)| *of == shard);
            let all: Vec<SessionRef> = of_shard.map(|(_, ranked)| ranked.session).collect();
            let mut left = &all[..];
            while !left.is_empty() {
                let (now, later) = left.split_at(left.len().min(limits::QUERY_ROWS_MAX));
                let Some(Reply::Clients(page)) = self.ask(shard, Query::Rows(now.to_vec())).await
                else {
                    missing.push(shard.0);
                    break;
                };
                charge(&mut held, page.rows.iter().map(ClientRow::name_bytes))?;
                rows.extend(page.rows.into_iter().map(|row| (row.session, row)));
                left = match page.next {
                    Some(next) => left.get(next as usize..).unwrap_or_default(),
                    None => later,
                };
            }
        }
        let rows = ranked
            .iter()
            .map(|(_, ranked)| rows.remove(&ranked.session));
        Ok((rows.flatten().collect(), held))
    }
}

/// Of no account.
fn uncharged() -> Charge {
    let pool = Pool::new(&Plan::unbounded(), 1);
    Charge::new(Arc::new(pool), Account::Http)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SessionId;

    fn ranked(figure: u64, name: &str, serial: u64) -> Ranked {
        let id = SessionId(0);
        Ranked {
            figure,
            name: name.into(),
            session: SessionRef { id, serial },
        }
    }

    fn page(rows: Vec<Ranked>, horizon: Option<&str>) -> RankedPage {
        RankedPage {
            rows,
            next: None,
            horizon: horizon.map(Box::from),
        }
    }

    #[test]
    fn the_greatest_figures_of_all_parts_come_first() {
        let mut first = First {
            limit: 2,
            rows: Vec::new(),
            horizon: None,
        };
        for serial in 0..9 {
            let figure = (serial * 5) % 9;
            first.add(
                ShardId((serial % 2) as u8),
                page(vec![ranked(figure, "", serial)], None),
            );
        }
        first.cut();
        let figures: Vec<u64> = first.rows.iter().map(|(_, ranked)| ranked.figure).collect();
        assert_eq!(figures, [8, 7]);
    }

    /// The first thousand of names of 64 KB each would be 64 MB.
    #[test]
    fn an_answer_has_so_many_bytes_of_names() {
        let mut first = First {
            limit: limits::ANSWER_ROWS_MAX,
            rows: Vec::new(),
            horizon: None,
        };
        for number in 0..200 {
            let name = format!("{number:03}{}", "x".repeat(60_000));
            first.add(ShardId(0), page(vec![ranked(0, &name, number)], None));
        }
        first.cut();
        let bytes: usize = first.rows.iter().map(|(_, ranked)| ranked.name.len()).sum();
        assert!(bytes < limits::ANSWER_BYTES_MAX + 60_003, "{bytes}");
        assert_eq!(
            first.horizon.as_deref(),
            first.rows.last().map(|(_, last)| &*last.name)
        );
    }

    /// A part had no room for names behind "b": "c" of another part may not be the next one.
    #[test]
    fn names_behind_the_nearest_horizon_are_left_for_the_next_page() {
        let mut first = First {
            limit: 10,
            rows: Vec::new(),
            horizon: None,
        };
        let one = vec![ranked(0, "a", 1), ranked(0, "b", 2)];
        let other = vec![ranked(0, "aa", 3), ranked(0, "c", 4)];
        first.add(ShardId(0), page(one, Some("b")));
        first.add(ShardId(1), page(other, None));
        first.cut();
        let names = first.rows.iter().map(|(_, ranked)| &*ranked.name);
        assert_eq!(names.collect::<Vec<_>>(), ["a", "aa", "b"]);
    }
}
