//! The clients that lag most, of all shards: in `$SYS/broker/firehose/slowest/`, and in the log when SIGUSR2 asks.

use std::time::Duration;

use crossbeam_channel::bounded;
use glommio::timer;

use super::log::Log;
use crate::broker::{Lag, LogKind};
use crate::escape::Name;
use crate::limits;
use crate::shard::{ShardCommand, ShardHandle};

/// Asks all shards; those that do not answer in `limits::REPORT_MS` are left out.
pub(super) async fn slowest(shards: &[ShardHandle]) -> Vec<Lag> {
    let (to, answers) = bounded(shards.len().max(1));
    for shard in shards {
        // One with too many commands waiting does not answer.
        let _ = shard.send(ShardCommand::Slowest(to.clone()));
    }
    timer::sleep(Duration::from_millis(limits::REPORT_MS)).await;
    let mut all: Vec<Lag> = answers.try_iter().flatten().collect();
    all.sort_by_key(|lag| std::cmp::Reverse(lag.bytes));
    all.truncate(limits::SLOWEST_SHOWN);
    all
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
