//! Mosquitto's database: any bytes, and any behind the head of one. Run with `cargo +nightly fuzz run mosquitto_db`.
#![no_main]

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
    let import = database.to_ledger(NOW, &[(1883, "*:1883")]);
    let import = import.expect("what was read has no fault");
    let back = Database::of_ledgers(&[&import.ledger], NOW).write();
    Database::read(&back).expect("what is written can be read");
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    whatever(bytes);
    let head = Database::default().write();
    whatever(&[&head, bytes].concat());
});
