//! How figures are called in Prometheus: `firehose_`, whose they are, their own name, and the unit where the name has none. Some
//! share a name under a label that says which is which; some had a name that says too little by itself.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::control::sample::{Of, Sample};
use crate::figure::{Figure, Kind, Unit};

/// How a figure is shown.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Named {
    /// Without `_total`.
    pub family: String,
    pub kind: Kind,
    /// In the unit of the name.
    pub help: Cow<'static, str>,
    /// What tells it from others of the family.
    pub labels: &'static [(&'static str, &'static str)],
    /// Figures of the same owner that are not to be counted twice.
    pub less: &'static [&'static str],
    /// What its value is divided by, to be in the unit of the name.
    pub divisor: u64,
}

/// Whose a figure is, as far as its name goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Owner {
    /// The shards, each or together.
    Shards,
    Memory,
    Account,
    Rung,
    Store,
}

/// Names that have been worked out.
#[derive(Default)]
pub(super) struct Names(RefCell<HashMap<(Owner, &'static str), Rc<Named>>>);

impl Names {
    pub(super) fn of(&self, sample: &Sample) -> Rc<Named> {
        let owner = owner(sample.of);
        let mut known = self.0.borrow_mut();
        let named = known.entry((owner, sample.figure.name));
        named
            .or_insert_with(|| named_as(owner, sample.figure).into())
            .clone()
    }
}

fn owner(of: Of) -> Owner {
    match of {
        Of::Broker | Of::Shard(_) => Owner::Shards,
        Of::Memory => Owner::Memory,
        Of::Account(_) => Owner::Account,
        Of::Rung(_) => Owner::Rung,
        Of::Store => Owner::Store,
    }
}

/// What is said of a figure besides what it says itself.
struct Given {
    owner: Owner,
    figure: &'static str,
    /// Without `firehose_` and `_total`.
    family: &'static str,
    labels: &'static [(&'static str, &'static str)],
    less: &'static [&'static str],
    help: &'static str,
}

/// A name of its own.
const fn called(owner: Owner, figure: &'static str, family: &'static str) -> Given {
    Given {
        owner,
        figure,
        family,
        labels: &[],
        less: &[],
        help: "",
    }
}

/// One of several that share a name: `less` are those that it contains.
const fn part(
    figure: &'static str,
    (family, help): (&'static str, &'static str),
    labels: &'static [(&'static str, &'static str)],
    less: &'static [&'static str],
) -> Given {
    Given {
        owner: Owner::Shards,
        figure,
        family,
        labels,
        less,
        help,
    }
}

const PACKETS: (&str, &str) = (
    "packets",
    "Packets of every type, as they came and as they were queued for sending.",
);
const PUBLISHES: (&str, &str) = (
    "publishes",
    "PUBLISH packets, as they came and as they were queued for sending.",
);
const PAYLOAD: (&str, &str) = (
    "publish_payload_bytes",
    "Payload bytes of PUBLISH packets, as they came and as they were queued for sending.",
);
const DROPPED: (&str, &str) = (
    "publishes_dropped",
    "Messages dropped for one subscriber each: because too much waited for it, memory was short, they expired, were larger than it takes, no member of a shared subscription took them, or a newer one of their topic took their place.",
);
const HELD: (&str, &str) = (
    "publishers_held",
    "Times that a publisher was made to wait: it published too fast, memory was short, the turn had delivered what it may, or owners of topics were asked.",
);
const REFUSED: (&str, &str) = (
    "connections_refused",
    "Connections closed at once: too many of their address, no memory, or another limit.",
);
const UNTAKEN: (&str, &str) = (
    "publishes_refused",
    "PUBLISH packets that were not passed on, or not retained: no right, payload or topic too large, no memory to retain it.",
);
const CLOSED: (&str, &str) = (
    "connections_closed",
    "Connections closed by the broker, by reason: slow by policy, took no byte for too long, a packet too slow or without memory, rules of transport or protocol broken, memory short for a transport or its handshake.",
);
const CONNECTS: (&str, &str) = ("connects", "CONNECTs, by what became of them.");
const CONNECTS_REFUSED: (&str, &str) = ("connects_refused", "CONNECTs refused, by reason.");
const HANDSHAKES: (&str, &str) = (
    "tls_handshakes",
    "TLS handshakes that were completed: full ones, and those that went on with an earlier session.",
);

const VERSIONS: (&str, &str) = (
    "clients_by_version",
    "Clients connected, by the version of MQTT that they speak.",
);

const RECEIVED: &[(&str, &str)] = &[("direction", "received")];
const SENT: &[(&str, &str)] = &[("direction", "sent")];

const RECEIVED_QOS: [&[(&str, &str)]; 3] = [
    &[("direction", "received"), ("qos", "0")],
    &[("direction", "received"), ("qos", "1")],
    &[("direction", "received"), ("qos", "2")],
];
const SENT_QOS: [&[(&str, &str)]; 3] = [
    &[("direction", "sent"), ("qos", "0")],
    &[("direction", "sent"), ("qos", "1")],
    &[("direction", "sent"), ("qos", "2")],
];

use Owner::{Account, Memory, Rung, Shards, Store};

#[rustfmt::skip]
static GIVEN: &[Given] = &[
    called(Shards, "bytes_received", "receive_bytes"),
    called(Shards, "bytes_sent", "send_bytes"),
    part("packets_received", PACKETS, RECEIVED, &[]),
    part("packets_sent", PACKETS, SENT, &[]),
    part("publish_received", PUBLISHES, RECEIVED_QOS[0], &["publish_received_qos1", "publish_received_qos2"]),
    part("publish_received_qos1", PUBLISHES, RECEIVED_QOS[1], &[]),
    part("publish_received_qos2", PUBLISHES, RECEIVED_QOS[2], &[]),
    part("publish_sent", PUBLISHES, SENT_QOS[0], &["publish_sent_qos1", "publish_sent_qos2"]),
    part("publish_sent_qos1", PUBLISHES, SENT_QOS[1], &[]),
    part("publish_sent_qos2", PUBLISHES, SENT_QOS[2], &[]),
    part("publish_bytes_received", PAYLOAD, RECEIVED, &[]),
    part("publish_bytes_sent", PAYLOAD, SENT, &[]),
    part("publish_dropped", DROPPED, &[("reason", "queue")], &["publish_replaced", "publish_dropped_expired", "publish_dropped_large", "publish_dropped_untaken", "backlog_refused"]),
    part("publish_dropped_expired", DROPPED, &[("reason", "expired")], &[]),
    part("publish_dropped_large", DROPPED, &[("reason", "packet_size")], &[]),
    part("publish_dropped_untaken", DROPPED, &[("reason", "untaken")], &[]),
    part("backlog_refused", DROPPED, &[("reason", "memory")], &[]),
    part("publish_replaced", DROPPED, &[("reason", "replaced")], &[]),
    part("publish_paused", HELD, &[("reason", "rate")], &[]),
    part("publish_slowed", HELD, &[("reason", "memory")], &[]),
    part("publish_cut", HELD, &[("reason", "turn")], &[]),
    part("publish_awaited", HELD, &[("reason", "asking")], &[]),
    part("publish_denied", UNTAKEN, &[("reason", "right")], &[]),
    part("publish_oversize", UNTAKEN, &[("reason", "payload_size")], &[]),
    part("topics_refused", UNTAKEN, &[("reason", "topic")], &[]),
    part("retained_refused", UNTAKEN, &[("reason", "retained_memory")], &[]),
    called(Shards, "subscribe_cut", "subscribers_held"),
    called(Shards, "clients_disconnected", "clients_away"),
    part("clients_v31", VERSIONS, &[("version", "3.1")], &[]),
    part("clients_v311", VERSIONS, &[("version", "3.1.1")], &[]),
    part("clients_v5", VERSIONS, &[("version", "5")], &[]),
    called(Shards, "clients_maximum", "clients_connected_maximum"),
    called(Shards, "clients_expired", "sessions_expired"),
    part("clients_slow", CLOSED, &[("reason", "slow")], &[]),
    part("stalled", CLOSED, &[("reason", "stalled")], &[]),
    part("packets_refused", CLOSED, &[("reason", "packet_memory")], &[]),
    part("packets_too_slow", CLOSED, &[("reason", "slow_packet")], &[]),
    part("transport_failed", CLOSED, &[("reason", "transport")], &[]),
    part("transports_refused", CLOSED, &[("reason", "transport_memory")], &[]),
    part("handshakes_refused", CLOSED, &[("reason", "handshakes")], &[]),
    part("protocol_errors", CLOSED, &[("reason", "protocol")], &[]),
    called(Shards, "shed", "memory_shed"),
    called(Shards, "trims", "memory_trims"),
    called(Shards, "subscriptions_short", "subscriptions_refused_for_memory"),
    called(Shards, "unkept_refused", "refused_for_disk"),
    part("connects_accepted", CONNECTS, &[("result", "accepted")], &[]),
    part("connects_refused", CONNECTS, &[("result", "refused")], &[]),
    part("connects_refused_login", CONNECTS_REFUSED, &[("reason", "login")], &[]),
    part("connects_refused_version", CONNECTS_REFUSED, &[("reason", "version")], &[]),
    part("connects_refused_client_id", CONNECTS_REFUSED, &[("reason", "client_id")], &[]),
    part("connects_refused_malformed", CONNECTS_REFUSED, &[("reason", "malformed")], &[]),
    part("connects_refused_busy", CONNECTS_REFUSED, &[("reason", "busy")], &[]),
    part("connects_refused_other", CONNECTS_REFUSED, &[("reason", "other")], &[]),
    part("refused", REFUSED, &[("reason", "limit")], &["refused_by_address", "refused_for_memory"]),
    part("refused_by_address", REFUSED, &[("reason", "address")], &[]),
    part("refused_for_memory", REFUSED, &[("reason", "memory")], &[]),
    part("tls_handshakes", HANDSHAKES, &[("resumed", "false")], &["tls_resumed"]),
    part("tls_resumed", HANDSHAKES, &[("resumed", "true")], &[]),
    called(Shards, "accepted", "sockets_accepted"),
    called(Shards, "connections", "sockets"),
    called(Shards, "connections_limit", "sockets_limit"),
    called(Shards, "connections_maximum", "sockets_maximum"),
    called(Shards, "overloaded_turns", "turns_overloaded"),
    called(Shards, "starved", "receives_starved"),
    called(Shards, "given", "connections_given"),
    called(Shards, "adopted", "connections_adopted"),
    called(Shards, "handover_failed", "connections_lost_between_shards"),
    called(Shards, "stray", "completions_stray"),
    called(Shards, "log_dropped", "log_lines_dropped"),
    called(Shards, "log_refused", "log_lines_refused"),
    called(Memory, "permille", "memory_level_ratio"),
    called(Memory, "stalled_percent", "memory_pressure_ratio"),
    called(Memory, "used", "memory_leased_bytes"),
    called(Account, "used", "memory_account_bytes"),
    called(Account, "limit", "memory_account_limit_bytes"),
    called(Rung, "entered", "memory_rung_entered"),
    called(Rung, "seconds", "memory_rung_seconds"),
    called(Store, "bytes", "store_written_bytes"),
    called(Store, "sync_us", "store_sync_seconds"),
    called(Store, "sync_max_us", "store_sync_longest_seconds"),
];

fn named_as(owner: Owner, figure: Figure) -> Named {
    let mut all = GIVEN.iter();
    let given = all.find(|given| (given.owner, given.figure) == (owner, figure.name));
    let (family, labels, less, help) = match given {
        Some(given) => (given.family.into(), given.labels, given.less, given.help),
        None => (by_itself(owner, figure), &[][..], &[][..], ""),
    };
    Named {
        family: format!("firehose_{family}"),
        kind: figure.kind,
        help: in_unit(
            if help.is_empty() { figure.help } else { help },
            figure.unit,
        ),
        labels,
        less,
        divisor: match figure.unit {
            Unit::Number | Unit::Bytes | Unit::Seconds => 1,
            Unit::Percent => 100,
            Unit::Permille => 1000,
            Unit::Microseconds => 1_000_000,
        },
    }
}

/// What a figure says, in the unit that it is shown in. Where it begins with another one, it begins with that of the figure.
fn in_unit(help: &'static str, unit: Unit) -> Cow<'static, str> {
    let (own, shown) = match unit {
        Unit::Microseconds => ("Microseconds", "Seconds"),
        Unit::Permille => ("Thousandths ", "Part "),
        Unit::Percent => ("Hundredths ", "Part "),
        Unit::Number | Unit::Bytes | Unit::Seconds => return help.into(),
    };
    match help.strip_prefix(own) {
        Some(rest) => format!("{shown}{rest}").into(),
        None => help.into(),
    }
}

/// The name of a figure that nobody has given another one.
fn by_itself(owner: Owner, figure: Figure) -> String {
    let owner = match owner {
        Shards => "",
        Memory => "memory_",
        Account => "memory_account_",
        Rung => "memory_rung_",
        Store => "store_",
    };
    let name = figure.name.replace('/', "_");
    let (old, new) = match figure.unit {
        Unit::Number => ("", ""),
        Unit::Bytes => ("bytes", "bytes"),
        Unit::Seconds => ("seconds", "seconds"),
        Unit::Microseconds => ("us", "seconds"),
        Unit::Permille => ("permille", "ratio"),
        Unit::Percent => ("percent", "ratio"),
    };
    let words = name.split('_').filter(|word| *word != old);
    let words: Vec<&str> = words.chain([new]).filter(|word| !word.is_empty()).collect();
    format!("{owner}{}", words.join("_"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Counters;
    use crate::shard::Metrics;

    #[test]
    fn what_is_given_a_name_exists() {
        let shards = Counters::FIGURES.iter().chain(&Metrics::FIGURES);
        let known: Vec<&str> = shards.map(|figure| figure.name).collect();
        for given in GIVEN.iter().filter(|given| given.owner == Shards) {
            let name = given.figure;
            assert!(known.contains(&name) || name == "log_refused", "{name}");
            assert!(given.less.iter().all(|less| known.contains(less)), "{name}");
        }
    }

    #[test]
    fn a_figure_names_itself() {
        let of = |owner, figure| named_as(owner, figure);
        let new = of(Shards, Figure::counter("fresh/bytes_lost", "Bytes lost."));
        assert_eq!(
            (&*new.family, &*new.help),
            ("firehose_fresh_lost_bytes", "Bytes lost.")
        );
        let time = of(Store, Figure::level("wait_us", "Microseconds of it."));
        assert_eq!(
            (&*time.family, time.divisor, &*time.help),
            ("firehose_store_wait_seconds", 1_000_000, "Seconds of it.")
        );
        let part = of(Memory, Figure::level("permille", "Thousandths of it."));
        assert_eq!((part.divisor, &*part.help), (1000, "Part of it."));
        let room = of(Memory, Figure::level("limit", "Bytes.").in_bytes());
        assert_eq!(room.family, "firehose_memory_limit_bytes");
    }
}
