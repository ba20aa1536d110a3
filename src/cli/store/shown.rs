//! A session, a message and a message on its way, as `dump` writes them: as JSON, or as lines for people.

use std::fmt;

use serde::Serialize;

use super::words::{base64, json, moment, quoted};
use crate::journal::{
    Errand, InFlightRead, InTransit, KeptMessage, Ledger, MessageText, SessionRead,
};
use crate::mqtt::message::Message;
use crate::mqtt::{Property, PropertyIter};
use crate::routing::EntryOptions;
use crate::session::{EXPIRY_NEVER, Way};

/// Bytes that are text, or not.
#[derive(Debug, Serialize)]
pub(super) enum Payload {
    #[serde(rename = "payload")]
    Text(String),
    #[serde(rename = "payload_base64")]
    Bytes(String),
}

impl Payload {
    pub(super) fn of(bytes: &[u8]) -> Payload {
        match std::str::from_utf8(bytes) {
            Ok(text) => Payload::Text(text.into()),
            Err(_) => Payload::Bytes(base64(bytes)),
        }
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Payload::Text(text) => f.write_str(&quoted(text)),
            Payload::Bytes(base64) => write!(f, "base64 {base64}"),
        }
    }
}

/// The properties of a message that are there.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Properties {
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_format: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_data_base64: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscription_ids: Vec<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    user_properties: Vec<(String, String)>,
}

impl Properties {
    pub(super) fn of(raw: &[u8]) -> Properties {
        let mut all = Properties::default();
        for property in PropertyIter::new(raw) {
            match property {
                Property::PayloadFormatIndicator(format) => all.payload_format = Some(format),
                Property::ContentType(text) => all.content_type = Some(text.into()),
                Property::ResponseTopic(topic) => all.response_topic = Some(topic.into()),
                Property::CorrelationData(data) => {
                    all.correlation_data_base64 = Some(base64(data));
                }
                Property::SubscriptionIdentifier(id) => all.subscription_ids.push(id),
                Property::UserProperty(name, value) => {
                    all.user_properties.push((name.into(), value.into()));
                }
                // Nothing else is kept with a message.
                _ => {}
            }
        }
        all
    }

    fn are_none(&self) -> bool {
        *self == Properties::default()
    }
}

/// A message.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    topic: String,
    qos: u8,
    retain: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    #[serde(skip_serializing_if = "Properties::are_none")]
    properties: Properties,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    bytes: usize,
    #[serde(flatten)]
    payload: Payload,
}

impl Shown {
    /// As it is written in a log.
    pub(super) fn of(text: &MessageText<'_>) -> Shown {
        let author = text.author.as_ref();
        Shown {
            topic: text.topic.into(),
            qos: text.qos as u8,
            retain: text.retain,
            expires: text.expires_at.map(moment),
            properties: Properties::of(text.properties),
            user: author.and_then(|author| author.user).map(Into::into),
            listener: author.map(|author| author.listener.into()),
            client_id: author.and_then(|author| author.client_id).map(Into::into),
            bytes: text.payload.len(),
            payload: Payload::of(text.payload),
        }
    }

    fn of_message(message: &Message, expires_at: Option<u64>) -> Shown {
        Shown::of(&MessageText::of(message, expires_at))
    }

    pub(super) fn of_kept(kept: &KeptMessage) -> Shown {
        Shown::of_message(&kept.message, kept.expires_at())
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} QoS {}", quoted(&self.topic), self.qos)?;
        if self.retain {
            f.write_str(" retain")?;
        }
        if let Some(expires) = &self.expires {
            write!(f, " expires {expires}")?;
        }
        if let Some(listener) = &self.listener {
            let user = self.user.as_deref().map_or("nobody".into(), quoted);
            write!(f, " by user {user} at {}", quoted(listener))?;
        }
        if let Some(client_id) = &self.client_id {
            write!(f, " client {}", quoted(client_id))?;
        }
        if !self.properties.are_none() {
            write!(f, " {}", json(&self.properties))?;
        }
        write!(f, " {} bytes {}", self.bytes, self.payload)
    }
}

/// A subscription.
#[derive(Debug, Serialize)]
struct Subscription {
    filter: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<String>,
    #[serde(flatten)]
    options: Options,
}

/// What is asked for with a subscription.
#[derive(Debug, Serialize)]
pub(super) struct Options {
    qos: u8,
    no_local: bool,
    retain_as_published: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u32>,
}

impl Options {
    pub(super) fn of(options: EntryOptions) -> Options {
        Options {
            qos: options.qos() as u8,
            no_local: options.no_local(),
            retain_as_published: options.retain_as_published(),
            id: Some(options.id()).filter(|id| *id != 0),
        }
    }
}

impl fmt::Display for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} QoS {}", quoted(&self.filter), self.options.qos)?;
        if let Some(share) = &self.share {
            write!(f, " shared by {}", quoted(share))?;
        }
        if self.options.no_local {
            f.write_str(" no local")?;
        }
        if self.options.retain_as_published {
            f.write_str(" retain as published")?;
        }
        match self.options.id {
            Some(id) => write!(f, " identifier {id}"),
            None => Ok(()),
        }
    }
}

/// How a message goes to a session.
#[derive(Debug, Serialize)]
pub(super) struct Granted {
    qos: u8,
    retain: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription_id: Option<u32>,
}

impl Granted {
    pub(super) fn of(way: Way) -> Granted {
        let grant = way.grant;
        Granted {
            qos: grant.qos() as u8,
            retain: grant.retain(),
            subscription_id: Some(grant.id()).filter(|id| *id != 0),
        }
    }
}

/// A message that waits or is in flight.
#[derive(Debug, Serialize)]
struct Delivery {
    #[serde(skip_serializing_if = "Option::is_none")]
    packet_id: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<bool>,
    granted: Granted,
    /// Not there: it will not be sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Shown>,
}

impl Delivery {
    fn in_flight(ledger: &Ledger, one: &InFlightRead) -> Delivery {
        let kept = one.number.and_then(|number| ledger.message(number));
        Delivery {
            packet_id: Some(one.id),
            received: Some(one.is_received),
            granted: Granted::of(one.way),
            message: kept.map(Shown::of_kept),
        }
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(id) = self.packet_id {
            write!(f, "packet identifier {id} ")?;
        }
        if self.received == Some(true) {
            f.write_str("received ")?;
        }
        write!(f, "as QoS {}", self.granted.qos)?;
        if let Some(id) = self.granted.subscription_id {
            write!(f, " for identifier {id}")?;
        }
        match &self.message {
            Some(message) => write!(f, ": {message}"),
            None => f.write_str(": without its message"),
        }
    }
}

/// A will.
#[derive(Debug, Serialize)]
struct Will {
    delay_s: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<String>,
    message: Shown,
}

/// A session.
#[derive(Debug, Serialize)]
pub(super) struct Session {
    kind: &'static str,
    client_id: String,
    shard: u8,
    connected: bool,
    /// `None`: never.
    expiry_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    will: Option<Will>,
    subscriptions: Vec<Subscription>,
    inbound: Vec<u16>,
    in_flight: Vec<Delivery>,
    waiting: Vec<Delivery>,
}

impl Session {
    /// With those messages of which `wants` says so by their topics. What is in flight without its message has none.
    pub(super) fn of(
        (shard, ledger): (u8, &Ledger),
        session: &SessionRead,
        wants: &dyn Fn(Option<&str>) -> bool,
    ) -> Session {
        let topic = |kept: &KeptMessage| wants(Some(kept.message.topic.as_str()));
        let owner = session.owner.as_ref();
        let will = session.will.as_ref();
        let in_flight = session.in_flight().filter(|one| {
            let kept = one.number.and_then(|number| ledger.message(number));
            kept.map_or_else(|| wants(None), topic)
        });
        let waiting = session.waiting().filter_map(|(number, way)| {
            let kept = ledger.message(number).filter(|kept| topic(kept))?;
            Some(Delivery {
                packet_id: None,
                received: None,
                granted: Granted::of(way),
                message: Some(Shown::of_kept(kept)),
            })
        });
        let subscriptions = session.subscriptions.iter();
        Session {
            kind: "session",
            client_id: session.client_id.to_string(),
            shard,
            connected: session.is_there,
            expiry_s: Some(session.expiry_s).filter(|s| *s != EXPIRY_NEVER),
            ends: session.ends_at.map(moment),
            user: owner.and_then(|(user, _)| user.as_deref()).map(Into::into),
            listener: owner.map(|(_, listener)| listener.to_string()),
            will: will.map(|will| Will {
                delay_s: will.delay_s,
                expiry_s: will.expiry_s,
                due: will.due_at.map(moment),
                message: Shown::of_message(&will.message, None),
            }),
            subscriptions: subscriptions
                .map(|((share, filter), options)| Subscription {
                    filter: filter.to_string(),
                    share: share.as_deref().map(Into::into),
                    options: Options::of(*options),
                })
                .collect(),
            inbound: session.inbound.iter().copied().collect(),
            in_flight: in_flight
                .map(|one| Delivery::in_flight(ledger, one))
                .collect(),
            waiting: waiting.collect(),
        }
    }

    /// Whether it has a message.
    pub(super) fn has_messages(&self) -> bool {
        !self.in_flight.is_empty() || !self.waiting.is_empty()
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "session {} shard {}",
            quoted(&self.client_id),
            self.shard
        )?;
        if let Some(listener) = &self.listener {
            let user = self.user.as_deref().map_or("nobody".into(), quoted);
            write!(f, " user {user} at {}", quoted(listener))?;
        }
        match self.expiry_s {
            None => f.write_str(" never expires")?,
            Some(0) => f.write_str(" ends with its connection")?,
            Some(seconds) => write!(f, " expires after {seconds} s")?,
        }
        match (self.connected, &self.ends) {
            (true, _) => f.write_str(" connected")?,
            (false, Some(ends)) => write!(f, " away until {ends}")?,
            (false, None) => f.write_str(" away")?,
        }
        if let Some(will) = &self.will {
            write!(f, "\n  will after {} s", will.delay_s)?;
            if let Some(due) = &will.due {
                write!(f, " due {due}")?;
            }
            write!(f, ": {}", will.message)?;
        }
        for one in &self.subscriptions {
            write!(f, "\n  subscribed {one}")?;
        }
        for id in &self.inbound {
            write!(f, "\n  holds packet identifier {id} until PUBREL")?;
        }
        for one in &self.in_flight {
            write!(f, "\n  in flight {one}")?;
        }
        for one in &self.waiting {
            write!(f, "\n  waits {one}")?;
        }
        Ok(())
    }
}

/// A retained message.
#[derive(Debug, Serialize)]
pub(super) struct Retained {
    pub(super) kind: &'static str,
    pub(super) shard: u8,
    #[serde(flatten)]
    pub(super) message: Shown,
}

impl fmt::Display for Retained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "retained {}", self.message)
    }
}

/// A message on its way from one shard to another, which a start goes on with.
#[derive(Debug, Serialize)]
pub(super) struct Transit {
    pub(super) kind: &'static str,
    pub(super) from: u8,
    pub(super) to: u8,
    pub(super) errand: String,
    #[serde(flatten)]
    pub(super) message: Shown,
}

impl Transit {
    pub(super) fn of(one: &InTransit, kept: &KeptMessage) -> Transit {
        Transit {
            kind: "transit",
            from: one.from,
            to: one.to,
            errand: errand(&one.handed.errand),
            message: Shown::of_kept(kept),
        }
    }
}

/// What is to become of a message that was handed over.
pub(super) fn errand(errand: &Errand) -> String {
    match errand {
        Errand::Deliver => "deliver".into(),
        Errand::Retain => "retain".into(),
        Errand::PassOn { targets, retains } => {
            let and = if *retains { " and retain" } else { "" };
            format!("pass on to {targets:#x}{and}")
        }
        Errand::Share { owner, group } => format!("share group {group} of shard {owner}"),
    }
}

impl fmt::Display for Transit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Transit { from, to, .. } = self;
        write!(
            f,
            "on its way from shard {from} to {to} ({}): {}",
            self.errand, self.message
        )
    }
}
