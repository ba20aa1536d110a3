//! Whose the files are that a command below `store` has made.

use std::fmt::Display;
use std::io::{self, Write};

use rustix::process::geteuid;

/// Says that files that root has made have to be given to the broker's user, who could not open them; others make their own.
pub(super) fn tell(made: &dyn Display, out: &mut dyn Write) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    writeln!(
        out,
        "{made} belongs to root: before a broker starts with it, chown -R USER: {made}, with the broker's user (firehose, or mosquitto)"
    )
}
