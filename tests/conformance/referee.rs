//! What must hold on every connection of every case, whatever its lines expect.

use std::collections::{HashMap, HashSet};

use crate::script::{Content, Fields};
use crate::support::mqtt::{self, Packet, Value, Version};

/// Watches one connection.
#[derive(Default)]
pub struct Referee {
    connect: Fields,
    accepted: bool,
    over: bool,
    /// Packet identifiers of PUBLISH packets that the client has not completed.
    in_flight: HashSet<u16>,
    aliases: HashMap<u32, Vec<u8>>,
}

impl Referee {
    /// The client sends this.
    pub fn sent(&mut self, what: &Content, packet: &[u8]) {
        if let Content::Fields(fields) = what
            && fields.kind == mqtt::CONNECT
            && !self.accepted
        {
            self.connect = fields.clone();
        }
        let kind = packet[0] >> 4;
        let Some(id) = packet.get(2..4).map(|b| u16::from_be_bytes([b[0], b[1]])) else {
            return;
        };
        let refused = kind == mqtt::PUBREC && packet.get(4).is_some_and(|code| *code >= 0x80);
        if kind == mqtt::PUBACK || kind == mqtt::PUBCOMP || refused {
            self.in_flight.remove(&id);
        }
    }

    fn asked(&self, key: &str) -> Option<u32> {
        self.connect
            .get(key)
            .and_then(|raw| crate::compose::number(raw).ok())
    }

    /// The server sent this. The topic of a PUBLISH with a topic alias is filled in, the alias taken out.
    pub fn arrived(&mut self, version: Version, packet: &mut Packet) -> Result<(), String> {
        if self.over {
            return Err("a packet after DISCONNECT or a refusing CONNACK [MQTT-3.14.4-1]".into());
        }
        if !self.accepted && packet.kind != mqtt::CONNACK && packet.kind != mqtt::AUTH {
            return Err("a packet before CONNACK [MQTT-3.2.0-1]".into());
        }
        if let Some(limit) = self.asked("max-packet").filter(|limit| *limit > 0)
            && packet.bytes.len() > limit as usize
        {
            return Err(format!(
                "{} bytes, above the maximum packet size [MQTT-3.1.2-24]",
                packet.bytes.len()
            ));
        }
        match packet.kind {
            mqtt::CONNACK if self.accepted => return Err("a second CONNACK [MQTT-3.2.0-2]".into()),
            mqtt::CONNACK => {
                self.accepted = packet.code == 0;
                self.over = packet.code != 0;
            }
            mqtt::DISCONNECT => self.over = true,
            mqtt::PUBLISH => self.publish(version, packet)?,
            _ => {}
        }
        let free = matches!(
            packet.kind,
            mqtt::PUBLISH | mqtt::CONNACK | mqtt::DISCONNECT
        );
        let informs =
            packet.property("reason-string").is_some() || packet.property("user").is_some();
        if !free && informs && self.asked("problem-info") == Some(0) {
            return Err("problem information that was not asked for [MQTT-3.1.2-29]".into());
        }
        if packet.property("response-information").is_some()
            && self.asked("response-info") != Some(1)
        {
            return Err("response information that was not asked for [MQTT-3.1.2-28]".into());
        }
        Ok(())
    }

    fn publish(&mut self, version: Version, packet: &mut Packet) -> Result<(), String> {
        if let Some(alias) = packet.number("alias") {
            if alias == 0 || alias > self.asked("alias-max").unwrap_or(0) {
                return Err(format!("topic alias {alias} [MQTT-3.1.2-26]"));
            }
            if packet.topic.is_empty() {
                packet.topic = self
                    .aliases
                    .get(&alias)
                    .ok_or("a topic alias without a topic")?
                    .clone();
            } else {
                self.aliases.insert(alias, packet.topic.clone());
            }
            packet.properties.retain(|(name, _)| *name != "alias");
        }
        if packet.topic.is_empty() || packet.topic.iter().any(|b| b"+#\0".contains(b)) {
            return Err("not a topic name [MQTT-3.3.2-2]".into());
        }
        if packet.properties.contains(&("sub-id", Value::Number(0))) {
            return Err("subscription identifier 0".into());
        }
        if let Some(id) = packet.id {
            if !self.in_flight.insert(id) {
                return Err(format!("packet identifier {id} is in use [MQTT-2.2.1-4]"));
            }
            let limit = self.asked("receive-max").unwrap_or(65_535) as usize;
            if version == Version::V5 && self.in_flight.len() > limit {
                return Err("more than receive maximum in flight [MQTT-3.3.4-9]".into());
            }
        }
        Ok(())
    }
}
