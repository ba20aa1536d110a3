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
use crate::journal::{Errand, KeptMessage, Legacy};
use crate::mqtt::QoS;

const GOLDEN: &[u8] = include_bytes!("tests/2.0.11.db");
const NAMES: &[u8] = include_bytes!("tests/2.0.11-names.db");

/// Milliseconds since 1970: what was to expire while the file was written has expired, and `short-5` has four seconds left.
const NOW: u64 = 1_795_981_800_000;

fn listeners() -> [(u16, String); 2] {
    [(21_883, "127.0.0.1:21883".into()), (0, "*:1883".into())]
}

/// What was told of a database, put together.
struct Import {
    ledger: Ledger,
    /// What is handed over to be routed.
    to_route: Vec<KeptMessage>,
    left_out: LeftOut,
}

fn read(file: &[u8]) -> Database<'_> {
    Database::read(file).unwrap()
}

fn import(database: &Database<'_>) -> Import {
    let (mut ledger, mut to_route) = (Ledger::default(), Vec::new());
    let told = database.tell(NOW, &listeners(), |record| match record {
        Record::Handed { to, number, .. } => {
            assert_eq!(*to, 0);
            to_route.extend(ledger.message(*number).cloned());
            Ok(())
        }
        Record::GroupNamed { .. } | Record::TurnEnded => Ok(()),
        _ => ledger.apply(record),
    });
    let told = told.expect("what was read has no fault");
    assert_eq!(told.sessions, ledger.sessions().count() as u64);
    assert_eq!(told.retained, ledger.retained().count() as u64);
    Import {
        ledger,
        to_route,
        left_out: told.left_out,
    }
}

/// What comes back of a ledger by way of a file.
fn round(ledgers: &[&Ledger]) -> Import {
    let file = Database::of_ledgers(ledgers, NOW).write();
    import(&read(&file))
}
