//! The fuzz target for sequences of session operations, with random bytes from fixed seeds, on any Rust.

#[path = "../fuzz/src/sessions.rs"]
mod sessions;

#[test]
fn every_account_is_empty_at_the_end() {
    for seed in 0..2000u64 {
        let mut state = seed;
        let bytes: Vec<u8> = (0..600)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as u8
            })
            .collect();
        if let Err(panic) = std::panic::catch_unwind(|| sessions::play(&bytes)) {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
