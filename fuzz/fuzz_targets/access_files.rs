//! ACL files and password files. Run with `cargo +nightly fuzz run access_files`.
#![no_main]

#[path = "../src/files.rs"]
mod files;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| files::access(bytes));
