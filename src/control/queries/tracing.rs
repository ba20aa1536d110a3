//! Traces over HTTP: what is asked for, and what shards have seen as lines of JSON. What a message says is only for who may read its
//! topic.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::refusal::Refusal;
use super::traced::{Fields as Traced, content_of, properties_of};
use crate::broker::{
    Direction, TraceEvent, TraceLook, TraceSubject, TraceWhat, TracedOutcome, TracedPacket,
    TracedPublish,
};
use crate::limits;
use crate::mqtt::{PacketType, topic};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TraceWanted {
    /// A client, or topics.
    pub subject: TraceSubject,
    /// Events a second of each shard.
    pub rate: u32,
    /// Bytes of each payload.
    pub payload_bytes: usize,
}

impl TraceWanted {
    /// What stands behind the `?`, and which trace is to go on.
    ///
    /// # Errors
    /// 400: not exactly one of `client` and `topic` is asked for, or a field cannot be read.
    pub(crate) fn of(query: &str) -> Result<(TraceWanted, Option<u64>), Refusal> {
        let fields = Fields::of(query, &["client", "topic", "payload", "rate", "trace"])?;
        let subject = match (fields.get("client"), fields.get("topic")) {
            (Some(client), None) if !client.is_empty() => TraceSubject::Client(client.into()),
            (None, Some(filter)) => TraceSubject::Topic(checked(filter)?.into()),
            _ => {
                let text = "One of \"client\" and \"topic\" says what is traced.";
                return Err(Refusal::asked_wrongly(text.into()));
            }
        };
        let most = limits::TRACE_PAYLOAD_BYTES_MAX as u64;
        let payload_bytes = number(&fields, "payload", 0, most)?.unwrap_or(0) as usize;
        let most = u64::from(limits::TRACE_RATE_MAX);
        let rate = number(&fields, "rate", 1, most)?;
        let rate = rate.map_or(limits::TRACE_RATE, |rate| rate as u32);
        let trace = fields.get("trace").map(|text| {
            u64::from_str_radix(text, 16)
                .map_err(|_| Refusal::asked_wrongly("\"trace\" is what an answer has said.".into()))
        });
        let wanted = TraceWanted {
            subject,
            rate,
            payload_bytes,
        };
        Ok((wanted, trace.transpose()?))
    }

    /// The same for a shard.
    pub(crate) fn look(&self, number: u64) -> TraceLook {
        TraceLook {
            number,
            subject: self.subject.clone(),
            rate: self.rate,
            payload_bytes: self.payload_bytes,
        }
    }
}

fn checked(filter: &str) -> Result<&str, Refusal> {
    let wrong = match (topic::share(filter), topic::topic_filter_valid(filter)) {
        (Some(_), _) => "\"topic\" is a topic filter without a share name.",
        (None, true) => return Ok(filter),
        (None, false) => {
            "\"topic\" is no topic filter: + and # are whole levels, and # is the last one."
        }
    };
    Err(Refusal::asked_wrongly(wrong.into()))
}

fn number(fields: &Fields, name: &str, least: u64, most: u64) -> Result<Option<u64>, Refusal> {
    let Some(text) = fields.get(name) else {
        return Ok(None);
    };
    let value = text.parse().ok();
    let value = value.filter(|value| (least..=most).contains(value));
    let wrong =
        || Refusal::asked_wrongly(format!("\"{name}\" is a number from {least} to {most}."));
    value.map(Some).ok_or_else(wrong)
}

/// The clock of the shards beside that of the wall.
pub(crate) struct TraceClock {
    unix_ms: u64,
    now_ms: u64,
}

impl TraceClock {
    /// The shards' stands so now.
    pub(crate) fn at(now_ms: u64) -> TraceClock {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH);
        TraceClock {
            unix_ms: unix.map_or(0, |unix| unix.as_millis() as u64),
            now_ms,
        }
    }

    /// Milliseconds since 1970.
    pub(crate) fn time_ms(&self, at_ms: u64) -> u64 {
        (self.unix_ms + at_ms).saturating_sub(self.now_ms)
    }

    /// The same, of now.
    pub(crate) fn now(&self) -> u64 {
        self.unix_ms
    }
}

/// A line about a trace itself.
pub(crate) fn told(clock: &TraceClock, event: &str, more: &Value) -> String {
    let mut fields = Map::new();
    fields.insert("event".into(), event.into());
    fields.insert("time_ms".into(), clock.now().into());
    if let Value::Object(more) = more {
        fields.extend(more.clone());
    }
    Value::Object(fields).to_string()
}

/// The line about what a shard has seen. `may_read` says whether who looks may read a topic: without that he is not shown what a client's
/// messages say, and of traced topics nothing.
pub(crate) fn line(
    event: TraceEvent,
    (shard, time_ms): (u8, u64),
    subject: &TraceSubject,
    may_read: impl Fn(&str) -> bool,
) -> Option<String> {
    let mut fields = Traced::default();
    let kind = match &event.what {
        TraceWhat::Packet(_) => "packet",
        TraceWhat::Malformed { .. } => "malformed",
        TraceWhat::End { .. } => "end",
        TraceWhat::Published(_) => "publish",
    };
    fields.put("event", kind);
    fields.put("time_ms", time_ms);
    fields.put("shard", shard);
    if let TraceSubject::Client(client) = subject {
        fields.put("client", &**client);
    }
    match &event.what {
        TraceWhat::Packet(packet) => packet_fields(&mut fields, packet, may_read),
        TraceWhat::Malformed {
            connection,
            packet,
            bytes,
            error,
        } => {
            fields.put("connection", *connection);
            fields.put("packet", packet.map(name));
            fields.put("bytes", *bytes);
            fields.put("error", &**error);
        }
        TraceWhat::End { connection, reason } => {
            fields.put("connection", *connection);
            let reason = match &**reason {
                "" => "the client said goodbye",
                reason => reason,
            };
            fields.put("reason", reason);
        }
        TraceWhat::Published(published) => {
            let topic = published.message.topic.as_deref();
            if !topic.is_some_and(may_read) {
                return None;
            }
            publish_fields(&mut fields, published);
        }
    }
    Some(fields.text())
}

fn packet_fields(fields: &mut Traced, packet: &TracedPacket, may_read: impl Fn(&str) -> bool) {
    fields.put("connection", packet.connection);
    let direction = match packet.direction {
        Direction::In => "in",
        Direction::Out => "out",
    };
    fields.put("direction", direction);
    fields.put("packet", name(packet.packet));
    fields.put("bytes", packet.bytes);
    if let Some(id) = packet.packet_id {
        fields.put("packet_identifier", id);
    }
    let is_hidden = content_of(fields, &packet.content, may_read);
    if is_hidden {
        return fields.put("hidden", true);
    }
    properties_of(fields, &packet.properties, packet.has_more_properties);
}

fn publish_fields(fields: &mut Traced, published: &TracedPublish) {
    fields.put("client", published.client.as_deref());
    fields.put("from_shard", published.from_shard);
    fields.message(&published.message);
    match published.outcome {
        TracedOutcome::Refused(code) => {
            fields.put("refused", true);
            fields.reason(code);
        }
        TracedOutcome::Routed {
            matched,
            sent,
            dropped,
            shards,
        } => {
            fields.put("refused", false);
            fields.put("matched", matched);
            fields.put("sent", sent);
            fields.put("dropped", dropped);
            let bits = (0..limits::SHARDS_MAX as u8).filter(|bit| shards >> bit & 1 == 1);
            fields.put("shards", json!(bits.collect::<Vec<u8>>()));
        }
    }
    properties_of(fields, &published.properties, published.has_more_properties);
}

/// As the standard writes it.
fn name(packet: PacketType) -> &'static str {
    match packet {
        PacketType::Connect => "CONNECT",
        PacketType::Connack => "CONNACK",
        PacketType::Publish => "PUBLISH",
        PacketType::Puback => "PUBACK",
        PacketType::Pubrec => "PUBREC",
        PacketType::Pubrel => "PUBREL",
        PacketType::Pubcomp => "PUBCOMP",
        PacketType::Subscribe => "SUBSCRIBE",
        PacketType::Suback => "SUBACK",
        PacketType::Unsubscribe => "UNSUBSCRIBE",
        PacketType::Unsuback => "UNSUBACK",
        PacketType::Pingreq => "PINGREQ",
        PacketType::Pingresp => "PINGRESP",
        PacketType::Disconnect => "DISCONNECT",
        PacketType::Auth => "AUTH",
    }
}
