//! Lines on standard error. Where that takes nothing (a full disk, /dev/full) they are lost: `eprintln!` would end the process for it, and
//! with another exit code than what there is to say has.

use std::io::{self, Write};

use crate::escape::one_line;

/// Writes a text of several lines, whatever is in them.
pub(crate) fn show(text: &str) {
    text.lines().for_each(tell);
}

/// Writes a line, whatever is in it.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{}", one_line(text));
}
