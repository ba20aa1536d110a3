//! Files that Mosquitto has written, both ways between bytes and ledger, and everything that is no database.
//!
//! `2.0.11.db` is of Debian's Mosquitto 2.0.11, written at SIGUSR1 with `per_listener_settings`, `max_inflight_messages 2` and
//! `queue_qos0_messages`, while clients with raw sockets had left all that a database can have half done: each is named by what it is
//! in, and has the first four letters of that as its user name. `2.0.11-names.db` is of the same: client `a` with user name `x`, then
//! `b`, `c` and `d` without.

mod faults;
mod golden;
mod random;
mod told;

use super::model::{Client, Delivery, Source, Stage, Stored, Subscription};
use super::*;
use crate::mqtt::QoS;

const GOLDEN: &[u8] = include_bytes!("tests/2.0.11.db");
const NAMES: &[u8] = include_bytes!("tests/2.0.11-names.db");

/// Milliseconds since 1970: what was to expire while the file was written has expired, and `short-5` has four seconds left.
const NOW: u64 = 1_795_981_800_000;

const LISTENERS: [(u16, &str); 2] = [(21_883, "127.0.0.1:21883"), (0, "*:1883")];

fn read(file: &[u8]) -> Database<'_> {
    Database::read(file).unwrap()
}

fn import(database: &Database<'_>) -> Import {
    database.to_ledger(NOW, &LISTENERS).unwrap()
}

/// What comes back of a ledger by way of a file.
fn round(ledgers: &[&Ledger]) -> Import {
    let file = Database::of_ledgers(ledgers, NOW).write();
    import(&read(&file))
}
