//! What `/metrics` says of each shard: how its turns and sends were distributed since the start, what they took of the time.

use std::collections::BTreeMap;
use std::time::Duration;

/// The part of them below which a quantile is.
const QUANTILE: f64 = 0.99;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Scrape {
    /// Since the program began to look.
    pub at: Duration,
    pub shards: BTreeMap<u64, OfShard>,
}

/// What one shard has counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct OfShard {
    pub busy_s: Option<f64>,
    pub sends: Option<f64>,
    pub turns: Buckets,
    pub deliveries: Buckets,
    /// What the broker has worked out itself.
    pub told: Option<Told>,
}

/// What a broker says of a shard since it said so last (`$SYS`).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Told {
    /// The part of the time that was spent in turns.
    pub busy: Option<f64>,
    /// Seconds.
    pub turn_p99: Option<f64>,
    /// Seconds.
    pub delivery_p99: Option<f64>,
}

/// A histogram: by upper bound in seconds, how many were not above it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Buckets(Vec<(f64, f64)>);

impl Scrape {
    /// Of a page of Prometheus' text form.
    pub(super) fn of(text: &str, at: Duration) -> Scrape {
        let mut shards: BTreeMap<u64, OfShard> = BTreeMap::new();
        for line in text.lines() {
            let Some((name, labels, value)) = parts(line) else {
                continue;
            };
            let Some(shard) = label(labels, "shard").and_then(|shard| shard.parse().ok()) else {
                continue;
            };
            let of = shards.entry(shard).or_default();
            let buckets = match name {
                "firehose_shard_busy_seconds_total" => {
                    of.busy_s = Some(value);
                    continue;
                }
                "firehose_sends_total" => {
                    of.sends = Some(value);
                    continue;
                }
                "firehose_turn_seconds_bucket" => &mut of.turns,
                "firehose_delivery_seconds_bucket" => &mut of.deliveries,
                _ => continue,
            };
            // "+Inf" is a number to the standard library.
            if let Some(bound) = label(labels, "le").and_then(|bound| bound.parse().ok()) {
                buckets.0.push((bound, value));
            }
        }
        Scrape { at, shards }
    }
}

/// Name, labels and value of a sample.
fn parts(line: &str) -> Option<(&str, &str, f64)> {
    let (name, rest) = line.split_once('{')?;
    let (labels, value) = rest.rsplit_once('}')?;
    Some((name, labels, value.split_whitespace().next()?.parse().ok()?))
}

/// The value of a label. Those that are looked for have nothing in them that is escaped.
fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let mut labels = labels.split(',');
    labels.find_map(|label| {
        let value = label.strip_prefix(name)?.strip_prefix("=\"")?;
        value.strip_suffix('"')
    })
}

impl Buckets {
    /// Seconds that 99 of 100 did not exceed of those that came after `before`: between two bounds in proportion, as Prometheus has it.
    /// `None` if there were none.
    pub(super) fn p99_since(&self, before: &Buckets) -> Option<f64> {
        let bounds = self.0.iter().map(|&(bound, _)| bound);
        if !bounds.eq(before.0.iter().map(|&(bound, _)| bound)) {
            return None;
        }
        let added = self.0.iter().zip(&before.0);
        let added: Vec<(f64, f64)> = added
            .map(|(&(bound, now), &(_, before))| (bound, now - before))
            .collect();
        let &(_, all) = added.last()?;
        if all <= 0.0 {
            return None;
        }
        let rank = QUANTILE * all;
        let (mut below, mut counted) = (0.0, 0.0);
        for (bound, count) in added {
            if count >= rank {
                let part = (rank - counted) / (count - counted);
                // Above the last bound nothing is known.
                return Some(match bound.is_finite() {
                    true => below + (bound - below) * part,
                    false => below,
                });
            }
            (below, counted) = (bound, count);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# HELP firehose_turn_seconds How long.
# TYPE firehose_turn_seconds histogram
firehose_turn_seconds_bucket{shard=\"1\",le=\"0.001\"} 50
firehose_turn_seconds_bucket{shard=\"1\",le=\"0.002\"} 100
firehose_turn_seconds_bucket{shard=\"1\",le=\"+Inf\"} 100
firehose_shard_busy_seconds_total{shard=\"1\"} 0.25
firehose_sends_total{shard=\"0\"} 7
firehose_memory_account_bytes{account=\"shard\"} 1
firehose_clients_connected 3
firehose_sends_total{shard=\"x\"} 7
}{
";

    #[test]
    fn a_page_is_read_by_shard() {
        let scrape = Scrape::of(PAGE, Duration::ZERO);
        assert_eq!(scrape.shards.len(), 2);
        assert_eq!(scrape.shards[&0].sends, Some(7.0));
        assert_eq!(scrape.shards[&1].busy_s, Some(0.25));
        let bounds = [(0.001, 50.0), (0.002, 100.0), (f64::INFINITY, 100.0)];
        assert_eq!(scrape.shards[&1].turns, Buckets(bounds.into()));
    }

    #[test]
    fn a_quantile_is_of_what_has_come_since() {
        let buckets = |counts: [f64; 3]| {
            let bounds = [0.001, 0.002, f64::INFINITY];
            Buckets(bounds.into_iter().zip(counts).collect())
        };
        let before = buckets([1000.0, 1000.0, 1000.0]);
        assert_eq!(before.p99_since(&before), None);
        let p99 = buckets([1000.0, 1100.0, 1100.0]).p99_since(&before);
        assert!((p99.unwrap() - 0.001_99).abs() < 1e-9);
        let p99 = buckets([1100.0, 1100.0, 1100.0]).p99_since(&before);
        assert!((p99.unwrap() - 0.000_99).abs() < 1e-9);
        assert_eq!(
            buckets([1000.0, 1000.0, 1100.0]).p99_since(&before),
            Some(0.002)
        );
        // Another broker, which has begun anew.
        assert_eq!(buckets([1.0, 1.0, 1.0]).p99_since(&before), None);
        assert_eq!(before.p99_since(&Buckets::default()), None);
    }
}
