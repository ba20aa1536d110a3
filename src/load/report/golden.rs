//! Files that hold what the writers should write. `FIREHOSE_GOLDEN=write` renews them; look at what changed.

use std::path::Path;

/// Compares with the file of that name.
pub(super) fn check(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/load/report/golden");
    let file = folder.join(name);
    if std::env::var("FIREHOSE_GOLDEN").is_ok_and(|v| v == "write") {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&file, text).unwrap();
        return;
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    let (mut ours, mut theirs) = (text.lines(), golden.lines());
    for number in 1.. {
        match (ours.next(), theirs.next()) {
            (None, None) => break,
            (ours, theirs) => assert_eq!(ours, theirs, "{name}:{number}"),
        }
    }
    assert!(text == golden, "{name}: differs in its line ends");
}
