//! What reading a database takes of memory, as far as the heads of its chunks tell.

use super::layout::{MAGIC, kind};
use super::model::{Client, Delivery, Stored};

/// A head: kind, and how many bytes follow.
const HEAD: usize = 8;

/// The fixed part of a message: a chunk with less is a fault, and no reason to set memory aside.
const MESSAGE_BYTES_MIN: u32 = 32;

/// What a hash table has for an entry, beside its key and value: it is half full at worst.
const ENTRY_BYTES: usize = 24;

/// What a message and a place in a queue come to in a ledger, beside what they say.
const TOLD_MESSAGE_BYTES: u64 = 256;
const TOLD_DELIVERY_BYTES: u64 = 48;

/// Chunks, counted by what is made of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    messages: u64,
    deliveries: u64,
    clients: u64,
    bytes: u64,
}

impl Weight {
    /// The offset of the first head: magic, checksum and version are before it.
    pub const FIRST: u64 = MAGIC.len() as u64 + 8;

    /// Of a file with so many bytes; its heads are still to be taken.
    pub fn of(bytes: u64) -> Weight {
        Weight {
            bytes,
            ..Weight::default()
        }
    }

    /// Takes a head. Returns how many bytes follow, up to the next one.
    pub fn take(&mut self, head: [u8; HEAD]) -> u64 {
        let [a, b, c, d, len @ ..] = head;
        let len = u32::from_be_bytes(len);
        match u32::from_be_bytes([a, b, c, d]) {
            kind::MESSAGE if len >= MESSAGE_BYTES_MIN => self.messages += 1,
            kind::DELIVERY => self.deliveries += 1,
            kind::CLIENT => self.clients += 1,
            _ => {}
        }
        len.into()
    }

    /// How many bytes the file has.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many messages there are.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Bytes of memory that reading it and telling what it says take, with the file itself.
    pub fn to_read(&self) -> u64 {
        let message = size_of::<Stored>() + 3 * (16 + ENTRY_BYTES);
        // What grows by doubling is half empty at worst.
        let delivery = 2 * size_of::<Delivery>() + 8 + ENTRY_BYTES;
        let client = 2 * size_of::<Client>() + 2 * (24 + ENTRY_BYTES);
        let parts = [
            (self.messages, message),
            (self.deliveries, delivery),
            (self.clients, client),
        ];
        let parts = parts.map(|(count, bytes)| count.saturating_mul(bytes as u64));
        parts.into_iter().fold(self.bytes, u64::saturating_add)
    }

    /// Bytes of memory that what it says comes to, where a message is held once.
    pub fn told(&self) -> u64 {
        let parts = [
            (self.messages, TOLD_MESSAGE_BYTES),
            (self.deliveries, TOLD_DELIVERY_BYTES),
        ];
        let parts = parts.map(|(count, bytes)| count.saturating_mul(bytes));
        parts.into_iter().fold(self.bytes, u64::saturating_add)
    }

    /// How many messages there are in a file that is in memory: for room that need not grow.
    pub(super) fn count_messages(mut chunks: &[u8]) -> usize {
        let mut weight = Weight::default();
        while let Some((head, rest)) = chunks.split_first_chunk::<HEAD>() {
            let len = usize::try_from(weight.take(*head)).unwrap_or(usize::MAX);
            chunks = rest.get(len..).unwrap_or_default();
        }
        weight.messages as usize
    }
}
