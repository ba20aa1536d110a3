//! The commands below `store` and their options; what stands here as documentation is what `--help` prints.

use std::path::PathBuf;

use clap::Subcommand;

/// Looks into a store of durable sessions and retained messages: statistics, content, checks, backup, repair, Mosquitto's database
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Store {
    #[command(subcommand)]
    pub(super) what: What,
}

const EXAMPLES: &str = "\
DIR is what persistence_location names: the store lies in DIR/firehose.
stats, dump, check, backup and export read only, also while a broker runs with the store, which does not notice.

Examples:
  firehose store stats /var/lib/firehose
  firehose store check /var/lib/firehose && echo sound
  firehose store dump /var/lib/firehose --client sensor-7
  mkdir -p /backup
  firehose store backup /var/lib/firehose /backup/$(date +%F)

Exit codes:
  0  as asked for
  1  check: cut off by a crash; dump: no such client or topic; repair, export, import: something is left out, and said
  2  check: damaged; wrong command line
  3  not done, and why";

#[derive(Debug, Subcommand)]
pub(super) enum What {
    #[command(after_help = STATS)]
    Stats(Stats),
    #[command(after_help = DUMP)]
    Dump(Dump),
    #[command(after_help = CHECK)]
    Check(Check),
    #[command(after_help = REPAIR)]
    Repair(Repair),
    #[command(after_help = BACKUP)]
    Backup(Backup),
    #[command(after_help = EXPORT)]
    Export(Export),
    #[command(after_help = IMPORT)]
    Import(Import),
}

/// Says what a store holds: runs, files, sessions, messages, by shard
#[derive(Debug, clap::Args)]
pub(super) struct Stats {
    /// The directory that persistence_location names
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,

    /// Write JSON instead of a table
    #[arg(long)]
    pub(super) json: bool,
}

const STATS: &str = "\
Works while a broker runs with the store: it says what a start would find now.

Examples:
  firehose store stats /var/lib/firehose
  firehose store stats /var/lib/firehose --json | jq .total.waiting

Exit codes:
  0  said
  3  there is no store, or it cannot be read: firehose store check says more";

/// Writes what a store holds: sessions with all that they have, and retained messages
#[derive(Debug, clap::Args)]
pub(super) struct Dump {
    /// The directory that persistence_location names
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,

    /// Write a line of JSON for each session, retained message and message on its way
    #[arg(long)]
    pub(super) json: bool,

    /// Only the session of this client identifier
    #[arg(long, value_name = "ID", conflicts_with = "records")]
    pub(super) client: Option<String>,

    /// Only messages whose topic matches this filter, and sessions that have one
    #[arg(long, value_name = "FILTER", conflicts_with = "records")]
    pub(super) topic: Option<String>,

    /// The records of the log one by one, as they were written
    #[arg(long)]
    pub(super) records: bool,
}

const DUMP: &str = "\
Works while a broker runs with the store. Sessions come in order of their client identifiers, retained messages in order of
their topics. Names and payloads are quoted as JSON quotes them; a payload that is no text is base64. In JSON it is `payload`
or `payload_base64`, and moments are UTC.

Examples:
  firehose store dump /var/lib/firehose
  firehose store dump /var/lib/firehose --client sensor-7
  firehose store dump /var/lib/firehose --topic 'plant/+/alarm' --json | jq -r .topic
  firehose store dump /var/lib/firehose --records | tail

Exit codes:
  0  written
  1  there is nothing of that client, or of such a topic
  2  wrong command line
  3  there is no store, or it cannot be read: firehose store check says more";

/// Reads every block of a store, and says what is wrong, where, and what to do
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// The directory that persistence_location names
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,

    /// Write JSON instead of lines
    #[arg(long)]
    pub(super) json: bool,
}

const CHECK: &str = "\
Every checksum, every number and every reference is looked at, behind the first damage too. Works while a broker runs with
the store.

Exit codes:
  0  sound
  1  the end is cut off, as a crash leaves it: a start cuts it, and nothing acknowledged was in it
  2  damaged: a start refuses it; wrong command line
  3  there is no store, or it cannot be read";

/// Writes a new store with what can be read of a damaged one
#[derive(Debug, clap::Args)]
pub(super) struct Repair {
    /// The directory that persistence_location names; nothing in it is changed
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,

    /// The directory for the new store, in NEW/firehose, which is not there yet
    #[arg(value_name = "NEW")]
    pub(super) new: PathBuf,

    /// Read this run, whatever STORE says
    #[arg(long, value_name = "N")]
    pub(super) run: Option<u32>,
}

const REPAIR: &str = "\
The log of a shard is kept from a checkpoint behind what is missing, which says all again. Where there is none it is kept up to the
first block that is missing; what comes behind goes on from what is not there, and is lost. Other shards go on. What is lost is said:
by shard, in bytes, and with the clients and topics that it names, as far as can be told. What clients had acknowledged in a part that
is lost may come to them again.

Example:
  systemctl stop firehose
  firehose store repair /var/lib/firehose /var/lib/repaired
  firehose store stats /var/lib/repaired
  mv /var/lib/firehose/firehose /var/lib/firehose/damaged
  mv /var/lib/repaired/firehose /var/lib/firehose/
  chown -R mosquitto: /var/lib/firehose/firehose
  systemctl start firehose

Exit codes:
  0  nothing is lost
  1  the new store is there, and something is lost
  2  wrong command line
  3  there is no new store: it says why";

/// Makes a copy of a store that a broker can start with, also while a broker writes to it
#[derive(Debug, clap::Args)]
pub(super) struct Backup {
    /// The directory that persistence_location names
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,

    /// The directory for the copy, in DEST/firehose, which is not there yet; the directory above DEST is
    #[arg(value_name = "DEST")]
    pub(super) dest: PathBuf,

    /// Write JSON instead of a line
    #[arg(long)]
    pub(super) json: bool,
}

const BACKUP: &str = "\
Files that are not written to any more are linked where DIR and DEST are on one file system, else copied. Everything is read and
checked on the way. Without an error the copy is whole and on the disk; with one there is none. It lies in DEST/firehose.unfinished
until it is whole.

Example:
  firehose store backup /var/lib/firehose /backup/$(date +%F)

Exit codes:
  0  the copy is there
  2  wrong command line
  3  there is none: it says why";

/// Writes what a store holds as Mosquitto's database
#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// Write the database of Mosquitto 2.0 and 2.1 (mosquitto.db)
    #[arg(long, required = true)]
    pub(super) mosquitto: bool,

    /// The directory that persistence_location names
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,

    /// The file to write
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,

    /// Replace the file if it is there
    #[arg(long)]
    pub(super) force: bool,
}

const EXPORT: &str = "\
What Mosquitto has no place for is said and left out: wills, sessions that end with their connection. End the broker first:
what comes behind the export is not in it.

Example:
  systemctl stop firehose
  firehose store export --mosquitto /var/lib/firehose /var/lib/mosquitto/mosquitto.db --force
  chown mosquitto: /var/lib/mosquitto/mosquitto.db
  systemctl start mosquitto

Exit codes:
  0  the file is there
  1  the file is there, and something is left out
  2  wrong command line
  3  there is none: it says why";

/// Makes Mosquitto's database the content of a store that is empty
#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// The directory that persistence_location names
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,

    /// The database of Mosquitto 1.6, 2.0 or 2.1 (mosquitto.db)
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,

    /// Put a store that is not empty aside, as DIR/firehose.1
    #[arg(long)]
    pub(super) force: bool,

    /// Configuration of the broker: its listeners get those clients again that came by their ports
    #[arg(short = 'c', long = "config-file", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

const IMPORT: &str = "\
All or nothing: a database that is damaged is refused, with the byte, before anything is written. The file stays as it is. End
Mosquitto first: it saves its database at its end. A start imports persistence_file of an empty store by itself.

Example:
  systemctl stop mosquitto
  firehose store import /var/lib/firehose /var/lib/mosquitto/mosquitto.db
  chown -R mosquitto: /var/lib/firehose/firehose
  systemctl start firehose

Exit codes:
  0  the store has all of it
  1  the store has it, and something is left out
  2  wrong command line
  3  the store is as it was: it says why";
