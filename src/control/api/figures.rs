//! `/api/v1/shards`, `/api/v1/memory`, `/api/v1/store`: figures as they were last published, by what they are of. Names are those of
//! `$SYS`, with `_` for `/`.

use serde_json::{Map, Value, json};

use super::site::Api;
use crate::control::sample::{Of, Sample};
use crate::http::{Answer, Ask};
use crate::storage::State;

/// What the API is, for programs.
const OPENAPI: &str = include_str!("openapi.json");

/// Figures by their names.
pub(super) type Figures = Map<String, Value>;

/// Those of one thing.
pub(super) fn of(samples: &[Sample], of: Of) -> Figures {
    let samples = samples.iter().filter(|sample| sample.of == of);
    let named = samples.map(|sample| {
        let name = sample.figure.name.replace('/', "_");
        (name, Value::from(sample.value))
    });
    named.collect()
}

/// Those of each shard.
pub(super) fn of_shards(api: &Api, samples: &[Sample]) -> Vec<Value> {
    let shards = 0..api.sources.shared.shards();
    let one = |shard: u8| json!({"shard": shard, "figures": of(samples, Of::Shard(shard))});
    shards.map(one).collect()
}

/// What memory is used for, and how short it is.
pub(super) fn of_memory(api: &Api, samples: &[Sample]) -> Value {
    let (mut accounts, mut rungs) = (Map::new(), Map::new());
    for sample in samples {
        let place = match sample.of {
            Of::Account(account) => accounts.entry(account.name()),
            Of::Rung(rung) => rungs.entry(rung.name()),
            Of::Broker | Of::Shard(_) | Of::Memory | Of::Store => continue,
        };
        place.or_insert_with(|| of(samples, sample.of).into());
    }
    json!({
        "rung": api.sources.memory.borrow().rung().name(),
        "figures": of(samples, Of::Memory),
        "accounts": accounts,
        "rungs": rungs,
    })
}

/// How the store is; its state is null where nothing is kept.
pub(super) fn of_store(api: &Api, samples: &[Sample]) -> Value {
    let state = api.sources.store.state().map(|state| match state {
        State::Open => "open",
        State::Full => "full",
        State::Failed => "failed",
    });
    json!({"state": state, "figures": of(samples, Of::Store)})
}

pub(super) fn shards(api: &Api, _: &Ask) -> Answer {
    let snapshot = api.snapshot();
    let shards = of_shards(api, snapshot.samples());
    Answer::json(json!({"shards": shards}).to_string())
}

pub(super) fn memory(api: &Api, _: &Ask) -> Answer {
    let snapshot = api.snapshot();
    Answer::json(of_memory(api, snapshot.samples()).to_string())
}

pub(super) fn store(api: &Api, _: &Ask) -> Answer {
    let snapshot = api.snapshot();
    Answer::json(of_store(api, snapshot.samples()).to_string())
}

pub(super) fn openapi(_: &Api, _: &Ask) -> Answer {
    Answer::json(OPENAPI.into())
}
