//! Configuration files. Run with `cargo +nightly fuzz run configuration`.
#![no_main]

#[path = "../src/files.rs"]
mod files;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| files::configuration(bytes));
