//! `mosquitto.conf` to typed, validated values.
//!
//! From the bottom up: what comes of it (`model`), what is known while lines are read (`draft`), the syntax of a line
//! (`line`), what an option is (`option`) and how its value is read (`values`), all options (`options`) and those that
//! Mosquitto knows and this broker does not yet (`known`), what was said where (`effective`), and what follows from options
//! together (`build`, `tls`). What leaves this module is complete: no later layer looks at text, applies a default or
//! checks a range again.
//! It reads files, and what time it is where dates are judged, and nothing else: it opens no socket, resolves no name,
//! and starts no thread.

mod build;
mod certificates;
mod draft;
mod effective;
mod error;
mod http;
mod kept;
mod known;
mod line;
pub(crate) mod manual;
mod model;
mod option;
mod options;
mod paths;
mod structure;
mod suggest;
#[cfg(test)]
mod tests;
mod tls;
mod values;

pub use certificates::CertificateNote;
pub(crate) use certificates::known_authorities;
pub use effective::Effective;
pub use error::{ConfigError, FileFault, Location, Misdeed, ValueFault, Warning};
pub use model::{
    Config, CpuList, Files, HttpListener, Listener, Log, LogDestination, Memory, PORT_DEFAULT,
    Persistence, Socket, SocketDomain, SourceBounds, SyncPolicy, size, size_text,
};
pub use paths::absolute;

use std::path::Path;

/// Reads the configuration again, with what the command line says put over it: what holds from then on, and lines to
/// warn of; or why it cannot be used. What may not be read any more stays as it is in the configuration that is given.
pub type ReadAgain = Box<dyn Fn(&Config) -> Result<(Config, Vec<String>), String> + Send>;

/// Reads a configuration file and those that it includes.
///
/// # Errors
/// The first misdeed found, with its file and line.
pub fn load(path: &Path) -> Result<(Config, Vec<Warning>), ConfigError> {
    let (config, warnings, _) = build::load(path, None)?;
    Ok((config, warnings))
}

/// As `load`, with where each setting comes from. Files that may not be read any more are as they are in `before`.
///
/// # Errors
/// As `load`.
pub fn load_described(
    path: &Path,
    before: Option<&Config>,
) -> Result<(Config, Vec<Warning>, Effective), ConfigError> {
    build::load(path, before.map(|config| &config.files))
}

/// What a configuration file says of the log, and of the user whose its files are, whatever else is wrong with it; nothing else of the
/// result counts.
pub fn load_log(path: &Path) -> Config {
    build::load_log(path)
}
