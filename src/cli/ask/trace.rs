//! `firehose trace`: what a client or a topic does, live, one line for each event, until somebody ends it.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::lists::encoded;
use super::out::print;
use super::traced;
use crate::cli::web::account::Account;
use crate::cli::web::events::Step;
use crate::cli::web::{AFTER_HELP, Failed, finish};
use crate::limits;

/// Shows live what a client sends and is sent, or what is published to topics; nothing of it costs the broker anything while nobody looks
#[derive(Debug, clap::Args)]
pub(crate) struct Trace {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Every packet of a client, in both directions; one that is not connected is waited for
    #[command(after_help = AFTER_HELP)]
    Client {
        /// The client identifier
        #[arg(value_name = "ID")]
        client: String,

        #[command(flatten)]
        options: Options,
    },
    /// Every message to topics that a filter matches, on each shard: from whom, to how many, or why not
    #[command(after_help = AFTER_HELP)]
    Topic {
        /// The topic filter, with the mount point of a listener that has one
        #[arg(value_name = "FILTER")]
        filter: String,

        #[command(flatten)]
        options: Options,
    },
}

#[derive(Debug, clap::Args)]
struct Options {
    #[command(flatten)]
    account: Account,

    /// Bytes of each payload that are shown, of messages whose topics access rules let you read
    #[arg(long, value_name = "BYTES", default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(0..=limits::TRACE_PAYLOAD_BYTES_MAX as i64))]
    payload: u32,

    /// Events a second of each shard; the others are counted
    #[arg(long, value_name = "N", default_value_t = limits::TRACE_RATE,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::TRACE_RATE_MAX)))]
    rate: u32,

    /// Ends after so many seconds
    #[arg(long = "for", value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,

    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Runs `firehose trace`.
pub(in crate::cli) fn trace(trace: &Trace) -> ExitCode {
    let (subject, options) = match &trace.what {
        What::Client { client, options } => (format!("client={}", encoded(client)), options),
        What::Topic { filter, options } => (format!("topic={}", encoded(filter)), options),
    };
    finish(options.run(&subject))
}

/// When it is to end.
struct End {
    is_told: Arc<AtomicBool>,
    at: Option<Instant>,
}

impl End {
    fn new(seconds: Option<u64>) -> Result<End, Failed> {
        let is_told = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, is_told.clone())
                .map_err(|error| format!("cannot wait for signals: {error}"))?;
        }
        let at = seconds.and_then(|seconds| {
            let time = Duration::from_secs(seconds);
            Instant::now().checked_add(time)
        });
        Ok(End { is_told, at })
    }

    fn has_come(&self) -> bool {
        self.is_told.load(Ordering::Relaxed) || self.at.is_some_and(|at| Instant::now() >= at)
    }
}

impl Options {
    fn run(&self, subject: &str) -> Result<(), Failed> {
        let site = self.account.site()?;
        let end = End::new(self.seconds)?;
        let (payload, rate) = (self.payload, self.rate);
        let wanted = format!("/api/v1/trace?{subject}&payload={payload}&rate={rate}");
        let mut target = wanted.clone();
        loop {
            let mut events = site.events(&target)?;
            events.wait_no_longer_than(Duration::from_millis(limits::TOP_KEYS_MS))?;
            let mut number = None;
            loop {
                if end.has_come() {
                    return Ok(());
                }
                match events.step()? {
                    Step::Event(event) => {
                        if event["event"] == "begin" {
                            number = event["trace"].as_str().map(encoded);
                        }
                        self.show(&event)?;
                    }
                    Step::Nothing => {}
                    Step::End => break,
                }
            }
            // An answer ends after a while, and the trace goes on in the next one.
            let number = number.ok_or_else(|| "the broker has ended the trace".to_string())?;
            target = format!("{wanted}&trace={number}");
        }
    }

    fn show(&self, event: &Value) -> Result<(), Failed> {
        if self.json {
            return print(&event.to_string());
        }
        match traced::line(event) {
            Some(line) => print(&line),
            None => Ok(()),
        }
    }
}
