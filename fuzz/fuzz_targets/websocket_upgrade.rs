//! Requests to upgrade to WebSocket. Run with `cargo +nightly fuzz run websocket_upgrade`.
#![no_main]

#[path = "../src/transport.rs"]
mod transport;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| transport::upgrade(bytes));
