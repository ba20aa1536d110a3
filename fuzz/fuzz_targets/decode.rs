//! Bytes of a peer through the codec. Run with `cargo +nightly fuzz run decode`.
#![no_main]

#[path = "../src/codec.rs"]
mod codec;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| codec::decode_stream(bytes));
