//! Packets that a server sends, taken apart. It is strict: trailing bytes, a variable byte integer that is longer than needed,
//! a property twice or in the wrong packet are errors.

use super::properties::{Form, PROPERTIES};
use super::{
    AUTH, CONNACK, DISCONNECT, KINDS, PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK,
    UNSUBACK, Version, varint,
};

/// A property's value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    Number(u32),
    Bytes(Vec<u8>),
    Pair(Vec<u8>, Vec<u8>),
}

/// A packet from a server.
#[derive(Clone, Debug, Default)]
pub struct Packet {
    pub kind: u8,
    pub dup: bool,
    pub qos: u8,
    pub retain: bool,
    pub id: Option<u16>,
    pub session_present: bool,
    pub code: u8,
    pub codes: Vec<u8>,
    pub topic: Vec<u8>,
    pub payload: Vec<u8>,
    pub properties: Vec<(&'static str, Value)>,
    /// All of it.
    pub bytes: Vec<u8>,
}

impl Packet {
    /// The value of a property that occurs at most once.
    pub fn property(&self, name: &str) -> Option<&Value> {
        self.properties
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v)
    }

    /// The value of a numeric property.
    pub fn number(&self, name: &str) -> Option<u32> {
        match self.property(name) {
            Some(Value::Number(n)) => Some(*n),
            _ => None,
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        if self.0.len() < n {
            return Err("packet ends too early".into());
        }
        let (head, rest) = self.0.split_at(n);
        self.0 = rest;
        Ok(head)
    }

    fn u8(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, String> {
        Ok(u16::from_be_bytes(self.take(2)?.try_into().unwrap()))
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_be_bytes(self.take(4)?.try_into().unwrap()))
    }

    fn varint(&mut self) -> Result<usize, String> {
        let (value, n) = varint(self.0)?.ok_or("packet ends too early")?;
        self.take(n)?;
        Ok(value)
    }

    fn string(&mut self) -> Result<Vec<u8>, String> {
        let n = self.u16()? as usize;
        Ok(self.take(n)?.to_vec())
    }

    fn properties(&mut self, kind: u8) -> Result<Vec<(&'static str, Value)>, String> {
        let len = self.varint()?;
        let mut inner = Reader(self.take(len)?);
        let mut list: Vec<(&'static str, Value)> = Vec::new();
        while !inner.0.is_empty() {
            let id = inner.varint()?;
            let p = PROPERTIES
                .iter()
                .find(|p| p.id as usize == id)
                .ok_or(format!("unknown property {id:#04x}"))?;
            if !p.server.contains(&kind) {
                return Err(format!(
                    "property {} does not belong in {} from a server",
                    p.name, KINDS[kind as usize]
                ));
            }
            if p.name != "user" && p.name != "sub-id" && list.iter().any(|(n, _)| *n == p.name) {
                return Err(format!("property {} twice", p.name));
            }
            list.push((p.name, inner.value(p.form)?));
        }
        Ok(list)
    }

    fn value(&mut self, form: Form) -> Result<Value, String> {
        Ok(match form {
            Form::Byte => Value::Number(self.u8()? as u32),
            Form::U16 => Value::Number(self.u16()? as u32),
            Form::U32 => Value::Number(self.u32()?),
            Form::Varint => Value::Number(self.varint()? as u32),
            Form::Bytes => Value::Bytes(self.string()?),
            Form::Pair => Value::Pair(self.string()?, self.string()?),
        })
    }
}

/// Decodes one whole packet from a server.
pub fn decode(version: Version, bytes: &[u8]) -> Result<Packet, String> {
    let mut r = Reader(bytes);
    let first = r.u8()?;
    r.varint()?;
    let mut p = Packet {
        kind: first >> 4,
        bytes: bytes.to_vec(),
        ..Packet::default()
    };
    let v5 = version == Version::V5;
    let flags_due = if p.kind == PUBREL { 2 } else { 0 };
    if p.kind != PUBLISH && first & 15 != flags_due {
        return Err(format!("reserved flags {:#x} [MQTT-2.1.3-1]", first & 15));
    }
    match p.kind {
        CONNACK => {
            let flags = r.u8()?;
            if flags > 1 {
                return Err("reserved CONNACK flags [MQTT-3.2.2-1]".into());
            }
            p.session_present = flags == 1;
            p.code = r.u8()?;
            if v5 {
                p.properties = r.properties(p.kind)?;
            }
        }
        PUBLISH => decode_publish(&mut r, &mut p, first, v5)?,
        PUBACK | PUBREC | PUBREL | PUBCOMP => {
            p.id = Some(r.u16()?);
            if v5 && !r.0.is_empty() {
                p.code = r.u8()?;
                if !r.0.is_empty() {
                    p.properties = r.properties(p.kind)?;
                }
            }
        }
        SUBACK | UNSUBACK => {
            p.id = Some(r.u16()?);
            if v5 {
                p.properties = r.properties(p.kind)?;
            }
            if v5 || p.kind == SUBACK {
                p.codes = r.take(r.0.len())?.to_vec();
            }
        }
        DISCONNECT | AUTH if v5 => {
            if !r.0.is_empty() {
                p.code = r.u8()?;
                if !r.0.is_empty() {
                    p.properties = r.properties(p.kind)?;
                }
            }
        }
        PINGRESP => {}
        _ => return Err(format!("a server does not send {}", KINDS[p.kind as usize])),
    }
    if !r.0.is_empty() {
        return Err(format!("{} bytes too many", r.0.len()));
    }
    Ok(p)
}

fn decode_publish(r: &mut Reader, p: &mut Packet, first: u8, v5: bool) -> Result<(), String> {
    p.dup = first & 8 != 0;
    p.qos = first >> 1 & 3;
    p.retain = first & 1 != 0;
    if p.qos == 3 {
        return Err("QoS 3 [MQTT-3.3.1-4]".into());
    }
    if p.qos == 0 && p.dup {
        return Err("DUP with QoS 0 [MQTT-3.3.1-2]".into());
    }
    p.topic = r.string()?;
    if p.qos > 0 {
        p.id = Some(r.u16()?);
        if p.id == Some(0) {
            return Err("packet identifier 0 [MQTT-2.2.1-4]".into());
        }
    }
    if v5 {
        p.properties = r.properties(p.kind)?;
    }
    p.payload = r.take(r.0.len())?.to_vec();
    Ok(())
}

/// A packet as a reader wants to see it.
pub fn show(version: Version, bytes: &[u8]) -> String {
    let hex: String = bytes.iter().take(64).map(|b| format!("{b:02x} ")).collect();
    let more = if bytes.len() > 64 {
        format!("... {} bytes", bytes.len())
    } else {
        String::new()
    };
    let Ok(p) = decode(version, bytes) else {
        return format!("bytes {hex}{more}");
    };
    let mut text = KINDS[p.kind as usize].to_string();
    let mut word = |w: String| {
        text.push(' ');
        text.push_str(&w);
    };
    if p.kind == PUBLISH {
        let payload = String::from_utf8_lossy(&p.payload[..p.payload.len().min(40)]).into_owned();
        word(format!(
            "{} {payload:?} qos={}",
            String::from_utf8_lossy(&p.topic),
            p.qos
        ));
        if p.retain {
            word("retain".into());
        }
        if p.dup {
            word("dup".into());
        }
    }
    if let Some(id) = p.id {
        word(format!("id={id}"));
    }
    if p.session_present {
        word("present".into());
    }
    if matches!(
        p.kind,
        CONNACK | PUBACK | PUBREC | PUBREL | PUBCOMP | DISCONNECT | AUTH
    ) {
        word(format!("{:#04x}", p.code));
    }
    for code in &p.codes {
        word(format!("{code:#04x}"));
    }
    for (name, value) in &p.properties {
        word(match value {
            Value::Number(n) => format!("{name}={n}"),
            Value::Bytes(b) => format!("{name}={:?}", String::from_utf8_lossy(b)),
            Value::Pair(k, v) => format!(
                "{name}={}:{}",
                String::from_utf8_lossy(k),
                String::from_utf8_lossy(v)
            ),
        });
    }
    format!("{text}   ({hex}{more})")
}
