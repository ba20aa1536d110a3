//! Topic names and filters. Run with `cargo +nightly fuzz run topics`.
#![no_main]

#[path = "../src/codec.rs"]
mod codec;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| codec::compare_topics(bytes));
