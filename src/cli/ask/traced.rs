//! Events of a trace for people: one line each.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::escape::{Name, one_line};

/// The line about an event; `None` for one that says nothing new.
pub(super) fn line(event: &Value) -> Option<String> {
    let words = match text(event, "event") {
        "begin" if event["resumed"] == true => return None,
        "begin" => begin(event),
        "packet" => packet(event),
        "publish" => publish(event),
        "malformed" => {
            let kind = event["packet"].as_str().unwrap_or("bytes");
            let (bytes, error) = (number(event, "bytes"), name(event, "error"));
            format!("in   {kind}  that is wrong, {bytes} bytes: {error}")
        }
        "end" => format!("end  {}", name(event, "reason")),
        "left_out" => format!(
            "---  {} more on shard {} were not shown",
            number(event, "events"),
            number(event, "shard")
        ),
        "gap" => format!(
            "---  what happened on shard {} meanwhile is not known",
            number(event, "shard")
        ),
        "missing_shards" => format!("---  shards that do not answer: {}", event["shards"]),
        other => format!("---  {}", Name(other)),
    };
    Some(format!("{}  {words}", time(event)))
}

fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    event[field].as_str().unwrap_or_default()
}

fn name(event: &Value, field: &str) -> String {
    Name(text(event, field)).to_string()
}

fn number(event: &Value, field: &str) -> u64 {
    event[field].as_u64().unwrap_or_default()
}

/// By the clock of this host's wall.
fn time(event: &Value) -> String {
    let at = Timestamp::from_millisecond(number(event, "time_ms") as i64).unwrap_or_default();
    let at = at.to_zoned(TimeZone::system());
    at.strftime("%H:%M:%S%.3f").to_string()
}

fn begin(event: &Value) -> String {
    match event["filter"].as_str() {
        Some(filter) => format!("---  messages to {}", Name(filter)),
        None => {
            let state = match event["connected"] == true {
                true => "is connected",
                false => "is not connected, and is waited for",
            };
            format!("---  client {} {state}", name(event, "client"))
        }
    }
}

fn packet(event: &Value) -> String {
    let direction = text(event, "direction");
    let mut words = vec![format!("{direction:<4} {}", name(event, "packet"))];
    if event["packet_identifier"].is_u64() {
        words.push(number(event, "packet_identifier").to_string());
    }
    let more = match text(event, "packet") {
        "PUBLISH" => message(event),
        "CONNECT" => connect(event),
        "SUBSCRIBE" | "UNSUBSCRIBE" => filters(event),
        "SUBACK" | "UNSUBACK" => event["reason_codes"].to_string(),
        _ => reason(event),
    };
    if !more.is_empty() {
        words.push(format!(" {more}"));
    }
    words.push(properties(event));
    words.retain(|word| !word.is_empty());
    words.join(" ")
}

fn reason(event: &Value) -> String {
    match event["reason_code"].as_u64() {
        None => String::new(),
        Some(code) if event["session_present"] == true => {
            format!("0x{code:02X} {}, session present", name(event, "reason"))
        }
        Some(code) => format!("0x{code:02X} {}", name(event, "reason")),
    }
}

fn connect(event: &Value) -> String {
    let mut words = vec![format!("MQTT {}", text(event, "protocol"))];
    if event["clean_start"] == true {
        words.push("clean start".into());
    }
    words.push(format!(
        "keep alive {} s",
        number(event, "keep_alive_seconds")
    ));
    if let Some(user) = event["username"].as_str() {
        words.push(format!("user {}", Name(user)));
    }
    if event["has_password"] == true {
        words.push("a password".into());
    }
    if event["will"].is_object() {
        let will = &event["will"];
        let (qos, bytes) = (number(will, "qos"), number(will, "payload_bytes"));
        words.push(format!(
            "will {} QoS {qos} {bytes} bytes",
            name(will, "topic")
        ));
    }
    words.join(", ")
}

fn filters(event: &Value) -> String {
    let all = event["filters"].as_array().into_iter().flatten();
    let mut words: Vec<String> = all
        .map(|one| match one["qos"].as_u64() {
            Some(qos) => format!("{} QoS {qos}", name(one, "filter")),
            None => name(one, "filter"),
        })
        .collect();
    let more = number(event, "filters_left_out");
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    words.join(", ")
}

/// A message: its topic, flags, size and payload.
fn message(event: &Value) -> String {
    let topic = event["topic"].as_str();
    let topic = topic.map_or("a topic that was not seen".into(), |topic| {
        Name(topic).to_string()
    });
    let mut words = format!("{topic}  QoS {}", number(event, "qos"));
    for flag in ["retain", "dup"] {
        if event[flag] == true {
            words += &format!(", {flag}");
        }
    }
    words += &format!(", {} bytes", number(event, "payload_bytes"));
    if event["hidden"] == true {
        return words + ", hidden by access rules";
    }
    let cut = if event["payload_cut"] == true {
        "..."
    } else {
        ""
    };
    match (event["payload"].as_str(), event["payload_base64"].as_str()) {
        (Some(payload), _) => words + &format!(": {}{cut}", one_line(payload)),
        (None, Some(bytes)) => words + &format!(": base64 {bytes}{cut}"),
        (None, None) => words,
    }
}

fn publish(event: &Value) -> String {
    let from = match (event["client"].as_str(), event["from_shard"].as_u64()) {
        (Some(client), _) => format!("from {}", Name(client)),
        (None, Some(shard)) => format!("from shard {shard}"),
        (None, None) => "from the broker".into(),
    };
    let shard = number(event, "shard");
    let outcome = match event["refused"] == true {
        true => format!("refused: {}", reason(event)),
        false => {
            let (matched, sent) = (number(event, "matched"), number(event, "sent"));
            let dropped = match number(event, "dropped") {
                0 => String::new(),
                dropped => format!(", {dropped} dropped"),
            };
            format!("{matched} match on shard {shard}, {sent} sent{dropped}")
        }
    };
    let properties = properties(event);
    format!("{from}, {outcome}  {} {properties}", message(event))
        .trim_end()
        .into()
}

fn properties(event: &Value) -> String {
    let Some(all) = event["properties"].as_object() else {
        return String::new();
    };
    let mut words: Vec<String> = all
        .iter()
        .map(|(name, value)| match value {
            Value::String(text) => format!("{name}={}", Name(text)),
            other => format!("{name}={}", one_line(&other.to_string())),
        })
        .collect();
    if event["properties_cut"] == true {
        words.push("...".into());
    }
    format!("{{{}}}", words.join(" "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Without the time, which depends on where one is.
    fn words(event: &Value) -> String {
        let line = line(event).unwrap();
        let (time, words) = line.split_once("  ").unwrap();
        assert_eq!(time.len(), "21:33:04.123".len(), "{line}");
        words.into()
    }

    #[test]
    fn events_are_lines() {
        for (event, wanted) in [
            (
                json!({"event": "begin", "client": "a\nb", "connected": false}),
                "---  client a\\nb is not connected, and is waited for",
            ),
            (
                json!({"event": "packet", "direction": "in", "packet": "CONNECT", "protocol": "5",
                    "clean_start": true, "keep_alive_seconds": 60, "username": "u", "has_password": true}),
                "in   CONNECT  MQTT 5, clean start, keep alive 60 s, user u, a password",
            ),
            (
                json!({"event": "packet", "direction": "out", "packet": "CONNACK", "reason_code": 135,
                    "reason": "Not authorized", "session_present": false}),
                "out  CONNACK  0x87 Not authorized",
            ),
            (
                json!({"event": "packet", "direction": "out", "packet": "PUBLISH", "packet_identifier": 7,
                    "topic": "a/b", "qos": 1, "retain": true, "dup": false, "payload_bytes": 9,
                    "payload": "\u{1b}[2Jx", "payload_cut": true, "properties": {"topic_alias": 1}}),
                "out  PUBLISH 7  a/b  QoS 1, retain, 9 bytes: \\u{1b}[2Jx... {topic_alias=1}",
            ),
            (
                json!({"event": "packet", "direction": "in", "packet": "SUBSCRIBE", "packet_identifier": 1,
                    "filters": [{"filter": "a/#", "qos": 2}], "filters_left_out": 3}),
                "in   SUBSCRIBE 1  a/# QoS 2, and 3 more",
            ),
            (
                json!({"event": "packet", "direction": "in", "packet": "PINGREQ"}),
                "in   PINGREQ",
            ),
            (
                json!({"event": "publish", "client": "p", "from_shard": null, "shard": 1, "refused": false,
                    "matched": 3, "sent": 2, "dropped": 1, "topic": "t", "qos": 0, "payload_bytes": 5}),
                "from p, 3 match on shard 1, 2 sent, 1 dropped  t  QoS 0, 5 bytes",
            ),
            (
                json!({"event": "publish", "client": "p", "refused": true, "reason_code": 135,
                    "reason": "Not authorized", "topic": "t", "qos": 0, "payload_bytes": 5}),
                "from p, refused: 0x87 Not authorized  t  QoS 0, 5 bytes",
            ),
            (
                json!({"event": "left_out", "events": 5, "shard": 1}),
                "---  5 more on shard 1 were not shown",
            ),
        ] {
            assert_eq!(words(&event), wanted);
        }
        let resumed = json!({"event": "begin", "client": "a", "resumed": true});
        assert_eq!(line(&resumed), None);
    }
}
