//! `/metrics`: every figure of the snapshot that `$SYS` shows too, in the text formats of Prometheus (0.0.4, and OpenMetrics 1.0
//! where it is asked for), with histograms of turns and of waiting output. And `/metrics/mosquitto`: Mosquitto's figures, by the names that the exporters
//! for its `$SYS` give them.
//!
//! A figure that is new is on the page by what it says of itself (`figure.rs`); a name of its own, or a label that it shares a name
//! under, is a line of `api/names.rs`.

mod exporter;
mod page;
mod process;
mod states;
#[cfg(test)]
mod tests;

pub(super) use exporter::mosquitto;

use std::collections::HashSet;
use std::rc::Rc;

use super::histogram::Buckets;
use super::names::{Named, Names};
use super::site::Api;
use crate::control::sample::{Of, Sample};
use crate::figure::Kind;
use crate::http::{Answer, Answering, Ask};
use crate::limits;
use page::{Form, Labels, Page};

/// Log lines that the control thread has lost are of no shard.
const OF_CONTROL: &str = "log_dropped";

const NS_PER_US: u64 = 1000;

/// Whose figures are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    /// Those of each shard.
    Shards,
    /// Those of all shards together (`?shard=sum`): a broker of 64 shards has 64 times as many others.
    Sum,
}

/// `/metrics`.
pub(super) fn metrics(api: Rc<Api>, ask: Ask) -> Answering {
    Box::pin(async move {
        // Of a shard that does not answer by then the last report stands.
        api.ask_shards(limits::HTTP_REPORT_MS).await;
        let form = Form::of(&ask.accept);
        let detail = match ask.field("shard") {
            Some("sum") => Detail::Sum,
            None => Detail::Shards,
            Some(_) => return Answer::status(400, "`shard` is `sum`, or is left out.\n"),
        };
        let text = page(&api, form, detail);
        Answer::ok(form.kind(), text)
    })
}

fn page(api: &Api, form: Form, detail: Detail) -> String {
    let snapshot = api.snapshot();
    let mut page = Page::new(form);
    figures(&mut page, &api.names, snapshot.samples(), detail);
    times(api, &mut page, detail);
    states::show(api, &mut page);
    process::show(&mut page);
    page.finish()
}

/// How long turns take, what they take of the time, and how long output waits.
fn times(api: &Api, page: &mut Page, detail: Detail) {
    let reports = api.reports.borrow();
    let mut all = [Buckets::default(), Buckets::default()];
    for (shard, told) in reports.told() {
        let turns = Buckets::of(&told.turn_ns, NS_PER_US);
        let times = [turns, Buckets::of(&told.delivery_us, 1)];
        match detail {
            Detail::Shards => show_times(page, Some(shard), &times),
            Detail::Sum => {
                for (all, of_shard) in all.iter_mut().zip(&times) {
                    all.add(of_shard);
                }
            }
        }
    }
    if detail == Detail::Sum {
        show_times(page, None, &all);
    }
}

fn show_times(page: &mut Page, shard: Option<u8>, [turns, deliveries]: &[Buckets; 2]) {
    let labels = Labels::default().shard(shard);
    page.histogram(
        "firehose_turn_seconds",
        "How long turns of shards take, from wake-up to the end of submission.",
        &labels,
        turns,
    );
    page.histogram(
        "firehose_delivery_seconds",
        "How long output waits, from the turn in which it began to until its socket had taken all of it.",
        &labels,
        deliveries,
    );
    let busy = (
        "firehose_shard_busy_seconds",
        Kind::Counter,
        "Time that was spent in turns.",
    );
    page.put(busy, &labels, turns.sum_s());
}

/// All figures of a snapshot.
fn figures(page: &mut Page, names: &Names, samples: &[Sample], detail: Detail) {
    let is_one = |one: &Sample, other: &Sample| one.of == other.of;
    let of_first = samples.iter().filter(|sample| sample.of == Of::Shard(0));
    let of_first: HashSet<&str> = of_first.map(|sample| sample.figure.name).collect();
    // The samples of one shard lie together.
    for group in samples.chunk_by(is_one) {
        for sample in group {
            let named = names.of(sample);
            match (sample.of, detail) {
                (Of::Shard(_), Detail::Sum) => continue,
                (Of::Broker, Detail::Shards) if sample.figure.name == OF_CONTROL => {
                    let all = samples.iter().filter(|other| {
                        matches!(other.of, Of::Shard(_)) && other.figure.name == OF_CONTROL
                    });
                    let of_shards: u64 = all.map(|other| other.value).sum();
                    let labels = Labels::default().with("shard", "control");
                    put(page, &named, &labels, sample.value - of_shards);
                    continue;
                }
                (Of::Broker, Detail::Shards) if of_first.contains(sample.figure.name) => continue,
                _ => {}
            }
            let others = named.less.iter().map(|name| {
                let mut group = group.iter();
                group
                    .find(|other| other.figure.name == *name)
                    .map_or(0, |other| other.value)
            });
            // Counters are published one by one: a part may be ahead of the whole.
            let value = sample.value.saturating_sub(others.sum());
            put(page, &named, &labels(sample, &named), value);
        }
    }
}

fn labels(sample: &Sample, named: &Named) -> Labels {
    let labels = Labels::default();
    let labels = match sample.of {
        Of::Shard(shard) => labels.shard(Some(shard)),
        Of::Account(account) => labels.with("account", account.name()),
        Of::Rung(rung) => labels.with("rung", rung.name()),
        Of::Broker | Of::Memory | Of::Store => labels,
    };
    let more = named.labels.iter();
    more.fold(labels, |labels, (name, value)| labels.with(name, value))
}

fn put(page: &mut Page, named: &Named, labels: &Labels, value: u64) {
    let family = (named.family.as_str(), named.kind, &*named.help);
    match named.divisor {
        1 => page.put_whole(family, labels, value),
        divisor => page.put(family, labels, value as f64 / divisor as f64),
    }
}
