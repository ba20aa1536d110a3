//! The PROXY protocol, versions 1 and 2: the address of a client behind a proxy, in front of everything else.
//!
//! Whoever reaches such a listener can claim any address: it belongs where only the proxy does.

mod failure;
#[cfg(test)]
mod tests;
mod tlv;

pub use failure::Failure;
pub use tlv::ClientTls;

use std::net::SocketAddr;

use ppp::{HeaderResult, v1, v2};

use crate::limits::{PROXY_HEADER_BYTES_MAX, PROXY_LINE_BYTES_MAX};
use crate::mqtt;

/// What both versions begin with (version 2: `\r\n\r\n\0\r\nQUIT\n`).
const STARTS: [&[u8]; 2] = [b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n"];

/// Bytes of version 2 before the addresses.
const FIXED_BYTES: usize = 16;

const FAULTY: Failure = Failure("corrupt PROXY header");
const TOO_LONG: Failure = Failure("corrupt PROXY header: it is too long");

/// What a listener wants of the clients of its proxy, where the proxy speaks TLS with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// They speak TLS with the proxy (`proxy_protocol_v2_require_tls`).
    pub needs_tls: bool,
    /// The proxy has verified a certificate of theirs (`require_certificate`).
    pub needs_certificate: bool,
    /// Its common name is their user name (`use_identity_as_username`).
    pub is_named: bool,
}

/// What a header tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The proxy speaks for itself, to see whether somebody answers (LOCAL).
    pub is_local: bool,
    /// The client's address, where the proxy knows it.
    pub source: Option<SocketAddr>,
    pub tls: Option<ClientTls>,
}

impl Rules {
    /// The user name that the client is given, where it is let in. The proxy itself is not asked for anything.
    ///
    /// # Errors
    /// It is not let in.
    pub fn admit(&self, told: &Told) -> Result<Option<Box<str>>, Failure> {
        if told.is_local {
            return Ok(None);
        }
        let tls = told.tls.as_ref().filter(|tls| tls.is_used);
        if self.needs_tls && tls.is_none() {
            return Err(Failure("client did not connect using TLS"));
        }
        if self.needs_certificate && !tls.is_some_and(|tls| tls.has_certificate) {
            return Err(Failure("client did not provide a certificate"));
        }
        let name = tls
            .filter(|_| self.is_named)
            .and_then(|tls| tls.name.clone());
        // What no packet could bring is no name here either.
        Ok(name.filter(|name| !name.is_empty() && mqtt::is_text(name)))
    }
}

/// A header, as far as it has come.
#[derive(Default)]
pub struct Header {
    bytes: Vec<u8>,
}

impl Header {
    /// Nothing has come.
    pub fn new() -> Header {
        Header::default()
    }

    /// Bytes held of a header that is not whole.
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Takes bytes. When the header is whole: how many of these bytes belonged to it, and what it tells.
    ///
    /// # Errors
    /// There is no header, or a faulty or overlong one: as soon as that can be seen.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<(usize, Told)>, Failure> {
        let before = self.bytes.len();
        let room = PROXY_HEADER_BYTES_MAX - before;
        self.bytes
            .extend_from_slice(&bytes[..room.min(bytes.len())]);
        let may_begin = |start: &&[u8]| {
            let len = start.len().min(self.bytes.len());
            start[..len] == self.bytes[..len]
        };
        if !STARTS.iter().any(may_begin) {
            return Err(Failure(
                "it sends no PROXY header (see enable_proxy_protocol)",
            ));
        }
        // The parser is asked about whole headers only: it takes some that are cut short for faulty ones.
        let Some(len) = header_len(&self.bytes)?.filter(|len| *len <= self.bytes.len()) else {
            return Ok(None);
        };
        let told = read(&self.bytes[..len])?;
        Ok(Some((len - before, told)))
    }
}

/// The length of the header, once it can be told; in version 1 that is when its end is there. What comes before that is
/// looked at as it comes.
fn header_len(bytes: &[u8]) -> Result<Option<usize>, Failure> {
    if bytes.first() == Some(&b'P') {
        let line = &bytes[..bytes.len().min(PROXY_LINE_BYTES_MAX)];
        let end = line.windows(2).position(|pair| pair == b"\r\n");
        return match end {
            None if line.len() == PROXY_LINE_BYTES_MAX => Err(TOO_LONG),
            end => Ok(end.map(|end| end + 2)),
        };
    }
    let version = bytes.get(12).copied();
    if version.is_some_and(|version| !matches!(version, 0x20 | 0x21)) {
        return Err(FAULTY);
    }
    let is_local = version == Some(0x20);
    let addresses = match bytes.get(13) {
        Some(family) if !is_local => address_bytes(*family).ok_or(FAULTY)?,
        _ => 0,
    };
    let Some(fixed) = bytes.first_chunk::<FIXED_BYTES>() else {
        return Ok(None);
    };
    let rest = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    match FIXED_BYTES + rest {
        _ if rest < addresses => Err(FAULTY),
        len if len > PROXY_HEADER_BYTES_MAX => Err(TOO_LONG),
        len => Ok(Some(len)),
    }
}

/// Bytes of both addresses of a family and transport (2.2 of the protocol); `None` for what does not exist.
fn address_bytes(family: u8) -> Option<usize> {
    match family {
        0x00 => Some(0),
        0x11 | 0x12 => Some(12),
        0x21 | 0x22 => Some(36),
        0x31 | 0x32 => Some(216),
        _ => None,
    }
}

/// Reads a whole header.
fn read(bytes: &[u8]) -> Result<Told, Failure> {
    let is_local = bytes.first() != Some(&b'P') && bytes.get(12) == Some(&0x20);
    if is_local {
        // Whatever else it says is not looked at, as the protocol asks.
        return Ok(Told {
            is_local,
            ..Told::default()
        });
    }
    match HeaderResult::parse(bytes) {
        HeaderResult::V1(Ok(header)) => Ok(Told {
            source: source_v1(&header.addresses),
            ..Told::default()
        }),
        HeaderResult::V2(Ok(header)) => {
            let family = bytes.get(13).copied().unwrap_or_default();
            let start = FIXED_BYTES + address_bytes(family).ok_or(FAULTY)?;
            let tls = match tlv::read(bytes, start) {
                // Where the addresses are not known, what is there instead of them need not be fields.
                Err(_) if family == 0 => None,
                tls => tls?,
            };
            Ok(Told {
                is_local,
                source: source_v2(&header.addresses),
                tls,
            })
        }
        _ => Err(FAULTY),
    }
}

fn source_v1(addresses: &v1::Addresses) -> Option<SocketAddr> {
    match addresses {
        v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Unknown => None,
    }
}

fn source_v2(addresses: &v2::Addresses) -> Option<SocketAddr> {
    match addresses {
        v2::Addresses::IPv4(ip) => Some((ip.source_address, ip.source_port).into()),
        v2::Addresses::IPv6(ip) => Some((ip.source_address, ip.source_port).into()),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
    }
}
