//! The database of Mosquitto, `mosquitto.db`: what it says, as bytes and as a ledger, both ways.
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
mod ledger;
mod model;
mod of_ledgers;
mod properties;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use fault::{Fault, Wrong};
pub use ledger::{Import, LeftOut};
pub use model::Database;

use crate::journal::{Broken, Ledger};

impl<'a> Database<'a> {
    /// What a file says.
    pub fn read(file: &'a [u8]) -> Result<Database<'a>, Fault> {
        read::read(file)
    }

    /// The file, in version 6 of the format.
    pub fn write(&self) -> Vec<u8> {
        write::write(self)
    }

    /// What is in it at this moment, in milliseconds since 1970. `listeners` has the names of listeners by their ports; 0 stands for
    /// where the port is not known. An error says that the database was made by a fault of ours: what was read has none.
    pub fn to_ledger(&self, now: u64, listeners: &[(u16, &str)]) -> Result<Import, Broken> {
        ledger::import(self, now, listeners)
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
