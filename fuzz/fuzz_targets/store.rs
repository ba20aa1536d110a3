//! The files of a store, changed and invented. Run with `cargo +nightly fuzz run store`.
#![no_main]

#[path = "../src/store.rs"]
mod store;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    store::changed(bytes);
    store::anything(bytes);
});
