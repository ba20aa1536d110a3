//! What a header of version 2 carries behind the addresses: fields of a type, a length and a value. Those about the
//! client's TLS are understood, and the checksum.

use super::failure::Failure;

/// The CRC32c of the whole header.
const TYPE_CRC32C: u8 = 0x03;
/// What the proxy knows of the client's TLS: flags, a result, and fields of its own.
const TYPE_SSL: u8 = 0x20;
/// The common name of the client's certificate.
const SUBTYPE_SSL_CN: u8 = 0x22;

/// The client speaks TLS.
const CLIENT_SSL: u8 = 0x01;
/// It has shown a certificate in this TLS session, of which this may be a later connection.
const CLIENT_CERT_SESS: u8 = 0x04;

/// Bytes of type and length.
const HEAD_BYTES: usize = 3;
/// Bytes of flags and result.
const SSL_HEAD_BYTES: usize = 5;

/// Castagnoli's polynomial, its bits the other way round.
const POLYNOMIAL: u32 = 0x82f6_3b78;

const CORRUPT: Failure = Failure("corrupt PROXY header: its fields cannot be read");
const CHANGED: Failure = Failure("corrupt PROXY header: its checksum is wrong");

/// What the proxy tells of a client's TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// Whether it speaks TLS at all.
    pub is_used: bool,
    /// Whether it has a certificate that the proxy has verified.
    pub has_certificate: bool,
    /// That certificate's common name.
    pub name: Option<Box<str>>,
}

/// Reads the fields of a whole header, which begin at `start`.
pub(super) fn read(header: &[u8], start: usize) -> Result<Option<ClientTls>, Failure> {
    let mut tls = None;
    let mut rest = header.get(start..).ok_or(CORRUPT)?;
    while !rest.is_empty() {
        let (kind, value, behind) = field(rest)?;
        match kind {
            TYPE_SSL => tls = Some(client_tls(value)?),
            TYPE_CRC32C => check(header, header.len() - behind.len() - value.len(), value)?,
            _ => {}
        }
        rest = behind;
    }
    Ok(tls)
}

/// The first field: its type, its value, and what is behind it.
fn field(bytes: &[u8]) -> Result<(u8, &[u8], &[u8]), Failure> {
    let (head, rest) = bytes.split_at_checked(HEAD_BYTES).ok_or(CORRUPT)?;
    let len = usize::from(u16::from_be_bytes([head[1], head[2]]));
    let (value, behind) = rest.split_at_checked(len).ok_or(CORRUPT)?;
    Ok((head[0], value, behind))
}

fn client_tls(value: &[u8]) -> Result<ClientTls, Failure> {
    let (head, mut rest) = value.split_at_checked(SSL_HEAD_BYTES).ok_or(CORRUPT)?;
    let (flags, result) = (head[0], &head[1..]);
    let mut name = None;
    while !rest.is_empty() {
        let (kind, value, behind) = field(rest)?;
        if kind == SUBTYPE_SSL_CN {
            name = Some(std::str::from_utf8(value).map_err(|_| CORRUPT)?.into());
        }
        rest = behind;
    }
    let has = |flag| flags & flag != 0;
    let is_used = has(CLIENT_SSL);
    // The result is that of the certificate's verification: 0 is good.
    let has_certificate = is_used && has(CLIENT_CERT_SESS) && result == [0; 4];
    Ok(ClientTls {
        is_used,
        has_certificate,
        // A name that nobody has verified is anybody's.
        name: name.filter(|_| has_certificate),
    })
}

/// Compares the checksum at this place with that of the header, in which it counts as zeros.
fn check(header: &[u8], at: usize, value: &[u8]) -> Result<(), Failure> {
    let wanted = value.first_chunk::<4>().filter(|_| value.len() == 4);
    let wanted = u32::from_be_bytes(*wanted.ok_or(CORRUPT)?);
    let bytes = header.iter().enumerate();
    let zeroed = bytes.map(|(index, byte)| match (at..at + 4).contains(&index) {
        true => 0,
        false => *byte,
    });
    match crc32c(zeroed) == wanted {
        true => Ok(()),
        false => Err(CHANGED),
    }
}

/// CRC32c (RFC 3720, B.4), bit by bit: a header is short, and seldom has one.
fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    /// RFC 3720, B.4.
    #[test]
    fn the_checksum_is_castagnolis() {
        let of = |bytes: &[u8]| super::crc32c(bytes.iter().copied());
        assert_eq!(of(b"123456789"), 0xe306_9283);
        assert_eq!(of(&[0; 32]), 0x8a91_36aa);
        assert_eq!(of(&[0xff; 32]), 0x62a8_ab43);
    }
}
