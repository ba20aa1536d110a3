//! Sequences of what can happen to sessions. Run with `cargo +nightly fuzz run sessions`.
#![no_main]

#[path = "../src/sessions.rs"]
mod sessions;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sessions::play(bytes));
