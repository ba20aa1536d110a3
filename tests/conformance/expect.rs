//! Whether a packet that arrived is the one that a line expects.

use crate::compose::{Variables, number};
use crate::script::{Content, Fields};
use crate::support::mqtt::{self, KINDS, PROPERTIES, Packet, Value, Version};

/// `Err` says how they differ. Variables of the line are bound when all of it fits.
pub fn check(
    version: Version,
    what: &Content,
    packet: &Packet,
    variables: &mut Variables,
) -> Result<(), String> {
    let fields = match what {
        Content::Bytes(patterns) if patterns.iter().any(|pattern| fits(pattern, &packet.bytes)) => {
            return Ok(());
        }
        Content::Bytes(_) => return Err("other bytes".into()),
        Content::Fields(fields) => fields,
    };
    if fields.kind != packet.kind {
        return Err(format!("not {}", KINDS[fields.kind as usize]));
    }
    let mut bound = variables.clone();
    let mut m = Matcher {
        version,
        fields,
        packet,
        variables: &mut bound,
    };
    m.id()?;
    match packet.kind {
        mqtt::PUBLISH => m.publish()?,
        mqtt::CONNACK => m.connack()?,
        mqtt::PUBACK | mqtt::PUBREC => m.code("0|0x10")?,
        mqtt::PUBREL | mqtt::PUBCOMP | mqtt::DISCONNECT | mqtt::AUTH => m.code("0")?,
        mqtt::SUBACK => m.codes()?,
        mqtt::UNSUBACK if version == Version::V5 => m.codes()?,
        _ => {}
    }
    m.properties()?;
    *variables = bound;
    Ok(())
}

/// Whether the bytes are those of the pattern.
pub fn fits(pattern: &[Option<u8>], bytes: &[u8]) -> bool {
    pattern.len() == bytes.len()
        && pattern
            .iter()
            .zip(bytes)
            .all(|(p, b)| p.is_none_or(|p| p == *b))
}

struct Matcher<'a> {
    version: Version,
    fields: &'a Fields,
    packet: &'a Packet,
    variables: &'a mut Variables,
}

impl Matcher<'_> {
    /// Whether `actual` is what `expected` says: `*`, `$name`, `a|b`, `1..9` or the value itself.
    fn fits(&mut self, expected: &[u8], actual: &[u8], is_number: bool) -> bool {
        if expected == b"*" {
            return true;
        }
        if let Some(name) = expected.strip_prefix(b"$")
            && !name.is_empty()
            && name.iter().all(u8::is_ascii_lowercase)
        {
            let name = String::from_utf8_lossy(name).into_owned();
            return self
                .variables
                .entry(name)
                .or_insert_with(|| actual.to_vec())
                == actual;
        }
        if !is_number {
            return expected == actual;
        }
        let Ok(actual) = number(actual) else {
            return false;
        };
        expected.split(|b| *b == b'|').any(|alternative| {
            let text = String::from_utf8_lossy(alternative);
            let (low, high) = text.split_once("..").unwrap_or((&text, &text));
            let (low, high) = (number(low.as_bytes()), number(high.as_bytes()));
            low.is_ok_and(|low| low <= actual) && high.is_ok_and(|high| actual <= high)
        })
    }

    fn is(&mut self, name: &str, expected: &[u8], actual: u32) -> Result<(), String> {
        if self.fits(expected, actual.to_string().as_bytes(), true) {
            return Ok(());
        }
        Err(format!(
            "{name} is {actual} ({actual:#04x}), not {}",
            String::from_utf8_lossy(expected)
        ))
    }

    fn id(&mut self) -> Result<(), String> {
        match (self.fields.get("id"), self.packet.id) {
            (Some(expected), Some(id)) => self.is("the packet identifier", expected, id as u32),
            (Some(_), None) => Err("no packet identifier".into()),
            _ => Ok(()),
        }
    }

    fn publish(&mut self) -> Result<(), String> {
        let (fields, packet) = (self.fields, self.packet);
        let words: Vec<_> = fields
            .words
            .iter()
            .filter(|w| *w != b"retain" && *w != b"dup")
            .collect();
        if !words
            .first()
            .is_some_and(|topic| self.fits(topic, &packet.topic, false))
        {
            return Err(format!(
                "the topic is {:?}",
                String::from_utf8_lossy(&packet.topic)
            ));
        }
        if !self.fits(words.get(1).map_or(b"", |w| w), &packet.payload, false) {
            return Err("another payload".into());
        }
        self.is(
            "the QoS",
            fields.get("qos").unwrap_or(b"0"),
            packet.qos as u32,
        )?;
        for (name, is, due) in [
            ("retain", packet.retain, fields.has("retain")),
            ("dup", packet.dup, fields.has("dup")),
        ] {
            if is != due {
                return Err(format!("{name} is {}", is as u8));
            }
        }
        Ok(())
    }

    fn connack(&mut self) -> Result<(), String> {
        // The flag is not in MQTT 3.1.
        let present = self.fields.has("present") && self.version != Version::V31;
        if present != self.packet.session_present {
            return Err(format!(
                "session present is {}",
                self.packet.session_present as u8
            ));
        }
        self.code("0")
    }

    fn code(&mut self, default: &str) -> Result<(), String> {
        let word = self.fields.words.iter().find(|w| *w != b"present");
        let expected = word.map_or(default.as_bytes(), |w| w).to_vec();
        self.is("the code", &expected, self.packet.code as u32)
    }

    fn codes(&mut self) -> Result<(), String> {
        if self.fields.words.len() != self.packet.codes.len() {
            return Err(format!("{} codes", self.packet.codes.len()));
        }
        for (expected, code) in self.fields.words.clone().iter().zip(&self.packet.codes) {
            self.is("a code", expected, *code as u32)?;
        }
        Ok(())
    }

    /// A PUBLISH has exactly the properties of the line, any other packet at least these and none with `!`.
    fn properties(&mut self) -> Result<(), String> {
        if self.version != Version::V5 {
            return Ok(());
        }
        let (fields, packet) = (self.fields, self.packet);
        for name in &fields.absent {
            if packet.property(name).is_some() {
                return Err(format!("it has {name}"));
            }
        }
        let keys: Vec<&String> = fields.pairs.iter().map(|(k, _)| k).collect();
        for (name, _) in &packet.properties {
            if packet.kind == mqtt::PUBLISH && !keys.iter().any(|k| k == name) {
                return Err(format!("it has {name}"));
            }
        }
        for property in &PROPERTIES {
            let name = property.name;
            let mut due: Vec<&[u8]> = fields
                .pairs
                .iter()
                .filter(|(k, _)| k == name)
                .map(|(_, v)| v.as_slice())
                .collect();
            let mut are: Vec<&Value> = packet
                .properties
                .iter()
                .filter(|(n, _)| *n == name)
                .map(|(_, v)| v)
                .collect();
            if due.is_empty() {
                continue;
            }
            if name == "sub-id" {
                due.sort_by_key(|raw| number(raw).unwrap_or(0));
                are.sort_by_key(|v| if let Value::Number(n) = v { *n } else { 0 });
            }
            if due.len() != are.len() {
                return Err(format!("it has {name} {} times", are.len()));
            }
            for (due, is) in due.into_iter().zip(are) {
                let (actual, is_number) = match is {
                    Value::Number(n) => (n.to_string().into_bytes(), true),
                    Value::Bytes(bytes) => (bytes.clone(), false),
                    Value::Pair(key, value) => ([key.as_slice(), b":", value].concat(), false),
                };
                if !self.fits(due, &actual, is_number) {
                    return Err(format!("{name} is {:?}", String::from_utf8_lossy(&actual)));
                }
            }
        }
        Ok(())
    }
}
