//! The PROXY protocol, versions 1 and 2: the address of a client behind a proxy, in front of everything else.
//!
//! Whoever reaches such a listener can claim any address: it belongs where only the proxy does.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;

use ppp::{HeaderResult, v1, v2};

use crate::limits::PROXY_HEADER_BYTES_MAX;

/// What both versions begin with (version 2: `\r\n\r\n\0\r\nQUIT\n`).
const STARTS: [&[u8]; 2] = [b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n"];

/// Why a header cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(&'static str);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
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

    /// Takes bytes. When the header is whole: how many of these bytes belonged to it, and the client's address, unless
    /// the proxy speaks for itself (LOCAL) or does not know (UNKNOWN).
    ///
    /// # Errors
    /// There is no header, or a faulty or overlong one.
    pub fn receive(
        &mut self,
        bytes: &[u8],
    ) -> Result<Option<(usize, Option<SocketAddr>)>, Failure> {
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
        let Some(len) = header_len(&self.bytes).filter(|len| *len <= self.bytes.len()) else {
            return match bytes.len() < room {
                true => Ok(None),
                false => Err(Failure("its PROXY header is too long")),
            };
        };
        let (len, source) = match HeaderResult::parse(&self.bytes[..len]) {
            HeaderResult::V1(Ok(header)) => (header.header.len(), source_v1(&header.addresses)),
            HeaderResult::V2(Ok(header)) => (header.len(), source_v2(&header)),
            _ => return Err(Failure("its PROXY header is faulty")),
        };
        Ok(Some((len - before, source)))
    }
}

/// The length of the header, once it can be told; in version 1 that is when its end is there.
fn header_len(bytes: &[u8]) -> Option<usize> {
    if bytes.first() == Some(&b'P') {
        let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
        return Some(end + 2);
    }
    let fixed = bytes.first_chunk::<16>()?;
    Some(16 + usize::from(u16::from_be_bytes([fixed[14], fixed[15]])))
}

fn source_v1(addresses: &v1::Addresses) -> Option<SocketAddr> {
    match addresses {
        v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Unknown => None,
    }
}

fn source_v2(header: &v2::Header<'_>) -> Option<SocketAddr> {
    if header.command == v2::Command::Local {
        return None;
    }
    match &header.addresses {
        v2::Addresses::IPv4(ip) => Some((ip.source_address, ip.source_port).into()),
        v2::Addresses::IPv6(ip) => Some((ip.source_address, ip.source_port).into()),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
    }
}
