//! `firehose store dump --records`: the records of a log one by one.

use std::io::Write;

use serde_json::{Map, Value, json};

use super::args::Dump;
use super::done::{Done, EXIT_DONE};
use super::shown::{self, Granted, Options, errand};
use super::words::{self, moment, quoted, unreadable};
use crate::journal::{Broken, Decoder, Field, Joiner, Members, Record, Value as Said};
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
            take(&mut streams[index], &chunk, |line| {
                let line = match (is_new, options.json) {
                    (false, _) => return,
                    (true, true) => line.as_json(&chunk),
                    (true, false) => line.as_text(&chunk),
                };
                // A reader who has seen enough and goes is no error.
                let _ = writeln!(out, "{line}");
            });
        })
    });
    looked.map_err(|error| unreadable(&options.dir, &error))?;
    Ok(EXIT_DONE)
}

/// A record as it is shown.
struct Line {
    name: String,
    fields: Vec<Shown>,
}

/// A field of it.
struct Shown {
    name: &'static str,
    value: Value,
}

impl Line {
    fn of(record: &Record<'_>) -> Line {
        let fields = record.fields();
        Line {
            name: fields.name.into(),
            fields: fields.all.iter().map(Shown::of).collect(),
        }
    }

    /// What is no record, with the one thing that is known of it.
    fn other(name: &str, field: &'static str, value: Value) -> Line {
        Line {
            name: name.into(),
            fields: vec![Shown { name: field, value }],
        }
    }

    fn as_json(&self, chunk: &Recovered<'_>) -> String {
        // A map of this crate sorts its keys.
        let mut map = Map::new();
        map.insert("kind".into(), json!("record"));
        map.insert("record".into(), json!(self.name));
        map.insert("shard".into(), json!(chunk.stream));
        map.insert("chunk".into(), json!(chunk.sequence));
        map.insert("segment".into(), json!(segment_name(chunk.place.0)));
        map.insert("byte".into(), json!(chunk.place.1));
        for field in &self.fields {
            map.insert(field.name.into(), field.value.clone());
        }
        words::json(&map)
    }

    fn as_text(&self, chunk: &Recovered<'_>) -> String {
        let (segment, byte) = chunk.place;
        let segment = segment_name(segment);
        let mut line = format!("{segment}:{byte} shard {} {}", chunk.stream, self.name);
        for field in &self.fields {
            let value = match &field.value {
                Value::String(text) => quoted(text),
                other => words::json(other),
            };
            line.push_str(&format!(" {} {value}", field.name));
        }
        line
    }
}

impl Shown {
    fn of(field: &Field<'_>) -> Shown {
        let value = match field.value {
            Said::Number(number) => json!(number),
            Said::NumberOrNone(number) => json!(number),
            Said::Text(text) => json!(text),
            Said::TextOrNone(text) => json!(text),
            Said::Moment(at) => json!(at.map(moment)),
            Said::Message(message) => json!(shown::Shown::of(message)),
            Said::Options(options) => json!(Options::of(options)),
            Said::Way(way) => json!(Granted::of(way)),
            Said::Members(members) => of(members),
            Said::Errand(what) => json!(errand(what)),
        };
        Shown {
            name: field.name,
            value,
        }
    }
}

fn take(stream: &mut Stream, chunk: &Recovered<'_>, mut show: impl FnMut(Line)) {
    let Stream { joiner, decoder } = stream;
    let fed = joiner.feed(chunk.content, |bytes| {
        show(match decoder.decode(bytes)? {
            Some(record) => Line::of(&record),
            None => Line::other("Unknown", "bytes", json!(bytes.len())),
        });
        Ok::<_, Broken>(())
    });
    if let Err(broken) = fed {
        show(Line::other("Broken", "why", json!(broken.to_string())));
    }
}

fn of(members: &Members<'_>) -> Value {
    match members {
        Members::One(session) => json!([session]),
        Members::New(sessions) => json!(sessions),
        Members::Once(sessions) => json!(sessions),
        Members::Known(number) => json!(format!("list {number}")),
    }
}
