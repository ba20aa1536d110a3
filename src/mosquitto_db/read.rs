//! From bytes to a database.

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::fault::{Fault, Wrong};
use super::layout::{self, direction, filling, flag, kind, option};
use super::model::{Client, Database, Delivery, Source, Stage, Stored, Subscription};
use super::properties;
use super::weight::Weight;
use crate::mqtt::{QoS, is_text, topic};

/// The greatest subscription identifier (MQTT 5, 3.8.2.1.2).
const SUBSCRIPTION_ID_MAX: u32 = 268_435_455;

/// The file, or a chunk of it, and where in it is read.
#[derive(Clone, Copy)]
struct Reader<'a> {
    rest: &'a [u8],
    offset: u64,
}

impl<'a> Reader<'a> {
    fn fault(&self, wrong: Wrong) -> Fault {
        Fault {
            offset: self.offset,
            wrong,
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let (head, rest) =
            (self.rest.split_at_checked(len)).ok_or_else(|| self.fault(Wrong::Short))?;
        self.rest = rest;
        self.offset += len as u64;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let short = self.fault(Wrong::Short);
        self.take(N)?.try_into().map_err(|_| short)
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        Ok(self.array::<1>()?[0])
    }

    fn two(&mut self) -> Result<u16, Fault> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    fn four(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// As the machine has it that wrote it.
    fn eight(&mut self) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Seconds since 1970; 0 for never, and for what lies before.
    fn moment(&mut self) -> Result<u64, Fault> {
        Ok(i64::from_le_bytes(self.array()?).max(0).cast_unsigned())
    }

    fn qos(&mut self) -> Result<QoS, Fault> {
        let before = *self;
        let bits = self.byte()?;
        QoS::from_bits(bits).ok_or_else(|| before.fault(Wrong::QoS(bits)))
    }

    /// A text of so many bytes that is valid, or what is wrong.
    fn text(
        &mut self,
        len: u16,
        is_valid: impl FnOnce(&str) -> bool,
        wrong: Wrong,
    ) -> Result<&'a str, Fault> {
        let before = *self;
        let text = std::str::from_utf8(self.take(len.into())?).ok();
        let text = text.filter(|text| is_text(text) && is_valid(text));
        text.ok_or_else(|| before.fault(wrong))
    }

    /// A name that says whose something is. One that is no text is none: up to 2.0.11 at least, clients without a user name were
    /// written with whatever lies behind the name of the client before them.
    fn name(&mut self, len: u16) -> Result<Option<&'a str>, Fault> {
        let text = std::str::from_utf8(self.take(len.into())?).ok();
        Ok(text.filter(|text| !text.is_empty() && is_text(text)))
    }

    /// Properties with their length in front, up to the end; there may be nothing at all.
    fn properties(&mut self) -> Result<properties::Parts<'a>, Fault> {
        let before = *self;
        let wrong = before.fault(Wrong::Properties);
        let (mut len, mut shift) = (0, 0);
        while !before.rest.is_empty() {
            let byte = self.byte()?;
            len |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            match (byte & 0x80, shift) {
                (0, _) => break,
                (_, 28..) => return Err(wrong),
                _ => {}
            }
        }
        if len != self.rest.len() {
            return Err(wrong);
        }
        properties::parts(self.take(len)?).ok_or(wrong)
    }

    /// Nothing may be left.
    fn finish(self) -> Result<(), Fault> {
        match self.rest.len() {
            0 => Ok(()),
            more => Err(self.fault(Wrong::Long(more))),
        }
    }
}

/// What is known so far.
#[derive(Default)]
struct Reading<'a> {
    database: Database<'a>,
    /// Where a client of this identifier is.
    clients: HashMap<&'a str, usize, FixedState>,
    /// Clients of which more is known than that something is theirs.
    introduced: HashSet<usize, FixedState>,
    messages: HashSet<u64, FixedState>,
    /// Packet identifiers in flight to clients, and from clients.
    in_flight: HashSet<(usize, u16), FixedState>,
    inbound: HashSet<(usize, u16), FixedState>,
}

/// What a file says.
pub(super) fn read(file: &[u8]) -> Result<Database<'_>, Fault> {
    let mut reader = Reader {
        rest: file,
        offset: 0,
    };
    let start = reader;
    match reader.take(layout::MAGIC.len()) {
        Ok(magic) if magic == layout::MAGIC => {}
        _ => return Err(start.fault(Wrong::Magic)),
    }
    // A checksum has a place there, but nobody has ever written one.
    reader.four()?;
    let before = reader;
    let version = reader.four()?;
    if !(layout::VERSION_OLDEST..=layout::VERSION).contains(&version) {
        return Err(before.fault(Wrong::Version(version)));
    }
    let mut reading = Reading::default();
    let messages = Weight::count_messages(reader.rest);
    reading.database.messages.reserve_exact(messages);
    reading.messages.reserve(messages);
    while !reader.rest.is_empty() {
        let before = reader;
        let (kind, len) = (reader.four()?, reader.four()?);
        let chunk = Reader {
            offset: reader.offset,
            rest: reader.take(len as usize)?,
        };
        reading
            .chunk(kind, version, chunk)
            .ok_or_else(|| before.fault(Wrong::Kind(kind)))??;
    }
    Ok(reading.database)
}

impl<'a> Reading<'a> {
    /// `None` for a kind that is not known.
    fn chunk(&mut self, kind: u32, version: u32, chunk: Reader<'a>) -> Option<Result<(), Fault>> {
        Some(match kind {
            kind::CONFIGURATION => configuration(chunk),
            kind::MESSAGE => self.message(chunk),
            kind::DELIVERY => self.delivery(chunk),
            kind::RETAINED => self.retained(chunk),
            kind::SUBSCRIPTION => self.subscription(chunk),
            kind::CLIENT => self.client(chunk, version),
            _ => return None,
        })
    }

    /// The client of this identifier, who may be introduced by another chunk.
    fn client_of(&mut self, id: &'a str) -> (usize, &mut Client<'a>) {
        let clients = &mut self.database.clients;
        let index = *self.clients.entry(id).or_insert_with(|| {
            clients.push(Client {
                id,
                ..Client::default()
            });
            clients.len() - 1
        });
        (index, &mut clients[index])
    }

    fn message(&mut self, mut chunk: Reader<'a>) -> Result<(), Fault> {
        let start = chunk;
        let number = chunk.eight()?;
        let expires_at_s = chunk.moment()?;
        let payload_len = chunk.four()?;
        let source_packet = chunk.two()?;
        let (id_len, user_len, topic_len) = (chunk.two()?, chunk.two()?, chunk.two()?);
        let port = chunk.two()?;
        let (qos, retain) = (chunk.qos()?, chunk.byte()? != 0);
        let client_id = chunk.name(id_len)?;
        let user = chunk.name(user_len)?;
        let is_topic = |text: &str| topic::topic_name_valid(text) && !topic::too_deep(text);
        let topic = chunk.text(topic_len, is_topic, Wrong::Topic)?;
        let payload = chunk.take(payload_len as usize)?;
        let properties = chunk.properties()?.forwarded;
        if !self.messages.insert(number) {
            return Err(start.fault(Wrong::MessageTwice(number)));
        }
        self.database.messages.push(Stored {
            number,
            topic,
            payload,
            properties,
            qos,
            retain,
            expires_at_s,
            source: Source {
                client_id,
                user,
                port,
            },
            source_packet,
        });
        Ok(())
    }

    fn delivery(&mut self, mut chunk: Reader<'a>) -> Result<(), Fault> {
        let start = chunk;
        let number = chunk.eight()?;
        let (id, id_len) = (chunk.two()?, chunk.two()?);
        let qos = chunk.qos()?;
        let before = chunk;
        let (state, flags, way) = (chunk.byte()?, chunk.byte()?, chunk.byte()?);
        let client = chunk.text(id_len, |text| !text.is_empty(), Wrong::ClientId)?;
        let subscription_ids = chunk.properties()?.subscription_ids;
        let stage = match way {
            direction::TO_CLIENT => layout::stage_to_client(state, qos).map(Some),
            direction::FROM_CLIENT => layout::stage_from_client(state, qos),
            _ => return Err(before.fault(Wrong::Direction(way))),
        };
        let Some(stage) = stage.ok_or_else(|| before.fault(Wrong::Stage(state)))? else {
            return Ok(());
        };
        let index = self.client_of(client).0;
        let is_new = match stage {
            Stage::Waits => true,
            Stage::Inbound => id != 0 && self.inbound.insert((index, id)),
            Stage::Sent | Stage::Received => id != 0 && self.in_flight.insert((index, id)),
        };
        if !is_new {
            return Err(start.fault(Wrong::PacketId(id)));
        }
        self.database.clients[index].deliveries.push(Delivery {
            number,
            id,
            qos,
            stage,
            retain: flags & flag::RETAIN != 0,
            subscription_ids,
        });
        Ok(())
    }

    fn retained(&mut self, mut chunk: Reader<'a>) -> Result<(), Fault> {
        self.database.retained.push(chunk.eight()?);
        chunk.finish()
    }

    fn subscription(&mut self, mut chunk: Reader<'a>) -> Result<(), Fault> {
        let start = chunk;
        let id = chunk.four()?;
        let (client_len, filter_len) = (chunk.two()?, chunk.two()?);
        let (qos, options) = (chunk.qos()?, chunk.byte()?);
        chunk.take(filling::SUBSCRIPTION)?;
        let client = chunk.text(client_len, |text| !text.is_empty(), Wrong::ClientId)?;
        let filter = chunk.text(filter_len, is_filter, Wrong::Filter)?;
        chunk.finish()?;
        if id > SUBSCRIPTION_ID_MAX {
            return Err(start.fault(Wrong::SubscriptionId(id)));
        }
        self.client_of(client).1.subscriptions.push(Subscription {
            filter: filter.into(),
            qos,
            no_local: options & option::NO_LOCAL != 0,
            retain_as_published: options & option::RETAIN_AS_PUBLISHED != 0,
            id,
        });
        Ok(())
    }

    fn client(&mut self, mut chunk: Reader<'a>, version: u32) -> Result<(), Fault> {
        let start = chunk;
        let ends_at_s = chunk.moment()?;
        let expiry_s = chunk.four()?;
        let (last_id, id_len) = (chunk.two()?, chunk.two()?);
        let (mut port, mut user_len) = (0, 0);
        if version > layout::VERSION_OLDEST {
            (port, user_len) = (chunk.two()?, chunk.two()?);
            chunk.take(filling::CLIENT)?;
        }
        let id = chunk.text(id_len, |text| !text.is_empty(), Wrong::ClientId)?;
        let user = chunk.name(user_len)?;
        chunk.finish()?;
        let (index, client) = self.client_of(id);
        (client.user, client.port) = (user, port);
        (client.expiry_s, client.ends_at_s) = (expiry_s, ends_at_s);
        client.last_id = last_id;
        match self.introduced.insert(index) {
            true => Ok(()),
            false => Err(start.fault(Wrong::ClientTwice)),
        }
    }
}

fn configuration(mut chunk: Reader<'_>) -> Result<(), Fault> {
    // The number of the newest message, and whether the broker ended when it wrote this.
    chunk.eight()?;
    chunk.byte()?;
    let before = chunk;
    let bytes = chunk.byte()?;
    if bytes != layout::NUMBER_BYTES {
        return Err(before.fault(Wrong::NumberSize(bytes)));
    }
    chunk.take(filling::CONFIGURATION)?;
    chunk.finish()
}

fn is_filter(text: &str) -> bool {
    let filter = match topic::share(text) {
        None => text,
        Some(Ok((_, filter))) => filter,
        Some(Err(())) => return false,
    };
    topic::topic_filter_valid(filter) && !topic::too_deep(filter)
}
