//! `firehose init`: a configuration with comments to begin with, for one of three uses.
//!
//! It replaces nothing unless it is told to. What it writes is tried by `--test-config` in tests.

mod files;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use rustix::process::geteuid;

use crate::config::absolute;
use crate::control::stderr;
use crate::escape::one_line;
use files::Written;

/// The exit code where nothing was written.
const EXIT_NOT_DONE: u8 = 1;

/// Where the unit's configuration is, and where its broker works.
const ETC: &str = "/etc/firehose";
const STATE: &str = "/var/lib/firehose";

/// Writes a configuration with comments to begin with
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Init {
    /// What the broker is for
    #[arg(value_name = "USE")]
    what: Use,

    /// The file, and what it names in the same folder
    #[arg(value_name = "FILE", default_value = "firehose.conf")]
    file: PathBuf,

    /// Where the broker keeps what has to last [default: /var/lib/firehose for a file in /etc/firehose, else the folder
    /// `state` beside the file]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,

    /// Replace files that are there
    #[arg(long)]
    force: bool,

    /// Print what would be written to FILE, and write nothing
    #[arg(long, conflicts_with = "force")]
    print: bool,
}

const AFTER_HELP: &str = "\
Beside FILE the folder conf.d is made, and for `public` the file acl.

Exit codes:
  0  written
  1  nothing was written: a file is there, or cannot be made
  2  wrong command line";

/// Whom a broker becomes that root starts, where the configuration is that of an installation.
const USER: &str = "\
# Whom a broker becomes that root starts. The unit starts it as this user already.
user firehose

";

/// What a broker is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Use {
    /// Clients of this host, without passwords
    Local,
    /// A public bus over TLS: everybody reads, users write
    Public,
    /// A small machine beside its devices, with passwords and a store
    Edge,
}

impl Use {
    fn template(self) -> &'static str {
        match self {
            Use::Local => include_str!("local.conf"),
            Use::Public => include_str!("public.conf"),
            Use::Edge => include_str!("edge.conf"),
        }
    }
}

/// Does it, and says what is left to do.
pub(super) fn init(options: &Init) -> ExitCode {
    let file = absolute(&options.file);
    let folder = file.parent().unwrap_or(Path::new("/")).to_path_buf();
    let state = match &options.state {
        Some(state) => absolute(state),
        None if folder == Path::new(ETC) => STATE.into(),
        None => folder.join("state"),
    };
    let done = text(options, &file, &folder, &state).and_then(|text| {
        if options.print {
            print!("{text}");
            return Ok(());
        }
        write(options, &file, text, &state)?;
        tell(options.what, &file, &folder);
        tell_owner(options, &folder, &state);
        Ok(())
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            stderr::tell(&format!("firehose init: {error}"));
            ExitCode::from(EXIT_NOT_DONE)
        }
    }
}

/// What root has made is not the broker's, who becomes another user: where it keeps what it is told, and what it reads again.
fn tell_owner(options: &Init, folder: &Path, state: &Path) {
    if options.what == Use::Local || !geteuid().is_root() {
        return;
    }
    let user = match folder == Path::new(ETC) {
        true => "firehose",
        false => "mosquitto",
    };
    let (folder, state) = (folder.display(), state.display());
    let key = match options.what {
        Use::Public => format!(" {folder}/certs/server.key"),
        _ => String::new(),
    };
    let line = format!(
        "A broker that root starts becomes {user}:  chown {user}: {state} {folder}/passwords{key}"
    );
    println!("{}", one_line(&line));
}

/// The configuration, with its places in it.
fn text(options: &Init, file: &Path, folder: &Path, state: &Path) -> Result<String, String> {
    let utf8 = |path: &Path| {
        let text = path
            .to_str()
            .filter(|text| !text.contains(char::is_control));
        text.map(String::from)
            .ok_or_else(|| format!("{}: a path has to be plain UTF-8", path.display()))
    };
    let user = match folder == Path::new(ETC) {
        true => USER,
        false => "",
    };
    let template = options.what.template().replace("{user}", user);
    Ok(template
        .replace("{etc}/firehose.conf", &utf8(file)?)
        .replace("{etc}", &utf8(folder)?)
        .replace("{state}", &utf8(state)?))
}

fn write(options: &Init, file: &Path, text: String, state: &Path) -> Result<(), String> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    let mut wanted = vec![Written {
        path: file.to_path_buf(),
        text,
    }];
    if options.what == Use::Public {
        wanted.push(Written {
            path: folder.join("acl"),
            text: include_str!("acl").into(),
        });
    }
    match options.force {
        true => files::are_files(&wanted)?,
        false => files::are_free(&wanted)?,
    }
    // Folders first: where one cannot be made no file is written.
    let is_own = options.state.is_none() && state != Path::new(STATE);
    for made in [Some(folder.join("conf.d")), is_own.then(|| state.into())] {
        let Some(made) = made else { continue };
        std::fs::create_dir_all(&made).map_err(|error| format!("{}: {error}", made.display()))?;
    }
    files::write(&wanted, options.force)
}

/// What was written, and what an operator has to bring.
fn tell(what: Use, file: &Path, folder: &Path) {
    let (file, folder) = (file.display(), folder.display());
    println!("{}", one_line(&format!("{file} is written.")));
    if what == Use::Public {
        let line = format!(
            "Bring {folder}/certs/server.crt and {folder}/certs/server.key, which the broker's user can read."
        );
        println!("{}", one_line(&line));
    }
    if what != Use::Local {
        let user = match what {
            Use::Public => "feeder",
            _ => "device",
        };
        let line = format!("Make a user:  firehose passwd -c {folder}/passwords {user}");
        println!("{}", one_line(&line));
        println!("The broker's user has to be able to read that file too.");
    }
    let line = format!("Try it:  firehose serve -c {file} --test-config");
    println!("{}", one_line(&line));
}
