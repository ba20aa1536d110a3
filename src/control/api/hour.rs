//! `/api/v1/history`: the last hour as JSON, a list for each figure, so that names are said once. And who keeps it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use glommio::timer;
use serde::Serialize;

use super::histogram::{Buckets, SLOTS};
use super::history::{COUNTED, LEVELS, Look, Point, Series};
use super::site::Api;
use crate::budget::Rung;
use crate::http::{Answer, Ask};
use crate::limits;
use crate::shard::Metric;

/// A value of a list; null where nothing is known.
type Value = Option<u64>;

#[derive(Serialize)]
struct HistoryJson<'a> {
    uptime_seconds: u64,
    newest: u64,
    delivery_bounds_us: Vec<u64>,
    seconds: SeriesJson<'a>,
    tens: SeriesJson<'a>,
}

#[derive(Serialize)]
struct SeriesJson<'a> {
    step_seconds: u64,
    capacity: usize,
    columns: BTreeMap<&'static str, Vec<Value>>,
    /// For each point how many sends there were by bound, as far as there were any.
    delivery: Vec<&'a [u32]>,
    shards: Vec<ShardJson>,
}

#[derive(Default, Serialize)]
struct ShardJson {
    busy_permille: Vec<Value>,
    turn_p99_us: Vec<Value>,
}

/// `/api/v1/history`: everything, or what ends after a second (`after`).
pub(super) fn history(api: &Api, ask: &Ask) -> Answer {
    let after = match ask.field("after").map(str::parse) {
        None => None,
        Some(Ok(second)) => Some(second),
        Some(Err(_)) => return Answer::status(400, "`after` has to be a number of seconds.\n"),
    };
    let history = api.history.borrow();
    let shards = usize::from(api.sources.shared.shards());
    let json = HistoryJson {
        uptime_seconds: api.sources.totals.uptime_s(),
        newest: history.newest,
        delivery_bounds_us: Buckets::bounds_us().collect(),
        seconds: series(&history.seconds, after, shards),
        tens: series(&history.tens, after, shards),
    };
    // Numbers are always written.
    Answer::json(serde_json::to_string(&json).unwrap_or_default())
}

fn series(series: &Series, after: Option<u64>, shards: usize) -> SeriesJson<'_> {
    let points = series.after(after);
    let list = |of: &dyn Fn(&Point) -> Value| points.clone().map(of).collect::<Vec<Value>>();
    let mut columns = BTreeMap::from([
        ("end", list(&|point| Some(point.end))),
        ("milliseconds", list(&|point| Some(point.milliseconds))),
        (
            "delivery_p50_us",
            list(&|point| Some(point.delivery_us?[0])),
        ),
        (
            "delivery_p99_us",
            list(&|point| Some(point.delivery_us?[1])),
        ),
    ]);
    for (place, name) in COUNTED.into_iter().enumerate() {
        columns.insert(name, list(&|point| Some(point.counted[place])));
    }
    for (place, name) in LEVELS.into_iter().enumerate() {
        columns.insert(name, list(&|point| Some(point.levels[place])));
    }
    let of_shard = |shard: usize| {
        let turns = |point: &Point| *point.shards.get(shard)?;
        ShardJson {
            busy_permille: list(&|point| Some(turns(point)?.busy_permille.into())),
            turn_p99_us: list(&|point| Some(turns(point)?.p99_us.into())),
        }
    };
    SeriesJson {
        step_seconds: series.step_s,
        capacity: series.capacity,
        columns,
        delivery: points.clone().map(filled).collect(),
        shards: (0..shards).map(of_shard).collect(),
    }
}

/// Up to the last bucket in which there is something.
fn filled(point: &Point) -> &[u32] {
    let last = point.buckets.iter().rposition(|&count| count > 0);
    let filled: &[u32; SLOTS] = &point.buckets;
    &filled[..last.map_or(0, |last| last + 1)]
}

/// Looks once a second, for as long as it is not cancelled; `is_open` says whether anybody could ask.
pub(in crate::control) async fn keep(api: &Api, is_open: impl Fn() -> bool) {
    let began = Instant::now();
    for second in 1.. {
        let due = began + Duration::from_secs(second);
        timer::sleep(due.saturating_duration_since(Instant::now())).await;
        if is_open() {
            // Of a shard that does not answer by then nothing is known of this second.
            api.ask_shards(limits::HTTP_REPORT_MS).await;
            let look = look(api);
            let uptime_s = api.sources.totals.uptime_s();
            api.history.borrow_mut().add(uptime_s, look);
        }
    }
}

/// What is there now.
fn look(api: &Api) -> Look {
    let snapshot = api.snapshot();
    let counters = snapshot.counters();
    let memory = api.sources.memory.borrow();
    let rung = memory.rung();
    let place = Rung::ALL.iter().position(|&other| other == rung);
    Look {
        at: Instant::now(),
        counted: [
            counters.publish_received,
            counters.publish_sent,
            counters.publish_dropped,
            counters.bytes_received,
            counters.bytes_sent,
            counters.connects_accepted,
            counters.connects_refused,
            counters.protocol_errors,
            snapshot.of_threads(Metric::Refused),
        ],
        levels: [
            counters.clients_connected,
            snapshot.of_threads(Metric::Connections),
            counters.outbound_bytes,
            memory.permille(),
            place.unwrap_or(0) as u64,
        ],
        told: api.reports.borrow().all_told(),
    }
}
