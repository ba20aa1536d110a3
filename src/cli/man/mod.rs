//! `firehose man` and `firehose completions`: what is known of commands and options, for man(1) and for shells.
//!
//! Everything comes from the definitions of the commands and the table of options, so that it is what the program does.

mod after;
mod commands;
mod conf;
mod page;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;

use crate::control::stderr;
use crate::server::EXIT_CONFIGURATION;
use page::Page;

/// The exit code where a page cannot be written.
const EXIT_NOT_DONE: u8 = 1;

/// The page of the configuration file.
const CONF: &str = "firehose.conf.5";

/// Prints a page of the manual, to be read by man: firehose man serve | man -l -
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Man {
    /// Which page: a command like `serve` or `bench fanout`, or firehose.conf
    #[arg(value_name = "PAGE", conflicts_with_all = ["list", "dir"])]
    page: Vec<String>,

    /// Name all pages
    #[arg(long)]
    list: bool,

    /// Write all pages to files of this folder, like /usr/local/share/man/man1 and man5 below it
    #[arg(long, value_name = "DIR", conflicts_with = "list")]
    dir: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
With --dir pages go to the folders man1 and man5 of DIR, which are made.

Exit codes:
  0  done
  1  a page cannot be written
  2  wrong command line, or no such page";

/// Prints what a shell needs to complete commands and options
#[derive(Debug, clap::Args)]
#[command(after_help = COMPLETIONS_HELP)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL", value_parser = ["bash", "zsh", "fish"])]
    shell: String,
}

const COMPLETIONS_HELP: &str = "\
Where shells look for it: /usr/share/bash-completion/completions/firehose, /usr/share/zsh/vendor-completions/_firehose,
/usr/share/fish/vendor_completions.d/firehose.fish. A package has put it there.

Exit codes:
  0  done
  2  wrong command line";

/// All pages: that of the program, one a command, that of the configuration.
fn pages(program: Command) -> Vec<Page> {
    let mut pages = commands::pages(program);
    pages.push(Page {
        file: CONF.into(),
        text: conf::page(),
    });
    pages
}

/// Does what `firehose man` was asked for.
pub(super) fn man(options: &Man, program: Command) -> ExitCode {
    let pages = pages(program);
    if options.list {
        let names: Vec<&str> = pages.iter().map(|page| page.file.as_str()).collect();
        print(format!("{}\n", names.join("\n")).as_bytes());
        return ExitCode::SUCCESS;
    }
    if let Some(folder) = &options.dir {
        return match written(&pages, folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                stderr::tell(&format!("firehose man: {}: {error}", folder.display()));
                ExitCode::from(EXIT_NOT_DONE)
            }
        };
    }
    let wanted = file_of(&options.page);
    match pages.iter().find(|page| page.file == wanted) {
        Some(page) => {
            print(&page.text);
            ExitCode::SUCCESS
        }
        None => {
            stderr::tell("firehose man: there is no such page; --list names all");
            ExitCode::from(EXIT_CONFIGURATION)
        }
    }
}

/// Prints the completions of a shell.
pub(super) fn completions(options: &Completions, mut program: Command) -> ExitCode {
    let shell = match &*options.shell {
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        _ => Shell::Bash,
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut program, "firehose", &mut text);
    print(&text);
    ExitCode::SUCCESS
}

/// The file of a page by the words that it was asked for with: a command's, or a page's name with or without its section.
fn file_of(words: &[String]) -> String {
    let name = words.join("-");
    let name = name.strip_suffix(".1").unwrap_or(&name);
    match name {
        "firehose.conf" | "conf" | "firehose.conf.5" => CONF.into(),
        "" | "firehose" => "firehose.1".into(),
        name => format!(
            "firehose-{}.1",
            name.strip_prefix("firehose-").unwrap_or(name)
        ),
    }
}

fn written(pages: &[Page], folder: &Path) -> io::Result<()> {
    for page in pages {
        let folder = folder.join(page.folder());
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(&page.file), &page.text)?;
    }
    Ok(())
}

/// A reader who has seen enough and goes is no error.
fn print(text: &[u8]) {
    let _ = io::stdout().lock().write_all(text);
}
