//! Any packet, and the way to it from a frame.

use super::ack::{Ack, AckKind};
use super::auth::Auth;
use super::connack::Connack;
use super::connect::Connect;
use super::disconnect::Disconnect;
use super::error::DecodeError;
use super::frame::{Frame, check_header};
use super::publish::Publish;
use super::read::Reader;
use super::suback::Suback;
use super::subscribe::Subscribe;
use super::types::{PacketType, Version};
use super::unsuback::Unsuback;
use super::unsubscribe::Unsubscribe;

/// A decoded packet, which borrows from the bytes received.
// CONNECT is several times as large as the others; to box it would cost an allocation, and nothing keeps a `Packet`.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    Connect(Connect<'a>),
    Connack(Connack<'a>),
    Publish(Publish<'a>),
    Puback(Ack<'a>),
    Pubrec(Ack<'a>),
    Pubrel(Ack<'a>),
    Pubcomp(Ack<'a>),
    Subscribe(Subscribe<'a>),
    Suback(Suback<'a>),
    Unsubscribe(Unsubscribe<'a>),
    Unsuback(Unsuback<'a>),
    Pingreq,
    Pingresp,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

/// Decodes one whole packet: `packet` are the `frame.total_len` bytes that `frame` was found for. A CONNECT says its
/// version itself; there `version` has no meaning.
#[inline]
pub fn decode<'a>(
    version: Version,
    packet: &'a [u8],
    frame: &Frame,
) -> Result<Packet<'a>, DecodeError> {
    let body = packet
        .get(frame.header_len..frame.total_len)
        .ok_or(DecodeError::Truncated)?;
    let body = Reader::new(body);
    // The two that come by the million go first.
    match frame.packet_type() {
        Some(PacketType::Publish) => {
            check_header(version, frame)?;
            Publish::read(version, frame.first, body).map(Packet::Publish)
        }
        Some(PacketType::Puback) => {
            check_header(version, frame)?;
            Ack::read(version, AckKind::Puback, body).map(Packet::Puback)
        }
        Some(PacketType::Connect) => Connect::read(frame, body).map(Packet::Connect),
        Some(other) => {
            check_header(version, frame)?;
            decode_other(version, other, body)
        }
        None => Err(DecodeError::PacketTypeReserved),
    }
}

fn decode_other(
    version: Version,
    packet: PacketType,
    body: Reader<'_>,
) -> Result<Packet<'_>, DecodeError> {
    match packet {
        PacketType::Connack => Connack::read(version, body).map(Packet::Connack),
        PacketType::Pubrec => Ack::read(version, AckKind::Pubrec, body).map(Packet::Pubrec),
        PacketType::Pubrel => Ack::read(version, AckKind::Pubrel, body).map(Packet::Pubrel),
        PacketType::Pubcomp => Ack::read(version, AckKind::Pubcomp, body).map(Packet::Pubcomp),
        PacketType::Subscribe => Subscribe::read(version, body).map(Packet::Subscribe),
        PacketType::Suback => Suback::read(version, body).map(Packet::Suback),
        PacketType::Unsubscribe => Unsubscribe::read(version, body).map(Packet::Unsubscribe),
        PacketType::Unsuback => Unsuback::read(version, body).map(Packet::Unsuback),
        PacketType::Pingreq => body.finish().map(|()| Packet::Pingreq),
        PacketType::Pingresp => body.finish().map(|()| Packet::Pingresp),
        PacketType::Disconnect => Disconnect::read(version, body).map(Packet::Disconnect),
        PacketType::Auth if version.has_properties() => Auth::read(body).map(Packet::Auth),
        PacketType::Auth | PacketType::Connect | PacketType::Publish | PacketType::Puback => {
            Err(DecodeError::PacketTypeReserved)
        }
    }
}
