//! Files of access control, whatever is in them; shared by the fuzz target and by `tests/transport_random.rs`.
#![allow(dead_code, reason = "each user needs a part of it")]

use firehose::access::{Acl, Passwords};

/// Refused or taken, never worse.
pub fn access(bytes: &[u8]) {
    let _ = Acl::parse(bytes);
    let _ = Passwords::parse(bytes);
}
