//! Requests over HTTP, to routes and what they read. Run with `cargo +nightly fuzz run http_requests`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| firehose::any_requests(bytes));
