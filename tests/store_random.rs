//! The fuzz target of a store's files without a fuzzer.

#[path = "../fuzz/src/store.rs"]
mod store;

use proptest::prelude::*;

proptest! {
    #[test]
    fn anything(bytes in prop::collection::vec(any::<u8>(), 0..20_000)) {
        store::anything(&bytes);
    }

    #[test]
    fn changed(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
        store::changed(&bytes);
    }
}
