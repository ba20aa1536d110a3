//! WebSocket frames of a client. Run with `cargo +nightly fuzz run websocket_frames`.
#![no_main]

#[path = "../src/transport.rs"]
mod transport;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| transport::frames(bytes));
