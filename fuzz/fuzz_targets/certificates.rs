//! Certificates of clients. Run with `cargo +nightly fuzz run certificates`.
#![no_main]

#[path = "../src/transport.rs"]
mod transport;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| transport::certificates(bytes));
