//! Payloads written field by field into a buffer that is used again: no tree, no escaping on the way.
//!
//! Strings are copied as they are. What might need escapes is escaped once, when the texts are made.

use super::event::{STAMP_CHARS, STAMP_OFFSET};

/// What every payload begins with: room for the tester's stamp.
const HEAD: &str = concat!(
    "{\"fh\":\"",
    "000000000000000000000000000000000000000000000000",
    "\""
);

const _: () = assert!(HEAD.len() == STAMP_OFFSET + STAMP_CHARS + 1);

/// A writer of JSON; commas come by themselves.
pub(super) struct Json<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Json<'a> {
    /// Begins a payload: an object whose first field is the stamp's.
    pub(super) fn payload(out: &'a mut Vec<u8>) -> Self {
        out.clear();
        out.extend_from_slice(HEAD.as_bytes());
        Json { out }
    }

    /// Begins a part that is kept and written into payloads later: an object.
    pub(super) fn part(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Json { out }
    }

    /// Ends an object.
    pub(super) fn end(&mut self) {
        self.out.push(b'}');
    }

    /// Ends an array.
    pub(super) fn end_array(&mut self) {
        self.out.push(b']');
    }

    #[inline]
    fn comma(&mut self) {
        if !matches!(self.out.last(), Some(b'{' | b'[')) {
            self.out.push(b',');
        }
    }

    #[inline]
    fn key(&mut self, key: &str) {
        self.comma();
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// A field that is an object; `end` ends it.
    pub(super) fn object(&mut self, key: &str) {
        self.key(key);
        self.out.push(b'{');
    }

    /// A field that is an array; `end_array` ends it.
    pub(super) fn array(&mut self, key: &str) {
        self.key(key);
        self.out.push(b'[');
    }

    /// An object in an array; `end` ends it.
    pub(super) fn item_object(&mut self) {
        self.comma();
        self.out.push(b'{');
    }

    /// A string in an array.
    pub(super) fn item(&mut self, text: &str) {
        self.comma();
        self.quoted(text);
    }

    /// A field whose value is JSON already.
    pub(super) fn raw(&mut self, key: &str, json: &[u8]) {
        self.key(key);
        self.out.extend_from_slice(json);
    }

    pub(super) fn string(&mut self, key: &str, text: &str) {
        self.key(key);
        self.quoted(text);
    }

    /// A string put together from pieces.
    pub(super) fn string_of(&mut self, key: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.key(key);
        self.out.push(b'"');
        write(self.out);
        self.out.push(b'"');
    }

    pub(super) fn number(&mut self, key: &str, number: u64) {
        self.key(key);
        push_number(self.out, number);
    }

    /// A number below zero.
    pub(super) fn negative(&mut self, key: &str, magnitude: u64) {
        self.raw(key, b"-");
        push_number(self.out, magnitude);
    }

    pub(super) fn boolean(&mut self, key: &str, value: bool) {
        self.raw(key, if value { b"true" } else { b"false" });
    }

    #[inline]
    fn quoted(&mut self, text: &str) {
        self.out.push(b'"');
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'"');
    }
}

/// Appends a number in decimal.
pub(super) fn push_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    out.extend_from_slice(decimal(number, &mut digits).as_bytes());
}

/// A number in decimal, in a buffer of the caller's.
pub(super) fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &str {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            // All of it is ASCII.
            return std::str::from_utf8(&digits[at..]).unwrap_or_default();
        }
    }
}

/// Appends the low `digits` hexadecimal digits of a number, at most 16.
pub(super) fn push_hex(out: &mut Vec<u8>, number: u64, digits: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 16];
    for (at, place) in text.iter_mut().enumerate() {
        *place = DIGITS[(number >> (60 - 4 * at) & 15) as usize];
    }
    out.extend_from_slice(&text[text.len() - digits..]);
}

/// Appends a commit's name, which is a function of `hash`.
pub(super) fn push_revision(out: &mut Vec<u8>, hash: u64) {
    // Mixed twice, so that neighbouring hashes have no digits in common.
    let hash = mix(hash);
    for (part, digits) in [(0, 16), (1, 16), (2, 8)] {
        push_hex(out, mix(hash.wrapping_add(part)), digits);
    }
}

/// Appends a UUID with hyphens.
pub(super) fn push_uuid(out: &mut Vec<u8>, high: u64, low: u64) {
    push_hex(out, high >> 32, 8);
    for part in [high >> 16, high, low >> 48] {
        out.push(b'-');
        push_hex(out, part, 4);
    }
    out.push(b'-');
    push_hex(out, low, 12);
}

/// Spreads a number over all bits (splitmix64): hashes that belong to things with a number.
#[inline]
pub(super) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The inside of a JSON string that says `text`.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", control as u32)),
            other => out.push(other),
        }
    }
    out
}
