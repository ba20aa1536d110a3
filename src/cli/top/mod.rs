//! `firehose top`: what a broker does, in a terminal, once a second, from its HTTP listener (`protocol http_api`).
//!
//! `feed.rs` asks, `model.rs` makes figures of the answers, `view.rs` draws them, `screen.rs` has the terminal and the keys.

mod app;
mod feed;
mod list;
mod model;
mod paint;
mod scrape;
mod screen;
#[cfg(test)]
mod tests;
mod view;
mod words;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::cli::ask::account::Account;
use crate::control::stderr;
use crate::escape::one_line;
use crate::limits;
use app::App;
use feed::{Feed, News};
use model::Order;
use paint::Face;

/// The exit code where the broker does not answer, or there is no terminal to be had.
const EXIT_FAILED: u8 = 1;

/// Columns of a text that goes to no terminal.
const COLUMNS: u16 = 132;

/// Looks until a text is printed: rates are of the time between two.
const LOOKS: usize = 2;

const AFTER_HELP: &str = "\
The broker has to have a listener with `protocol http_api`. Where input or output is no terminal, it does as with --once.

Exit codes:
  0  done
  1  the broker does not answer (--once), or the terminal cannot be used
  2  wrong command line";

/// As many clients as one answer has.
fn rows() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(1..=limits::ANSWER_ROWS_MAX as u64)
}

/// Shows in a terminal what a broker does: rates, shards, memory, the clients that lag most
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Top {
    #[command(flatten)]
    account: Account,

    /// Which clients come first
    #[arg(long, value_enum, value_name = "ORDER", default_value = "lag")]
    sort: Order,

    /// Clients at most
    #[arg(long, value_name = "N", default_value_t = limits::TOP_CLIENTS as u64, value_parser = rows())]
    limit: u64,

    /// Print the figures of one second as text, and end
    #[arg(long)]
    once: bool,
}

/// Runs it.
pub(super) fn top(options: &Top) -> ExitCode {
    match options.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            stderr::tell(&format!("firehose: {error}"));
            ExitCode::from(EXIT_FAILED)
        }
    }
}

impl Top {
    fn run(&self) -> Result<(), String> {
        let site = self.account.site()?;
        let app = App::new(site.authority().into(), site.has_user(), self.sort);
        let face = Face::of_environment();
        let limit = usize::try_from(self.limit).unwrap_or(limits::TOP_CLIENTS);
        let feed = Feed::begin(site, self.sort, limit)?;
        let can_move = std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
        match !self.once && is_terminal && can_move {
            true => screen::show(app, &feed, face),
            false => once(app, &feed, face),
        }
    }
}

/// Prints what there is after some looks.
fn once(mut app: App, feed: &Feed, face: Face) -> Result<(), String> {
    let mut looks = 0;
    while looks < LOOKS {
        match feed.news.recv() {
            Ok(News::Away(why)) => return Err(why),
            Ok(news) => app.hear(news),
            Err(_) => return Err("nobody asks any more".into()),
        }
        looks += 1;
    }
    for line in text(&app, face) {
        match writeln!(io::stdout(), "{}", one_line(&line)) {
            // A reader who has seen enough and goes is no error.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            other => other.map_err(|error| format!("cannot write: {error}"))?,
        }
    }
    Ok(())
}

/// A screen as lines.
fn text(app: &App, face: Face) -> Vec<String> {
    // A line more for what there is to say.
    let height = view::Lines::all(&app.picture).height();
    let mut buffer = Buffer::empty(Rect::new(0, 0, COLUMNS, height));
    view::draw_all(app, face, &mut buffer);
    let rows = buffer.content().chunks(usize::from(COLUMNS));
    let line = |row: &[ratatui::buffer::Cell]| {
        let mut text = String::new();
        let mut covered = 0;
        for cell in row {
            // A wide letter covers the cell behind it.
            if covered == 0 {
                text.push_str(cell.symbol());
                covered = unicode_columns(cell.symbol());
            }
            covered = usize::saturating_sub(covered, 1);
        }
        text.trim_end().to_string()
    };
    let mut lines: Vec<String> = rows.map(line).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// How many columns a symbol takes.
fn unicode_columns(symbol: &str) -> usize {
    ratatui::text::Span::raw(symbol).width()
}
