//! `firehose health`: asks a broker over HTTP whether it is ready, for containers and service managers.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::web::account::Account;
use crate::cli::web::address::Address;
use crate::cli::web::{EXIT_FAILED, Failed, finish};
use crate::escape::one_line;
use crate::limits::HEALTH_MS_MAX;

/// What is asked, unless somebody wants another path.
const READY: &str = "/readyz";

/// Asks a broker over HTTP whether it is ready, and says so in one line
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Health {
    /// What to ask instead of /readyz of --url: http://HOST[:PORT][/PATH], or https://
    #[arg(value_name = "URL", value_parser = Address::http)]
    exactly: Option<Address>,

    #[command(flatten)]
    account: Account,
}

const AFTER_HELP: &str = "\
The broker needs a listener for that: `listener 9883 127.0.0.1` and below it `protocol http_api`. /readyz is whether it should
be sent clients, /healthz whether it lives; both answer everybody who reaches the listener.

Exit codes:
  0  it is
  1  it is not, it does not answer within 5 seconds, or nobody listens there
  2  wrong command line, or a file that it names cannot be used";

/// Does it.
pub(super) fn health(options: &Health) -> ExitCode {
    match options.ask() {
        Ok(text) => say(&text, ExitCode::SUCCESS),
        Err(Failed::Broker(text)) => say(&text, ExitCode::from(EXIT_FAILED)),
        Err(usage) => finish(Err(usage)),
    }
}

fn say(text: &str, code: ExitCode) -> ExitCode {
    // Whoever is gone reads no line; the code says it too.
    let _ = writeln!(io::stdout(), "{}", one_line(text));
    code
}

impl Health {
    /// What a broker says that is ready.
    fn ask(&self) -> Result<String, Failed> {
        let (site, path) = match &self.exactly {
            None => (self.account.site()?, READY.to_string()),
            Some(address) => {
                let (place, path) = address.split();
                let path = if path.is_empty() { READY } else { path };
                (self.account.site_at(place)?, path.into())
            }
        };
        let site = site.within(Duration::from_millis(HEALTH_MS_MAX));
        let response = site.ask("GET", &path)?;
        match site.refusal(&response) {
            None => Ok(response.line()),
            Some(text) => Err(Failed::Broker(text)),
        }
    }
}
