//! Where a broker is asked, and as whom.

use std::fs;
use std::path::PathBuf;

use super::site::Site;

/// Options that all commands have which ask a broker.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Account {
    /// Where the broker's HTTP listener is
    #[arg(
        long,
        value_name = "URL",
        env = "FIREHOSE_URL",
        default_value = "http://127.0.0.1:9883"
    )]
    url: String,

    /// User name, with --password-file or FIREHOSE_PASSWORD; what changes something needs one
    #[arg(long, value_name = "NAME", env = "FIREHOSE_USER")]
    user: Option<String>,

    /// A file whose first line is the password
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
}

impl Account {
    /// Whom to ask.
    pub(in crate::cli) fn site(&self) -> Result<Site, String> {
        let site = Site::at(&self.url)?;
        let Some(user) = &self.user else {
            return Ok(site);
        };
        let password = match &self.password_file {
            Some(path) => {
                let text = fs::read_to_string(path)
                    .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
                text.lines().next().unwrap_or_default().into()
            }
            None => std::env::var("FIREHOSE_PASSWORD")
                .map_err(|_| "--user needs --password-file or FIREHOSE_PASSWORD".to_string())?,
        };
        Ok(site.by_user(user, &password))
    }
}
