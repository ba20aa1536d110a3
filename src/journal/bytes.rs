//! Numbers and texts as the journal writes them, and the way back.
//!
//! A number is a LEB128 varint: seven bits a byte, the least first, the highest bit set where more follow. Differences that may be
//! below zero are folded first (zigzag), so that small ones stay short. A text is its length and its bytes.
//!
//! What is read comes from a disk: nothing here trusts a length.

use super::error::Broken;

/// Bytes that a number takes at most.
pub(super) const NUMBER_BYTES_MAX: usize = 10;

/// Appends a number.
#[inline]
pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a number by its distance from another one.
#[inline]
pub(super) fn put_near(out: &mut Vec<u8>, from: u64, number: u64) {
    let distance = number.wrapping_sub(from) as i64;
    put_number(out, (distance << 1 ^ distance >> 63) as u64);
}

/// Appends bytes with their length.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends bytes that may be absent.
pub(super) fn put_bytes_or_none(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => out.push(0),
        Some(bytes) => {
            put_number(out, bytes.len() as u64 + 1);
            out.extend_from_slice(bytes);
        }
    }
}

/// Appends a number that may be absent.
pub(super) fn put_number_or_none(out: &mut Vec<u8>, number: Option<u64>) {
    out.push(u8::from(number.is_some()));
    if let Some(number) = number {
        put_number(out, number);
    }
}

/// What is left to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// All that is left.
    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// So many bytes, or all that are left.
    pub(super) fn up_to(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Broken> {
        let (&first, rest) = self.rest.split_first().ok_or(Broken::Short)?;
        self.rest = rest;
        Ok(first)
    }

    #[inline]
    pub(super) fn number(&mut self) -> Result<u64, Broken> {
        let mut number = 0u64;
        for shift in (0..7 * NUMBER_BYTES_MAX as u32).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Broken::Number);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Broken::Number)
    }

    #[inline]
    pub(super) fn near(&mut self, from: u64) -> Result<u64, Broken> {
        let folded = self.number()?;
        let distance = (folded >> 1) as i64 ^ -((folded & 1) as i64);
        Ok(from.wrapping_add(distance as u64))
    }

    /// A number that fits a smaller type.
    #[inline]
    pub(super) fn small<T: TryFrom<u64>>(&mut self) -> Result<T, Broken> {
        T::try_from(self.number()?).map_err(|_| Broken::Number)
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], Broken> {
        let len = usize::try_from(len).map_err(|_| Broken::Short)?;
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Broken::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Broken> {
        let len = self.number()?;
        self.take(len)
    }

    pub(super) fn bytes_or_none(&mut self) -> Result<Option<&'a [u8]>, Broken> {
        match self.number()? {
            0 => Ok(None),
            len => self.take(len - 1).map(Some),
        }
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Broken> {
        str::from_utf8(self.bytes()?).map_err(|_| Broken::Text)
    }

    pub(super) fn text_or_none(&mut self) -> Result<Option<&'a str>, Broken> {
        let bytes = self.bytes_or_none()?;
        bytes
            .map(str::from_utf8)
            .transpose()
            .map_err(|_| Broken::Text)
    }

    pub(super) fn number_or_none(&mut self) -> Result<Option<u64>, Broken> {
        match self.byte()? {
            0 => Ok(None),
            1 => self.number().map(Some),
            _ => Err(Broken::Number),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(numbers: Vec<u64>, from: u64) {
            let mut bytes = Vec::new();
            for &number in &numbers {
                put_number(&mut bytes, number);
                put_near(&mut bytes, from, number);
                put_number_or_none(&mut bytes, (number % 3 > 0).then_some(number));
            }
            let mut reader = Reader::new(&bytes);
            for &number in &numbers {
                prop_assert_eq!(reader.number(), Ok(number));
                prop_assert_eq!(reader.near(from), Ok(number));
                prop_assert_eq!(reader.number_or_none(), Ok((number % 3 > 0).then_some(number)));
            }
            prop_assert_eq!(reader.left(), 0);
        }

        #[test]
        fn bytes_come_back(parts: Vec<Option<Vec<u8>>>) {
            let mut bytes = Vec::new();
            for part in &parts {
                put_bytes_or_none(&mut bytes, part.as_deref());
                put_bytes(&mut bytes, part.as_deref().unwrap_or_default());
            }
            let mut reader = Reader::new(&bytes);
            for part in &parts {
                prop_assert_eq!(reader.bytes_or_none(), Ok(part.as_deref()));
                prop_assert_eq!(reader.bytes(), Ok(part.as_deref().unwrap_or_default()));
            }
            prop_assert_eq!(reader.left(), 0);
        }

        #[test]
        fn anything_is_read_without_harm(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            while reader.left() > 0 {
                let mut other = reader;
                let _ = (other.text(), other.number_or_none(), other.small::<u16>());
                let _ = reader.byte();
            }
        }
    }

    #[test]
    fn near_numbers_are_short() {
        for (from, number, len) in [(100, 100, 1), (100, 37, 1), (100, 163, 1), (100, 164, 2)] {
            let mut bytes = Vec::new();
            put_near(&mut bytes, from, number);
            assert_eq!(bytes.len(), len, "{from} to {number}");
        }
    }

    #[test]
    fn a_number_that_is_too_long_is_refused() {
        let mut reader = Reader::new(&[0xff; 11]);
        assert_eq!(reader.number(), Err(Broken::Number));
        let mut reader = Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]);
        assert_eq!(reader.number(), Err(Broken::Number));
    }
}
