//! Mosquitto's database: any bytes, and any behind the head of one. Run with `cargo +nightly fuzz run mosquitto_db`.
#![no_main]

use firehose::journal::Legacy;
use firehose::mosquitto_db::Database;

/// Milliseconds since 1970.
const NOW: u64 = 1_800_000_000_000;

fn whatever(file: &[u8]) {
    let Ok(database) = Database::read(file) else {
        return;
    };
    let again = database.write();
    let again = Database::read(&again);
    assert_eq!(again.as_ref(), Ok(&database));
    let mut legacy = Legacy::of(1);
    let names = [(1883, "*:1883".to_owned())];
    let told = database.to_journal(NOW, &names, |chunk| legacy.feed(0, chunk));
    told.expect("what was read has no fault");
    let ledgers: Vec<_> = legacy.ledgers().collect();
    let back = Database::of_ledgers(&ledgers, NOW).write();
    Database::read(&back).expect("what is written can be read");
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    whatever(bytes);
    let head = Database::default().write();
    whatever(&[&head, bytes].concat());
});
