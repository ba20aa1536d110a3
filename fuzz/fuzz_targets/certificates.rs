//! Certificates of clients. Run with `cargo +nightly fuzz run certificates`.
#![no_main]

use firehose::transport::tls::any_certificates;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| any_certificates(bytes));
