//! Scenario files: a workload and its options in TOML. A key is an option's long name, with `-` or `_`; it is read by
//! the parser of the command line, so that both have the same values and bounds.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use clap::{Args as _, FromArgMatches as _};
use toml::{Spanned, Value};

use super::options::Options;
use super::secrets::Secret;
use super::workloads::Workload;

/// The key that names the workload.
const WORKLOAD: &str = "workload";

/// What a file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    pub workload: Workload,
    pub options: Options,
}

/// Reads a file; an error names it, and the line.
pub fn read(path: &Path) -> Result<Scenario, String> {
    let text = std::fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))?;
    parse(&text).map_err(|why| format!("{}: {why}", path.display()))
}

/// Reads a file's text; an error names the line.
pub fn parse(text: &str) -> Result<Scenario, String> {
    let line = |at: usize| text.bytes().take(at).filter(|&byte| byte == b'\n').count() + 1;
    let entries: BTreeMap<Spanned<String>, Spanned<Value>> =
        toml::from_str(text).map_err(|error| match error.span() {
            Some(span) => format!("line {}: {}", line(span.start), error.message()),
            None => error.message().to_owned(),
        })?;
    let mut entries: Vec<_> = entries.into_iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let (mut workload, mut options) = (None, Options::default());
    let mut seen = HashSet::new();
    for (key, value) in &entries {
        let name = key.get_ref().replace('_', "-");
        let at = |why: String| format!("line {}: {why}", line(key.span().start));
        if !seen.insert(name.clone()) {
            return Err(at(format!("{name} is set twice")));
        }
        if name == WORKLOAD {
            workload = Some(workload_of(value.get_ref()).map_err(at)?);
        } else {
            options = option(&name, value.get_ref()).map_err(at)?.or(options);
        }
    }
    options.client.password = options.client.password.map(Secret::of_scenario);
    let workload = workload.ok_or_else(|| format!("no workload; {}", workloads()))?;
    Ok(Scenario { workload, options })
}

impl Scenario {
    /// The options, with those typed over them.
    pub fn with(self, typed: Options) -> Options {
        let mut written = self.options;
        // One of these is typed to have it instead of the one that the file names.
        if typed.load.rate.is_some()
            || typed.load.window.is_some()
            || typed.load.closed_loop.is_some()
        {
            (
                written.load.rate,
                written.load.window,
                written.load.closed_loop,
            ) = (None, None, None);
        }
        if typed.client.password.is_some() || typed.client.password_file.is_some() {
            (written.client.password, written.client.password_file) = (None, None);
        }
        if typed.client.cafile.is_some() || typed.client.insecure.is_some() {
            (written.client.cafile, written.client.insecure) = (None, None);
        }
        typed.or(written)
    }
}

fn workload_of(value: &Value) -> Result<Workload, String> {
    value
        .as_str()
        .and_then(Workload::by_name)
        .ok_or_else(|| format!("{value} is no workload; {}", workloads()))
}

fn workloads() -> String {
    let names = Workload::ALL.map(Workload::name);
    format!("one is {}", names.join(", "))
}

/// An option by itself, as if it were typed.
fn option(name: &str, value: &Value) -> Result<Options, String> {
    let command = Options::augment_args(clap::Command::new(WORKLOAD))
        .no_binary_name(true)
        .disable_help_flag(true);
    let is_named = |arg: &clap::Arg| {
        let names = arg.get_long_and_visible_aliases().unwrap_or_default();
        names.contains(&name)
    };
    if !command.get_arguments().any(is_named) {
        return Err(format!("there is no option {name}"));
    }
    let text = text(value).ok_or_else(|| format!("{name}: a number, a text, true or false"))?;
    command
        .try_get_matches_from([format!("--{name}={text}")])
        .and_then(|matches| Options::from_arg_matches(&matches))
        .map_err(|error| first_lines(&error.to_string()))
}

/// A value as it would be typed.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(is) => Some(is.to_string()),
        Value::Array(values) => {
            let texts: Option<Vec<String>> = values.iter().map(text).collect();
            texts.map(|texts| texts.join(","))
        }
        Value::Datetime(_) | Value::Table(_) => None,
    }
}

/// What clap says up to its first empty line, on one line.
fn first_lines(error: &str) -> String {
    let lines = error.lines().take_while(|line| !line.is_empty());
    let text = lines.map(str::trim).collect::<Vec<_>>().join(" ");
    text.trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests;
