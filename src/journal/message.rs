//! An application message as the journal writes it.

use std::sync::Arc;

use bytes::Bytes;

use super::bytes::{Reader, put_bytes, put_bytes_or_none, put_near, put_number};
use super::error::Broken;
use crate::mqtt::author::{Author, CameBy, ListenerName};
use crate::mqtt::message::{Holders, Message, NEVER, Sent};
use crate::mqtt::{QoS, Topic};

/// What is written of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageText<'a> {
    /// The topic name, with the mount point.
    pub topic: &'a str,
    /// The payload.
    pub payload: &'a [u8],
    /// The properties that are passed on, encoded.
    pub properties: &'a [u8],
    /// The QoS with which it was published.
    pub qos: QoS,
    /// Its RETAIN flag.
    pub retain: bool,
    /// When it expires, in milliseconds since 1970.
    pub expires_at: Option<u64>,
    /// The serial of the session that published it; 0 for none.
    pub origin: u64,
    /// Who stored it, where that is asked for.
    pub author: Option<AuthorText<'a>>,
}

/// Who stored a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthorText<'a> {
    /// The user name.
    pub user: Option<&'a str>,
    /// The name of the listener.
    pub listener: &'a str,
    /// The client identifier, where rules ask for it.
    pub client_id: Option<&'a str>,
}

const QOS_MASK: u8 = 0b11;
const RETAIN: u8 = 1 << 2;
const EXPIRES: u8 = 1 << 3;
const PROPERTIES: u8 = 1 << 4;
const AUTHOR: u8 = 1 << 5;
const FLAGS: u8 = 0b11_1111;

impl<'a> MessageText<'a> {
    /// What is written of this one. Its expiry, told as wall-clock time, comes from who knows that.
    pub fn of(message: &'a Message, expires_at: Option<u64>) -> Self {
        let author = message.author.as_deref();
        MessageText {
            topic: &message.topic,
            payload: &message.payload,
            properties: &message.properties,
            qos: message.qos,
            retain: message.retain,
            expires_at,
            origin: message.origin,
            author: author.map(|author| AuthorText {
                user: author.user.as_deref(),
                listener: author.came_by.name().text(),
                client_id: author.client_id.as_deref(),
            }),
        }
    }

    /// Appends it. `origin` is that of the message before.
    pub(super) fn encode(&self, origin: u64, out: &mut Vec<u8>) {
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        out.push(
            self.qos as u8
                | flag(self.retain, RETAIN)
                | flag(self.expires_at.is_some(), EXPIRES)
                | flag(!self.properties.is_empty(), PROPERTIES)
                | flag(self.author.is_some(), AUTHOR),
        );
        put_near(out, origin, self.origin);
        put_bytes(out, self.topic.as_bytes());
        put_bytes(out, self.payload);
        if let Some(expires_at) = self.expires_at {
            put_number(out, expires_at);
        }
        if !self.properties.is_empty() {
            put_bytes(out, self.properties);
        }
        if let Some(author) = &self.author {
            put_bytes_or_none(out, author.user.map(str::as_bytes));
            put_bytes(out, author.listener.as_bytes());
            put_bytes_or_none(out, author.client_id.map(str::as_bytes));
        }
    }

    pub(super) fn decode(origin: u64, reader: &mut Reader<'a>) -> Result<Self, Broken> {
        let flags = reader.byte()?;
        if flags & !FLAGS != 0 {
            return Err(Broken::Number);
        }
        let qos = match flags & QOS_MASK {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            2 => QoS::ExactlyOnce,
            _ => return Err(Broken::Number),
        };
        Ok(MessageText {
            qos,
            retain: flags & RETAIN != 0,
            origin: reader.near(origin)?,
            topic: reader.text()?,
            payload: reader.bytes()?,
            expires_at: match flags & EXPIRES {
                0 => None,
                // The last moment there is is never, and is told so.
                _ => Some(reader.number()?).filter(|&at| at != NEVER),
            },
            properties: match flags & PROPERTIES {
                0 => &[],
                _ => reader.bytes()?,
            },
            author: match flags & AUTHOR {
                0 => None,
                _ => Some(AuthorText {
                    user: reader.text_or_none()?,
                    listener: reader.text()?,
                    client_id: reader.text_or_none()?,
                }),
            },
        })
    }

    /// Bytes that the message costs whoever holds it (`Message::cost`).
    pub(super) fn cost(&self) -> u64 {
        let len = |text: Option<&str>| text.map_or(0, str::len);
        let author = self.author.map_or(0, |author| {
            size_of::<Author>() + len(author.user) + len(author.client_id)
        });
        let texts = self.topic.len() + self.payload.len() + self.properties.len();
        (size_of::<Message>() + texts + author) as u64
    }

    /// The message again. Its expiry stays beside it until there is a clock to tell it by.
    pub fn to_message(&self) -> Result<Message, Broken> {
        let author = self.author.map(|author| {
            Arc::new(Author {
                user: author.user.map(Into::into),
                came_by: CameBy::new(&ListenerName::new(author.listener)),
                client_id: author.client_id.map(Into::into),
            })
        });
        Ok(Message {
            topic: Topic::new(self.topic).ok_or(Broken::Text)?,
            payload: Bytes::copy_from_slice(self.payload),
            properties: Bytes::copy_from_slice(self.properties),
            qos: self.qos,
            retain: self.retain,
            expires_at_ms: NEVER,
            origin: self.origin,
            author,
            sent: Sent::default(),
            holders: Holders::default(),
        })
    }
}
