//! Texts on standard output, of commands whose exit code says what came of it. A reader who has seen enough and goes (`| head`) is no
//! error: `print!` would end the process for it.

use std::io::{self, Write};

/// Writes a text as it is.
pub(crate) fn show(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}
