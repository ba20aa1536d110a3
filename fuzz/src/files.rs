//! Files of access control, whatever is in them; shared by the fuzz target and by `tests/transport_random.rs`.
#![allow(dead_code, reason = "each user needs a part of it")]

use firehose::access::{Acl, Passwords};

/// Refused or taken, never worse.
pub fn access(bytes: &[u8]) {
    let _ = Acl::parse(bytes);
    let _ = Passwords::parse(bytes);
}

/// A configuration file. Paths are kept out of it: what they name is another file's affair.
pub fn configuration(bytes: &[u8]) {
    use std::cell::OnceCell;
    thread_local!(static PATH: OnceCell<std::path::PathBuf> = const { OnceCell::new() });
    if bytes.contains(&b'/') {
        return;
    }
    PATH.with(|path| {
        let path = path.get_or_init(|| {
            let thread = format!("{:?}", std::thread::current().id());
            let thread: String = thread.chars().filter(char::is_ascii_digit).collect();
            let name = format!("firehose-fuzz-{}-{thread}.conf", std::process::id());
            std::env::temp_dir().join(name)
        });
        if std::fs::write(path, bytes).is_ok() {
            if let Err(error) = firehose::config::load(path) {
                assert!(!error.to_string().is_empty());
            }
            let _ = std::fs::remove_file(path);
        }
    });
}
