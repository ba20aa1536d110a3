//! The clients that lag most, of all shards: in `$SYS/broker/firehose/slowest/`, and in the log when SIGUSR2 asks.

use super::log::Log;
use super::queries::Asking;
use crate::broker::{ClientRow, LogKind, Order, Which};
use crate::escape::Name;
use crate::limits;

/// A client that lags, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lag {
    client: Box<str>,
    /// Bytes that wait for it: in its output and with its session.
    bytes: u64,
    /// Messages that wait for it; of those in its output as many as its first ones make likely.
    messages: u64,
    /// Seconds since its socket has taken something, while it has more to take.
    seconds: u64,
    /// Seconds for which it has not acknowledged the oldest message in flight, as far as it was looked.
    unacknowledged: u32,
    /// What happens when it is too slow; empty without a policy of its own.
    policy: &'static str,
}

impl Lag {
    /// `None` of a client that has just gone.
    fn of(row: ClientRow) -> Option<Lag> {
        let connection = row.connection?;
        Some(Lag {
            client: row.client,
            bytes: row.bytes,
            messages: row.messages,
            seconds: connection.lag_s,
            unacknowledged: connection.unacknowledged_s,
            policy: connection.policy,
        })
    }
}

/// Asks all shards; those that do not answer in their time are left out.
pub(super) async fn slowest(asking: &Asking) -> Vec<Lag> {
    let which = Which {
        is_connected: Some(true),
        ..Which::default()
    };
    let found = asking.ranked(which, Order::Slowest, None, limits::SLOWEST_SHOWN);
    let rows = found.await.map(|list| list.rows).unwrap_or_default();
    rows.into_iter().filter_map(Lag::of).collect()
}

/// Writes them to the log.
pub(super) fn tell(log: &Log, slowest: &[Lag]) {
    if slowest.is_empty() {
        log.write(LogKind::Notice, "SIGUSR2: no client lags.".into());
    }
    for (rank, lag) in slowest.iter().enumerate() {
        let policy = match lag.policy {
            "" => String::new(),
            policy => format!(", policy {policy}"),
        };
        let stuck = match lag.unacknowledged {
            0 => String::new(),
            seconds => format!(", not acknowledged the oldest for {seconds} s"),
        };
        let text = format!(
            "SIGUSR2: slowest {}: {} has {} bytes waiting, some {} messages, and has taken nothing for {} s{stuck}{policy}.",
            rank + 1,
            Name(&lag.client),
            lag.bytes,
            lag.messages,
            lag.seconds,
        );
        log.write(LogKind::Notice, text);
    }
}

/// Names and values for `$SYS`, by rank; empty values for ranks that nobody has.
pub(super) fn values(slowest: &[Lag]) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for rank in 0..limits::SLOWEST_SHOWN {
        let lag = slowest.get(rank);
        let mut set = |name: &str, value: Option<String>| {
            let name = format!("firehose/slowest/{}/{name}", rank + 1);
            all.push((name, value.unwrap_or_default()));
        };
        set("client", lag.map(|lag| lag.client.to_string()));
        set("bytes", lag.map(|lag| lag.bytes.to_string()));
        set("messages", lag.map(|lag| lag.messages.to_string()));
        set("seconds", lag.map(|lag| lag.seconds.to_string()));
        set(
            "unacknowledged",
            lag.map(|lag| lag.unacknowledged.to_string()),
        );
        set("policy", lag.map(|lag| lag.policy.to_string()));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_without_a_client_are_emptied() {
        let lag = Lag {
            client: "c".into(),
            bytes: 7,
            messages: 2,
            seconds: 3,
            unacknowledged: 0,
            policy: "latest",
        };
        let all = values(&[lag]);
        assert_eq!(all.len(), 6 * limits::SLOWEST_SHOWN);
        assert_eq!(all[0], ("firehose/slowest/1/client".into(), "c".into()));
        assert_eq!(all[6], ("firehose/slowest/2/client".into(), String::new()));
    }
}
