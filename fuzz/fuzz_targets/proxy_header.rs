//! PROXY headers. Run with `cargo +nightly fuzz run proxy_header`.
#![no_main]

#[path = "../src/transport.rs"]
mod transport;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| transport::proxy(bytes));
