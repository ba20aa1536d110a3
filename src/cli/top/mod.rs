//! `firehose top`: what a broker does, in a terminal, once a second, from its HTTP listener (`protocol http_api`); or from `$SYS`, as often
//! as that is published and as far as it goes.
//!
//! `feed.rs` asks, `subscriber.rs` and `sys.rs` listen, `model.rs` makes figures of the answers, `view.rs` draws them, `screen.rs` has the terminal and the keys.

mod app;
mod feed;
mod list;
mod model;
mod news;
mod paint;
mod scrape;
mod screen;
mod subscriber;
mod sys;
#[cfg(test)]
mod tests;
mod view;
mod words;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::cli::web::account::Account;
use crate::cli::web::address::Address;
use crate::cli::web::hints;
use crate::cli::web::{Failed, finish};
use crate::escape::one_line;
use crate::limits;
use app::App;
use feed::Feed;
use model::Order;
use news::News;
use paint::Face;
use subscriber::Door;

/// Columns of a text that goes to no terminal.
const COLUMNS: u16 = 132;

/// Looks until a text is printed: rates are of the time between two.
const LOOKS: usize = 2;

const AFTER_HELP: &str = "\
It asks the listener with `protocol http_api`. Where neither --url nor FIREHOSE_URL is given and nobody listens at 127.0.0.1:9883, it shows
$SYS of 127.0.0.1:1883 instead, as --mqtt does of another listener: a user has to be granted `topic read $SYS/#` where there is an acl_file.
Where input or output is no terminal, it does as with --once.

Exit codes:
  0  done
  1  the broker does not answer (--once), or the terminal cannot be used
  2  wrong command line, or a file that it names cannot be used";

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

    /// Show $SYS of a listener of MQTT instead: HOST[:PORT], or mqtts://HOST[:PORT] for TLS. It has figures each `sys_interval`, and
    /// ten clients
    #[arg(long, value_name = "HOST", value_parser = Address::mqtt)]
    mqtt: Option<Address>,

    /// Which clients come first
    #[arg(long, value_enum, value_name = "ORDER", default_value = "lag")]
    sort: Order,

    /// Clients, or topics, at most
    #[arg(long, value_name = "N", default_value_t = limits::TOP_CLIENTS as u64, value_parser = rows())]
    limit: u64,

    /// Print the figures of one second as text, and end; of $SYS those of one interval
    #[arg(long)]
    once: bool,
}

/// Runs it.
pub(super) fn top(options: &Top) -> ExitCode {
    finish(options.run())
}

impl Top {
    fn run(&self) -> Result<(), Failed> {
        let (app, feed) = match &self.mqtt {
            Some(address) => self.of_sys(address, None)?,
            None => self.of_http()?,
        };
        let face = Face::of_environment();
        let can_move = std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
        match !self.once && is_terminal && can_move {
            true => screen::show(app, &feed, face)?,
            false => once(app, &feed, face)?,
        }
        Ok(())
    }
}

impl Top {
    fn of_http(&self) -> Result<(App, Feed), Failed> {
        let (http, mqtt) = (Address::http_here(), Address::mqtt_here());
        // Somebody sits on the host of a broker that was not told to answer over HTTP.
        let is_free = self.account.url().is_none() && hints::is_deserted(&http);
        if is_free && !hints::is_deserted(&mqtt) {
            let said = "Nobody listens at 127.0.0.1:9883 (protocol http_api): figures are those of $SYS, clients ten.";
            return self.of_sys(&mqtt, Some(said.into()));
        }
        let site = self.account.site()?;
        let app = App::new(site.authority(), site.has_user(), self.sort);
        let limit = usize::try_from(self.limit).unwrap_or(limits::TOP_CLIENTS);
        Ok((app, Feed::begin(site, self.sort, limit)?))
    }

    /// `said`: why they are of `$SYS`, where nobody has asked for that.
    fn of_sys(&self, address: &Address, said: Option<String>) -> Result<(App, Feed), Failed> {
        let login = &self.account.login;
        let door = Door {
            address: address.clone(),
            plan: login.plan(address)?,
            user: login.user()?,
        };
        let app = App::of_sys(address.authority(), self.sort, said);
        Ok((app, Feed::of_sys(door)?))
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
