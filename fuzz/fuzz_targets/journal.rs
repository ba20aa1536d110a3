//! Journals as they are read after a start: chunks of any bytes. Run with `cargo +nightly fuzz run journal`.
#![no_main]

use firehose::journal::{Broken, Decoder, Joiner, Ledger};

libfuzzer_sys::fuzz_target!(|chunks: Vec<Vec<u8>>| {
    let (mut joiner, mut decoder) = (Joiner::default(), Decoder::default());
    let mut ledger = Ledger::default();
    for chunk in &chunks {
        let fed = joiner.feed(chunk, |bytes| {
            let record = decoder.decode(bytes)?;
            record.map_or(Ok::<_, Broken>(()), |record| ledger.apply(&record))
        });
        if fed.is_err() {
            return;
        }
    }
    for (_, session) in ledger.sessions() {
        for (number, _) in session.waiting() {
            assert!(ledger.message(number).is_some(), "what waits is there");
        }
    }
});
