//! Pages of commands, from what `--help` prints.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::after;
use super::page::Page;
use crate::cli::version;

/// The page of the program and one for each command below it.
pub(super) fn pages(program: Command) -> Vec<Page> {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    add(&program, None, &mut pages);
    pages
}

/// Adds the page of a command and those below it.
fn add(command: &Command, above: Option<&str>, pages: &mut Vec<Page>) {
    let name = match above {
        Some(above) => format!("{above}-{}", command.get_name()),
        None => command.get_name().to_owned(),
    };
    pages.push(Page {
        file: format!("{name}.1"),
        text: page(command, &name, above),
    });
    let below = command.get_subcommands();
    for command in below.filter(|command| !command.is_hide_set()) {
        add(command, Some(&name), pages);
    }
}

fn page(command: &Command, name: &str, above: Option<&str>) -> Vec<u8> {
    let man = Man::new(command.clone())
        .title(name.to_uppercase())
        .date(version::DATE)
        .source(format!("firehose {}", version::NUMBER))
        .manual("firehose");
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let _ = man.render_title(&mut text);
    let _ = man.render_name_section(&mut text);
    let _ = man.render_synopsis_section(&mut text);
    let _ = man.render_description_section(&mut text);
    let shown = |argument: &&clap::Arg| !argument.is_hide_set();
    if command.get_arguments().any(|argument| shown(&argument)) {
        let _ = man.render_options_section(&mut text);
    }
    let below = command.get_subcommands();
    if below.into_iter().any(|command| !command.is_hide_set()) {
        let _ = man.render_subcommands_section(&mut text);
    }
    let mut roff = Roff::default();
    let help = command.get_after_long_help().or(command.get_after_help());
    if let Some(help) = help {
        after::sections(&mut roff, &help.to_string());
    }
    roff.control("SH", ["SEE ALSO"]);
    let also = above.unwrap_or("mosquitto.conf");
    let section = if above.is_some() { "(1)" } else { "(5)" };
    roff.text([
        bold(also),
        roman(format!("{section}, ")),
        bold("firehose.conf"),
        roman("(5)"),
    ]);
    let _ = roff.to_writer(&mut text);
    without_gaps(&text)
}

/// Between a text and its possible values clap_mangen leaves a blank line, which mandoc warns of.
fn without_gaps(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    text.replace("\n.br\n\n.br\n", "\n.br\n").into_bytes()
}
