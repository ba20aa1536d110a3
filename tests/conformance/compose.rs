//! From the fields of a script's line to the bytes that a client sends.

use std::collections::HashMap;

use crate::script::{Content, Fields};
use crate::support::mqtt::{self, Form, Version, put_bytes, put_varint};

/// What `$name` stands for.
pub type Variables = HashMap<String, Vec<u8>>;

/// The bytes of a packet from a client.
pub fn compose(version: Version, what: &Content, variables: &Variables) -> Result<Vec<u8>, String> {
    let fields = match what {
        Content::Bytes(alternatives) => {
            let bytes: Option<Vec<u8>> = alternatives[0].iter().copied().collect();
            return bytes.ok_or("?? cannot be sent".into());
        }
        Content::Fields(fields) => fields,
    };
    let c = Composer {
        version,
        fields,
        variables,
    };
    let mut body = Vec::new();
    let mut flags = 0;
    match fields.kind {
        mqtt::CONNECT => c.connect(&mut body)?,
        mqtt::PUBLISH => flags = c.publish(&mut body)?,
        mqtt::PUBACK | mqtt::PUBREC | mqtt::PUBREL | mqtt::PUBCOMP => {
            flags = if fields.kind == mqtt::PUBREL { 2 } else { 0 };
            body.extend_from_slice(&c.id()?.to_be_bytes());
            c.reason(&mut body)?;
        }
        mqtt::SUBSCRIBE | mqtt::UNSUBSCRIBE => {
            flags = 2;
            body.extend_from_slice(&c.id()?.to_be_bytes());
            if version == Version::V5 {
                c.properties("", &mut body)?;
            }
            for word in &fields.words {
                c.filter(word, &mut body)?;
            }
        }
        mqtt::PINGREQ => {}
        mqtt::DISCONNECT | mqtt::AUTH => c.reason(&mut body)?,
        kind => {
            return Err(format!(
                "a client does not send {}",
                mqtt::KINDS[kind as usize]
            ));
        }
    }
    Ok(mqtt::packet(fields.kind << 4 | flags, &body))
}

struct Composer<'a> {
    version: Version,
    fields: &'a Fields,
    variables: &'a Variables,
}

impl Composer<'_> {
    fn value(&self, raw: &[u8]) -> Result<Vec<u8>, String> {
        match raw.strip_prefix(b"$") {
            Some(name) if !name.is_empty() && name.iter().all(u8::is_ascii_lowercase) => {
                let name = String::from_utf8_lossy(name).into_owned();
                self.variables
                    .get(&name)
                    .cloned()
                    .ok_or(format!("${name} has no value"))
            }
            _ => Ok(raw.to_vec()),
        }
    }

    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, String> {
        self.fields.get(key).map(|raw| self.value(raw)).transpose()
    }

    fn number(&self, key: &str) -> Result<Option<u32>, String> {
        self.get(key)?.map(|raw| number(&raw)).transpose()
    }

    fn id(&self) -> Result<u16, String> {
        Ok(self.number("id")?.ok_or("no id=")? as u16)
    }

    /// The properties whose keys begin with `prefix` ("will-" in a CONNECT), with their length in front.
    fn properties(&self, prefix: &str, out: &mut Vec<u8>) -> Result<(), String> {
        let mut block = Vec::new();
        for (key, raw) in &self.fields.pairs {
            let name = match key.strip_prefix("will-") {
                Some("delay") if prefix == "will-" => "will-delay",
                Some(rest) if prefix == "will-" => rest,
                Some(_) => continue,
                None if prefix.is_empty() => key.as_str(),
                None => continue,
            };
            let Some(p) = mqtt::property_named(name) else {
                continue;
            };
            let value = self.value(raw)?;
            block.push(p.id);
            match p.form {
                Form::Byte => block.push(number(&value)? as u8),
                Form::U16 => block.extend_from_slice(&(number(&value)? as u16).to_be_bytes()),
                Form::U32 => block.extend_from_slice(&number(&value)?.to_be_bytes()),
                Form::Varint => put_varint(&mut block, number(&value)? as usize),
                Form::Bytes => put_bytes(&mut block, &value),
                Form::Pair => {
                    let at = value
                        .iter()
                        .position(|b| *b == b':')
                        .ok_or("a user property is key:value")?;
                    put_bytes(&mut block, &value[..at]);
                    put_bytes(&mut block, &value[at + 1..]);
                }
            }
        }
        put_varint(out, block.len());
        out.extend(block);
        Ok(())
    }

    fn connect(&self, out: &mut Vec<u8>) -> Result<(), String> {
        let (user, password, will) = (
            self.get("user-name")?,
            self.get("password")?,
            self.get("will")?,
        );
        let mut flags = 0u8;
        flags |= (self.number("clean")?.unwrap_or(1) as u8) << 1;
        flags |= if will.is_some() { 4 } else { 0 };
        flags |= (self.number("will-qos")?.unwrap_or(0) as u8) << 3;
        flags |= (self.number("will-retain")?.unwrap_or(0) as u8) << 5;
        flags |= if password.is_some() { 0x40 } else { 0 };
        flags |= if user.is_some() { 0x80 } else { 0 };
        put_bytes(out, self.version.protocol_name().as_bytes());
        out.push(self.version.level());
        out.push(flags);
        out.extend_from_slice(&(self.number("keep")?.unwrap_or(0) as u16).to_be_bytes());
        if self.version == Version::V5 {
            self.properties("", out)?;
        }
        put_bytes(out, &self.get("id")?.ok_or("no id=")?);
        if let Some(topic) = will {
            if self.version == Version::V5 {
                self.properties("will-", out)?;
            }
            put_bytes(out, &topic);
            put_bytes(out, &self.get("will-payload")?.unwrap_or_default());
        }
        for field in [user, password].into_iter().flatten() {
            put_bytes(out, &field);
        }
        Ok(())
    }

    fn publish(&self, out: &mut Vec<u8>) -> Result<u8, String> {
        let qos = self.number("qos")?.unwrap_or(0) as u8;
        let words: Vec<_> = self
            .fields
            .words
            .iter()
            .filter(|w| *w != b"retain" && *w != b"dup")
            .collect();
        put_bytes(out, &self.value(words.first().ok_or("no topic")?)?);
        if qos > 0 {
            out.extend_from_slice(&self.id()?.to_be_bytes());
        }
        if self.version == Version::V5 {
            self.properties("", out)?;
        }
        if let Some(payload) = words.get(1) {
            out.extend(self.value(payload)?);
        }
        Ok((self.fields.has("dup") as u8) << 3 | qos << 1 | self.fields.has("retain") as u8)
    }

    /// A reason code and properties, as short as they may be.
    fn reason(&self, out: &mut Vec<u8>) -> Result<(), String> {
        if self.version != Version::V5 {
            return Ok(());
        }
        let code = self.fields.words.first().map(|w| number(w)).transpose()?;
        let mut properties = Vec::new();
        self.properties("", &mut properties)?;
        if code.is_some() || properties.len() > 1 {
            out.push(code.unwrap_or(0) as u8);
        }
        if properties.len() > 1 {
            out.extend(properties);
        }
        Ok(())
    }

    /// `a/b@1,nl,rap,rh2`: a filter and its options.
    fn filter(&self, word: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        if self.fields.kind == mqtt::UNSUBSCRIBE {
            put_bytes(out, word);
            return Ok(());
        }
        let (filter, options) = match word.iter().rposition(|b| *b == b'@') {
            Some(at) => (
                &word[..at],
                std::str::from_utf8(&word[at + 1..]).map_err(|e| e.to_string())?,
            ),
            None => (word, "0"),
        };
        let mut bits = 0;
        for option in options.split(',') {
            bits |= match option {
                "nl" => 4,
                "rap" => 8,
                "rh0" => 0,
                "rh1" => 16,
                "rh2" => 32,
                qos => number(qos.as_bytes())? as u8,
            };
        }
        put_bytes(out, filter);
        out.push(bits);
        Ok(())
    }
}

/// A decimal number, or one in hex with `0x` in front.
pub fn number(raw: &[u8]) -> Result<u32, String> {
    let text = String::from_utf8_lossy(raw);
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|e| format!("{text:?}: {e}"))
}
