//! `firehose clients`, `kick`, `who`, `retained`, `trace`: asks a broker that runs, over its HTTP listener (`protocol http_api`). Tables for
//! people; with `--json` one object a line, with the fields that `control/api/openapi.json` describes.

pub(super) mod lists;
mod out;
mod table;
#[cfg(test)]
mod tests;
mod trace;
mod traced;

use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::Value;

use self::lists::{List, encoded};
use self::out::print;
use self::table::{Column, Table};
use crate::cli::web::account::Account;
use crate::cli::web::{AFTER_HELP, Failed, finish};
use crate::control::stderr;
pub(super) use trace::{Trace, trace};

/// Lists clients, connected and away: in no order, or those first that lag most
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Clients {
    #[command(flatten)]
    account: Account,

    /// Those first that have taken nothing for longest, or have most waiting; or by name
    #[arg(long, value_enum, value_name = "ORDER")]
    sort: Option<Sort>,

    /// Only those that are connected
    #[arg(long, conflicts_with = "away")]
    connected: bool,

    /// Only those that are away
    #[arg(long)]
    away: bool,

    /// Only those whose client identifier starts with this
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,

    #[command(flatten)]
    size: Size,

    /// All of one client instead, with its subscriptions
    #[arg(value_name = "ID", conflicts_with_all = ["sort", "connected", "away", "prefix"])]
    client: Option<String>,
}

/// An order of clients.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Sort {
    Lag,
    Bytes,
    Messages,
    Name,
}

/// How much of a list is shown.
#[derive(Debug, clap::Args)]
struct Size {
    /// Rows at most; 0 for all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,

    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Disconnects a client: with reason 0x98 in MQTT 5; its will is published
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Kick {
    #[command(flatten)]
    account: Account,

    /// End its session too, with all that waits for it; also when it is away
    #[arg(long)]
    end_session: bool,

    /// The answer as a JSON object
    #[arg(long)]
    json: bool,

    /// The client identifier
    #[arg(value_name = "ID")]
    client: String,
}

/// Shows who is sent messages with a topic, by which subscription, and whether access rules let him
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Who {
    #[command(flatten)]
    account: Account,

    /// Who is subscribed to exactly this filter instead; $share/NAME/FILTER for one shared subscription
    #[arg(long, value_name = "FILTER", conflicts_with = "topic")]
    filter: Option<String>,

    #[command(flatten)]
    size: Size,

    /// The topic name, with the mount point of a listener that has one
    #[arg(value_name = "TOPIC", required_unless_present = "filter")]
    topic: Option<String>,
}

/// Lists retained messages; shows or deletes the one of a topic
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Retained {
    #[command(flatten)]
    account: Account,

    /// Show the message of this topic, with its payload
    #[arg(long, value_name = "TOPIC", conflicts_with_all = ["filter", "delete"])]
    show: Option<String>,

    /// Delete the message of this topic; nobody who is subscribed is told
    #[arg(long, value_name = "TOPIC", conflicts_with = "filter")]
    delete: Option<String>,

    #[command(flatten)]
    size: Size,

    /// Those that this filter matches
    #[arg(value_name = "FILTER", default_value = "#")]
    filter: String,
}

/// Runs `firehose clients`.
pub(super) fn clients(options: &Clients) -> ExitCode {
    finish(options.run())
}

/// Runs `firehose kick`.
pub(super) fn kick(options: &Kick) -> ExitCode {
    finish(options.run())
}

/// Runs `firehose who`.
pub(super) fn who(options: &Who) -> ExitCode {
    finish(options.run())
}

/// Runs `firehose retained`.
pub(super) fn retained(options: &Retained) -> ExitCode {
    finish(options.run())
}

const CLIENT_COLUMNS: [Column; 11] = [
    Column::text("CLIENT", "client_id"),
    Column::text("USER", "username"),
    Column::text("ADDRESS", "address"),
    Column::text("MQTT", "protocol"),
    Column::text("BY", "transport"),
    Column::number("CONNECTED S", "connected_seconds"),
    Column::number("LAG S", "lag_seconds"),
    Column::number("BYTES", "bytes_waiting"),
    Column::number("MESSAGES", "messages_waiting"),
    Column::number("IN FLIGHT", "in_flight"),
    Column::number("SUBSCRIPTIONS", "subscriptions"),
];

const SUBSCRIPTION_COLUMNS: [Column; 7] = [
    Column::text("CLIENT", "client_id"),
    Column::yes_no("CONNECTED", "connected"),
    Column::text("SHARE", "share"),
    Column::text("FILTER", "filter"),
    Column::number("QOS", "qos"),
    Column::yes_no("NO LOCAL", "no_local"),
    Column::yes_no("MAY READ", "may_read"),
];

const RETAINED_COLUMNS: [Column; 5] = [
    Column::text("TOPIC", "topic"),
    Column::number("QOS", "qos"),
    Column::number("BYTES", "payload_bytes"),
    Column::number("EXPIRES IN S", "expires_in_seconds"),
    Column::text("USER", "username"),
];

impl Clients {
    fn run(&self) -> Result<(), Failed> {
        let site = self.account.site()?;
        if let Some(client) = &self.client {
            let path = format!("/api/v1/clients/{}", encoded(client));
            return show(&site.get(&path)?, self.size.json);
        }
        let mut list = List::new(&site, "/api/v1/clients");
        let sort = self.sort.and_then(|sort| sort.to_possible_value());
        list.ask("sort", sort.as_ref().map(|sort| sort.get_name()));
        let connected = match (self.connected, self.away) {
            (true, _) => Some("true"),
            (_, true) => Some("false"),
            _ => None,
        };
        list.ask("connected", connected);
        list.ask("prefix", self.prefix.as_deref());
        self.size.print(list, &CLIENT_COLUMNS)
    }
}

impl Kick {
    fn run(&self) -> Result<(), Failed> {
        let site = self.account.site()?;
        let id = encoded(&self.client);
        let ends = self.end_session;
        let path = format!("/api/v1/clients/{id}?end_session={ends}");
        let done = site.delete(&path)?;
        if self.json {
            return show(&done, true);
        }
        let is = |field: &str| done[field] == Value::Bool(true);
        let connection = match is("was_connected") {
            true => "disconnected",
            false => "was not connected",
        };
        let session = match (is("session_ended"), is("was_connected")) {
            (true, _) => "its session has ended",
            (false, true) => "its session is kept",
            (false, false) => "its session is kept, and nothing was done",
        };
        print(&format!("{}: {connection}; {session}.", self.client))
    }
}

impl Who {
    fn run(&self) -> Result<(), Failed> {
        let site = self.account.site()?;
        let mut list = List::new(&site, "/api/v1/subscriptions");
        list.ask("topic", self.topic.as_deref());
        list.ask("filter", self.filter.as_deref());
        self.size.print(list, &SUBSCRIPTION_COLUMNS)
    }
}

impl Retained {
    fn run(&self) -> Result<(), Failed> {
        let site = self.account.site()?;
        let one = |topic: &str| format!("/api/v1/retained?topic={}", encoded(topic));
        if let Some(topic) = &self.show {
            return show(&site.get(&one(topic))?, self.size.json);
        }
        if let Some(topic) = &self.delete {
            let done = site.delete(&one(topic))?;
            return match self.size.json {
                true => show(&done, true),
                false => print(&format!("{topic}: deleted.")),
            };
        }
        let mut list = List::new(&site, "/api/v1/retained");
        list.ask("filter", Some(&self.filter));
        self.size.print(list, &RETAINED_COLUMNS)
    }
}

impl Size {
    /// Prints a list as far as it is wanted.
    fn print(&self, mut list: List<'_>, columns: &[Column]) -> Result<(), Failed> {
        let limit = match self.limit {
            0 => usize::MAX,
            limit => limit,
        };
        let mut table = Table::new(columns);
        while let Some(rows) = list.next(limit)? {
            for row in &rows {
                match self.json {
                    true => print(&row.to_string())?,
                    false => table.add(row),
                }
            }
        }
        if !self.json {
            for line in table.lines() {
                print(&line)?;
            }
            if list.is_more() {
                stderr::tell("firehose: there are more; --limit shows them");
            }
        }
        match (list.missing(), list.unfinished()) {
            ([], []) => Ok(()),
            ([], shards) => Err(Failed::Broker(format!(
                "these shards have more sessions than are looked at for one answer: {shards:?}"
            ))),
            (shards, _) => Err(Failed::Broker(format!(
                "these shards have not answered: {shards:?}"
            ))),
        }
    }
}

/// Prints one object: its fields one below the other, or as JSON.
fn show(object: &Value, as_json: bool) -> Result<(), Failed> {
    match as_json {
        true => print(&object.to_string()),
        false => table::fields(object)
            .iter()
            .try_for_each(|line| print(line)),
    }
}
