//! Where a broker is asked, and as whom.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Failed;
use super::address::Address;
use super::site::{Site, User};
use crate::cli::passwd::prompt;
use crate::config::known_authorities;
use crate::load::secrets;
use crate::transport::tls::{CertifiedFiles, ClientPlan, Minimum, Unfit, Verify};

/// Above them in `--help`.
const HEADING: &str = "Where to ask, and as whom";

/// Options that all commands have which ask a broker.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Account {
    /// Where the broker's HTTP listener is: http://HOST[:PORT][/BASE], or https://; port 9883 where none is named
    /// [default: http://127.0.0.1:9883]
    #[arg(long, help_heading = HEADING, value_name = "URL", env = "FIREHOSE_URL", hide_env_values = true, value_parser = Address::http)]
    url: Option<Address>,

    #[command(flatten)]
    pub login: Login,
}

/// As whom.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Login {
    /// User name; what changes something needs one
    #[arg(
        long,
        help_heading = HEADING,
        visible_alias = "user",
        value_name = "NAME",
        env = "FIREHOSE_USERNAME", hide_env_values = true
    )]
    username: Option<String>,

    /// A file whose first line is the password; else FIREHOSE_PASSWORD of the environment, else it is asked for
    #[arg(long, help_heading = HEADING, value_name = "FILE")]
    password_file: Option<PathBuf>,

    /// TLS: the CAs that may have signed the broker's certificate, in PEM; else those that this host knows
    #[arg(long, help_heading = HEADING, value_name = "FILE")]
    cafile: Option<PathBuf>,

    /// TLS: take any certificate; whoever answers gets what is asked, and the password
    #[arg(long, help_heading = HEADING, conflicts_with = "cafile")]
    insecure: bool,

    /// TLS: a certificate to show, in PEM
    #[arg(long, help_heading = HEADING, value_name = "FILE")]
    cert: Option<PathBuf>,

    /// TLS: its private key, in PEM; else FIREHOSE_KEY of the environment
    #[arg(long, help_heading = HEADING, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

impl Account {
    /// The URL that somebody has given.
    pub(in crate::cli) fn url(&self) -> Option<&Address> {
        self.url.as_ref()
    }

    /// Whom to ask.
    ///
    /// # Errors
    /// A file cannot be used, or options are of no use together.
    pub(in crate::cli) fn site(&self) -> Result<Site, Failed> {
        self.site_at(self.url.clone().unwrap_or_else(Address::http_here))
    }

    /// Whom to ask there.
    ///
    /// # Errors
    /// As of `site`.
    pub(in crate::cli) fn site_at(&self, address: Address) -> Result<Site, Failed> {
        let plan = self.login.plan(&address)?;
        let user = self.login.user()?;
        Ok(Site::new(address, plan, user))
    }
}

impl Login {
    /// Who asks, with a password, if he names himself.
    ///
    /// # Errors
    /// There is no password to be had.
    pub(in crate::cli) fn user(&self) -> Result<Option<User>, Failed> {
        let file = self.password_file.as_deref();
        let found = secrets::password(None, file, self.username.is_some());
        let found = found.map_err(Failed::Usage)?;
        let Some(name) = &self.username else {
            return Ok(None);
        };
        let (password, source) = match found {
            Some(secret) => (secret.bytes().to_vec(), secret.source().to_string()),
            None if std::io::stdin().is_terminal() => {
                let password = prompt::password_of(name).map_err(Failed::Usage)?;
                (password, "what was typed".into())
            }
            None => {
                let text = "--username needs a password: --password-file FILE, or FIREHOSE_PASSWORD in the environment";
                return Err(Failed::Usage(text.into()));
            }
        };
        Ok(Some(User {
            name: name.clone(),
            password,
            source,
        }))
    }

    /// The TLS of a connection to there; `None` where none is spoken.
    ///
    /// # Errors
    /// A file cannot be used; there are options of TLS, and none is spoken.
    pub(in crate::cli) fn plan(
        &self,
        address: &Address,
    ) -> Result<Option<Arc<ClientPlan>>, Failed> {
        let of_tls = [
            ("--cafile", self.cafile.is_some()),
            ("--insecure", self.insecure),
            ("--cert", self.cert.is_some()),
        ];
        if !address.is_tls {
            return match of_tls.iter().find(|(_, is_given)| *is_given) {
                Some((name, _)) => Err(Failed::Usage(format!(
                    "{name} is about TLS, which {} does not speak: https:// or mqtts://",
                    address.url()
                ))),
                None => Ok(None),
            };
        }
        let plan = self
            .of_authorities(&address.host)
            .and_then(|plan| match &self.cert {
                Some(path) => with_certificate(plan, path, self.key.as_deref()),
                None => Ok(plan),
            });
        plan.map(|plan| Some(Arc::new(plan))).map_err(Failed::Usage)
    }

    fn of_authorities(&self, host: &str) -> Result<ClientPlan, String> {
        let plan = |verify: Verify<'_>| ClientPlan::new(host, verify, Minimum::V12, true);
        if self.insecure {
            return plan(Verify::Nothing);
        }
        let (path, authorities) = match &self.cafile {
            Some(path) => (path.clone(), read(path)?),
            None => known_authorities()
                .next()
                .ok_or("this host keeps no list of CAs where it is looked for: --cafile FILE")?,
        };
        plan(Verify::By(&authorities)).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// The same with a certificate to show.
fn with_certificate(
    plan: ClientPlan,
    path: &Path,
    key: Option<&Path>,
) -> Result<ClientPlan, String> {
    let chain = read(path)?;
    let key = secrets::key(key)?;
    let files = CertifiedFiles {
        chain,
        key: key.bytes().to_vec(),
    };
    plan.with_certificate(&files).map_err(|unfit| match unfit {
        Unfit::Certificate(error) => format!("--cert {}: {error}", path.display()),
        Unfit::Key(error) => format!("{}: {error}", key.source()),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}
