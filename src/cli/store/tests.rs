//! How moments and sizes are written.

use super::words::{age, moment, quoted, size};

/// In milliseconds since 1970.
const NOW: u64 = 1_795_981_800_000;

#[test]
fn moments_sizes_and_names_are_written_for_people() {
    assert_eq!(moment(NOW), "2026-11-29T19:50:00Z");
    assert_eq!(moment(u64::MAX), format!("{} ms", u64::MAX));
    assert_eq!(age(NOW, NOW + 59_999), "59 s ago");
    assert_eq!(age(NOW, NOW + 60_000), "1 min ago");
    assert_eq!(age(NOW, NOW + 90_061_000), "1 d 1 h ago");
    assert_eq!(age(NOW, 0), "0 s ago");
    assert_eq!(size(1023), "1023 bytes");
    assert_eq!(size(64 << 20), "64.0 MiB");
    assert_eq!(quoted("a\"\n\u{202E}"), "\"a\\\"\\n\\u202e\"");
}
