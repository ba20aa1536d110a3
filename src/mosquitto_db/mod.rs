//! The database of Mosquitto, `mosquitto.db`: what it says, as bytes and as records of the journal, and back from ledgers.
//!
//! ```text
//! magic, 15 bytes | 0, 4 bytes | version, 4 bytes | chunks: kind, 4 bytes | length, 4 bytes | fixed part | texts, payload, properties
//! ```
//!
//! Numbers in it are big-endian, but for the numbers of messages and moments, which are as the machine has them that wrote it: those
//! are taken for little-endian. Versions 5 (Mosquitto 1.6) and 6 (2.0 and 2.1) are read, version 6 is written. Sans-io.
//!
//! Invariant: what is read is whole and valid, or it is a [`Fault`] that says where. Nothing takes more memory than a small multiple of
//! what the file has for it.

mod fault;
mod layout;
mod model;
mod of_ledgers;
mod properties;
mod read;
mod records;
#[cfg(test)]
mod tests;
mod weight;
mod write;

pub use fault::{Fault, Wrong};
pub use model::Database;
pub use records::{LeftOut, Told};
pub use weight::Weight;

use crate::journal::{Ledger, Record, Stream};

impl<'a> Database<'a> {
    /// What a file says.
    pub fn read(file: &'a [u8]) -> Result<Database<'a>, Fault> {
        read::read(file)
    }

    /// The file, in version 6 of the format.
    pub fn write(&self) -> Vec<u8> {
        write::write(self)
    }

    /// Whether a file begins as Mosquitto's databases do.
    pub fn is_one(file: &[u8]) -> bool {
        file.starts_with(&layout::MAGIC)
    }

    /// Tells what is in it at this moment, in milliseconds since 1970, as one shard would have left it: all clients are away. `listeners`
    /// has the names of listeners by their ports; 0 stands for where the port is not known.
    ///
    /// # Errors
    /// What `to` says.
    pub(crate) fn tell<E>(
        &self,
        now: u64,
        listeners: &[(u16, String)],
        to: impl FnMut(&Record<'_>) -> Result<(), E>,
    ) -> Result<Told, E> {
        records::tell(self, now, listeners, to)
    }

    /// The same as the journal of one shard: its chunks are given one after the other.
    ///
    /// # Errors
    /// What `give` says.
    pub fn to_journal<E>(
        &self,
        now: u64,
        listeners: &[(u16, String)],
        mut give: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Told, E> {
        let mut stream = Stream::default();
        let told = self.tell(now, listeners, |record| {
            stream.append(record);
            if *record != Record::TurnEnded {
                return Ok(());
            }
            stream.end_turn();
            while let Some(chunk) = stream.next_full_chunk() {
                give(chunk.content())?;
                stream.give_back(chunk);
            }
            Ok(())
        })?;
        while let Some((chunk, _)) = stream.next_chunk() {
            give(chunk.content())?;
            stream.give_back(chunk);
        }
        Ok(told)
    }

    /// What a broker has at this moment, in milliseconds since 1970, told by what its shards have left. Mosquitto knows neither wills
    /// of those who are away nor sessions that end with their connections: they are left out.
    pub fn of_ledgers(ledgers: &[&'a Ledger], now: u64) -> Database<'a> {
        of_ledgers::database(ledgers, now)
    }

    /// How many clients are mentioned, with those whose sessions end with their connections.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// How many messages are stored.
    pub fn messages(&self) -> usize {
        self.messages.len()
    }

    /// How many topics have a retained message.
    pub fn retained(&self) -> usize {
        self.retained.len()
    }
}
