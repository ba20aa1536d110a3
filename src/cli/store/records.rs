//! `firehose store dump --records`: the records of a log one by one.

use std::io::Write;

use serde_json::{Map, Value, json};

use super::args::Dump;
use super::done::{Done, EXIT_DONE};
use super::shown::{Granted, Options, Shown, errand};
use super::words::{self, moment, quoted, unreadable};
use crate::journal::{Broken, Decoder, Joiner, Members, Record, SubscriptionText};
use crate::session::Way;
use crate::storage::{Recovered, look, segment_name};

/// Puts records of one stream together.
#[derive(Default)]
struct Stream {
    joiner: Joiner,
    decoder: Decoder,
}

/// What was written: the run, and by stream the number of the next chunk.
#[derive(Default)]
struct Written {
    run: u32,
    next: Vec<u64>,
}

impl Written {
    /// Whether a chunk was not written before.
    fn is_new(&mut self, chunk: &Recovered<'_>) -> bool {
        let index = usize::from(chunk.stream);
        if self.next.len() <= index {
            self.next.resize(index + 1, 0);
        }
        let is_new = chunk.sequence >= self.next[index];
        self.next[index] = self.next[index].max(chunk.sequence + 1);
        is_new
    }
}

/// Writes them, in the order in which the log has them. If the broker writes a checkpoint meanwhile reading begins there anew, and
/// what was written before is not written again.
pub(super) fn dump(options: &Dump, out: &mut dyn Write) -> Done {
    let mut written = Written::default();
    let looked = look(&options.dir, &mut |view| {
        if written.run != view.store().in_force {
            written = Written {
                run: view.store().in_force,
                next: Vec::new(),
            };
        }
        let mut streams: Vec<Stream> = Vec::new();
        view.read(&mut |chunk| {
            let index = usize::from(chunk.stream);
            if streams.len() <= index {
                streams.resize_with(index + 1, Stream::default);
            }
            let is_new = written.is_new(&chunk);
            take(&mut streams[index], &chunk, |name, fields| {
                let line = match (is_new, options.json) {
                    (false, _) => return,
                    (true, true) => as_json(&chunk, name, fields),
                    (true, false) => as_text(&chunk, name, &fields),
                };
                // A reader who has seen enough and goes is no error.
                let _ = writeln!(out, "{line}");
            });
        })
    });
    looked.map_err(|error| unreadable(&options.dir, &error))?;
    Ok(EXIT_DONE)
}

fn take(
    stream: &mut Stream,
    chunk: &Recovered<'_>,
    mut line: impl FnMut(&str, Vec<(&'static str, Value)>),
) {
    let Stream { joiner, decoder } = stream;
    let fed = joiner.feed(chunk.content, |bytes| {
        match decoder.decode(bytes)? {
            Some(record) => {
                let (name, fields) = told(&record);
                line(&name, fields);
            }
            None => line("Unknown", vec![("bytes", json!(bytes.len()))]),
        }
        Ok::<_, Broken>(())
    });
    if let Err(broken) = fed {
        line("Broken", vec![("why", json!(broken.to_string()))]);
    }
}

fn as_json(chunk: &Recovered<'_>, name: &str, fields: Vec<(&str, Value)>) -> String {
    // A map of this crate sorts its keys.
    let mut map = Map::new();
    map.insert("kind".into(), json!("record"));
    map.insert("record".into(), json!(name));
    map.insert("shard".into(), json!(chunk.stream));
    map.insert("chunk".into(), json!(chunk.sequence));
    map.insert("segment".into(), json!(segment_name(chunk.place.0)));
    map.insert("byte".into(), json!(chunk.place.1));
    map.extend(fields.into_iter().map(|(key, value)| (key.into(), value)));
    words::json(&map)
}

fn as_text(chunk: &Recovered<'_>, name: &str, fields: &[(&str, Value)]) -> String {
    let (segment, byte) = chunk.place;
    let segment = segment_name(segment);
    let mut line = format!("{segment}:{byte} shard {} {name}", chunk.stream);
    for (key, value) in fields {
        let value = match value {
            Value::String(text) => quoted(text),
            other => words::json(other),
        };
        line.push_str(&format!(" {key} {value}"));
    }
    line
}

/// What it says, by name.
fn told(record: &Record<'_>) -> (String, Vec<(&'static str, Value)>) {
    let (name, fields) = match record {
        Record::Message { number, message } => (
            "Message",
            vec![
                ("number", json!(number)),
                ("message", json!(Shown::of(message))),
            ],
        ),
        Record::WillSet { session, will } => (
            "WillSet",
            vec![
                ("session", json!(session)),
                ("delay_s", json!(will.delay_s)),
                ("expiry_s", json!(will.expiry_s)),
                ("message", json!(Shown::of(&will.message))),
            ],
        ),
        Record::Queued {
            number,
            way,
            members,
        } => (
            "Queued",
            vec![
                ("number", json!(number)),
                ("granted", json!(Granted::of(*way))),
                ("sessions", of(members)),
            ],
        ),
        Record::Unqueued {
            number,
            way,
            members,
        } => (
            "Unqueued",
            vec![
                ("number", json!(number)),
                ("granted", json!(Granted::of(*way))),
                ("sessions", of(members)),
            ],
        ),
        Record::Acknowledged { order, members } => (
            "Acknowledged",
            vec![("order", json!(order)), ("sessions", of(members))],
        ),
        Record::RetainedStored { number } => ("RetainedStored", vec![("number", json!(number))]),
        Record::RetainedRemoved { topic } => ("RetainedRemoved", vec![("topic", json!(topic))]),
        other => return between(other),
    };
    (name.into(), fields)
}

/// What is said between shards, and of many messages at once.
fn between(record: &Record<'_>) -> (String, Vec<(&'static str, Value)>) {
    let (name, fields) = match record {
        Record::GroupNamed { group, to } => (
            "GroupNamed",
            [vec![("group", json!(group))], subscription(to)].concat(),
        ),
        Record::Handed {
            to,
            at,
            number,
            errand: what,
        } => (
            "Handed",
            vec![
                ("to", json!(to)),
                ("at", json!(at)),
                ("number", json!(number)),
                ("errand", json!(errand(what))),
            ],
        ),
        Record::Took { from, at } => ("Took", vec![("from", json!(from)), ("at", json!(at))]),
        Record::QueuedRun {
            session,
            number,
            len,
            way,
        } => (
            "QueuedRun",
            vec![
                ("session", json!(session)),
                ("number", json!(number)),
                ("messages", json!(len)),
                ("granted", json!(Granted::of(*way))),
            ],
        ),
        other => return of_session(other),
    };
    (name.into(), fields)
}

/// What is said of one session, and what has nothing to say.
fn of_session(record: &Record<'_>) -> (String, Vec<(&'static str, Value)>) {
    let at = |at: &Option<u64>| json!(at.map(moment));
    let (name, session, fields) = match record {
        Record::Opened {
            session,
            serial,
            client_id,
        } => (
            "Opened",
            session,
            vec![("serial", json!(serial)), ("client_id", json!(client_id))],
        ),
        Record::Resumed { session } => ("Resumed", session, vec![]),
        Record::Identified {
            session,
            user,
            listener,
        } => (
            "Identified",
            session,
            vec![("user", json!(user)), ("listener", json!(listener))],
        ),
        Record::ExpirySet { session, seconds } => {
            ("ExpirySet", session, vec![("seconds", json!(seconds))])
        }
        Record::Away { session, ends_at } => ("Away", session, vec![("ends", at(ends_at))]),
        Record::Ended { session } => ("Ended", session, vec![]),
        Record::SessionAnew { session } => ("SessionAnew", session, vec![]),
        Record::WillDue { session, at: due } => ("WillDue", session, vec![("due", at(due))]),
        Record::WillTaken { session } => ("WillTaken", session, vec![]),
        Record::Subscribed {
            session,
            to,
            options,
        } => {
            let options = ("options", json!(Options::of(*options)));
            (
                "Subscribed",
                session,
                [subscription(to), vec![options]].concat(),
            )
        }
        Record::Unsubscribed { session, from } => ("Unsubscribed", session, subscription(from)),
        Record::InboundStored { session, id } => {
            ("InboundStored", session, vec![("packet_id", json!(id))])
        }
        Record::InboundReleased { session, id } => {
            ("InboundReleased", session, vec![("packet_id", json!(id))])
        }
        Record::Received { session, order } => ("Received", session, vec![("order", json!(order))]),
        Record::CopyGivenUp { session, order } => {
            ("CopyGivenUp", session, vec![("order", json!(order))])
        }
        other => return in_flight(other),
    };
    let session = ("session", json!(session));
    (name.into(), [vec![session], fields].concat())
}

fn in_flight(record: &Record<'_>) -> (String, Vec<(&'static str, Value)>) {
    let granted = |way: &Way| ("granted", json!(Granted::of(*way)));
    let frame = |order: &u64, id: &u16| [("order", json!(order)), ("packet_id", json!(id))];
    let to = |session: &u32| ("session", json!(session));
    match record {
        Record::Sent {
            number,
            order,
            way,
            members,
        } => {
            let (number, order) = (("number", json!(number)), ("order", json!(order)));
            let sessions = ("sessions", of(members));
            ("Sent".into(), vec![number, order, granted(way), sessions])
        }
        Record::SentAlone {
            session,
            number,
            order,
            id,
            way,
        } => {
            let [order, id] = frame(order, id);
            let number = ("number", json!(number));
            let fields = vec![to(session), number, order, id, granted(way)];
            ("SentAlone".into(), fields)
        }
        Record::SentBare {
            session,
            order,
            id,
            way,
        } => {
            let [order, id] = frame(order, id);
            let fields = vec![to(session), order, id, granted(way)];
            ("SentBare".into(), fields)
        }
        Record::Moved {
            session,
            number,
            order,
            id,
            way,
        } => {
            let [order, id] = frame(order, id);
            let number = ("number", json!(number));
            let fields = vec![to(session), number, order, id, granted(way)];
            ("Moved".into(), fields)
        }
        // They say all by their names.
        other => (format!("{other:?}"), Vec::new()),
    }
}

fn subscription(to: &SubscriptionText<'_>) -> Vec<(&'static str, Value)> {
    let share = to.share.map(|share| ("share", json!(share)));
    share
        .into_iter()
        .chain([("filter", json!(to.filter))])
        .collect()
}

fn of(members: &Members<'_>) -> Value {
    match members {
        Members::One(session) => json!([session]),
        Members::New(sessions) => json!(sessions),
        Members::Once(sessions) => json!(sessions),
        Members::Known(number) => json!(format!("list {number}")),
    }
}
