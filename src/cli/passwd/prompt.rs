//! A password from whoever sits at the terminal, or from a pipe.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::escape::Name;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Asks for a password, twice.
pub(super) fn new_password() -> Result<Vec<u8>, String> {
    let failed = |error: io::Error| format!("cannot read the password: {error}");
    let password = ask("Password: ").map_err(failed)?;
    if password.is_empty() {
        return Err("the password is empty".into());
    }
    if ask("Reenter password: ").map_err(failed)? != password {
        return Err("the two passwords differ".into());
    }
    Ok(password)
}

/// Asks for the password that a user has.
///
/// # Errors
/// Nothing can be read; nothing was typed.
pub(in crate::cli) fn password_of(user: &str) -> Result<Vec<u8>, String> {
    let prompt = format!("Password of {}: ", Name(user));
    let password = ask(&prompt).map_err(|error| format!("cannot read the password: {error}"))?;
    match password.is_empty() {
        true => Err("the password is empty".into()),
        false => Ok(password),
    }
}

fn ask(prompt: &str) -> io::Result<Vec<u8>> {
    let stdin = io::stdin();
    let quiet = stdin.is_terminal().then(Quiet::new).transpose()?;
    // Where nobody can read the question, it is answered all the same.
    let _ = write!(io::stderr(), "{prompt}");
    let mut line = Vec::new();
    let read = stdin.lock().read_until(b'\n', &mut line);
    drop(quiet);
    if read? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    while line
        .last()
        .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
    {
        line.pop();
    }
    Ok(line)
}

/// The terminal shows nothing of what is typed while this lives.
struct Quiet(Termios);

impl Quiet {
    fn new() -> io::Result<Quiet> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        quiet.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Quiet(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}
