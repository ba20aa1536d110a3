//! What clients speak below MQTT: from the options and the files that they name.

use std::path::Path;
use std::sync::Arc;

use crate::load::options::ClientOptions;
use crate::load::secrets;
use crate::load::worker::{OptionsOf, Wire};
use crate::transport::tls::{CertifiedFiles, ClientPlan, Minimum, Unfit, Verify};

/// What clients speak below MQTT, to a host, or to a broker that is started here; by the options of which command. Reads the files of CAs, certificate and key.
///
/// # Errors
/// In words, with the option or the file: what cannot be read or used, or belongs to TLS where there is none.
pub fn wire(
    host: Option<&str>,
    client: &ClientOptions,
    options: OptionsOf,
) -> Result<Wire, String> {
    let host = host.unwrap_or("127.0.0.1");
    let is_tls = client.cafile.is_some() || is_insecure(client);
    let of_tls = [
        ("--resume", client.resume.is_some()),
        ("--tls-version", client.tls_version.is_some()),
        ("--cert", client.cert.is_some()),
        ("--key", client.key.is_some()),
    ];
    if !is_tls && let Some((name, _)) = of_tls.iter().find(|(_, is_given)| *is_given) {
        return Err(format!("{name} is about TLS: --cafile FILE or --insecure"));
    }
    let websocket = client.websocket == Some(true);
    Ok(Wire {
        tls: is_tls.then(|| tls(host, client)).transpose()?.map(Arc::new),
        websocket: websocket.then(|| host.into()),
        options,
    })
}

fn is_insecure(client: &ClientOptions) -> bool {
    client.insecure == Some(true)
}

/// The TLS of all clients.
fn tls(host: &str, client: &ClientOptions) -> Result<ClientPlan, String> {
    let authorities = match &client.cafile {
        Some(path) => read(path)?,
        None => Vec::new(),
    };
    let verify = match is_insecure(client) {
        true => Verify::Nothing,
        false => Verify::By(&authorities),
    };
    let minimum = match client.tls_version.as_deref() {
        Some("tlsv1.3") => Minimum::V13,
        _ => Minimum::V12,
    };
    let resumes = client.resume == Some(true);
    let plan = ClientPlan::new(host, verify, minimum, resumes);
    let plan = plan.map_err(|error| match &client.cafile {
        Some(path) => format!("{}: {error}", path.display()),
        None => error,
    })?;
    match (&client.cert, &client.key) {
        (Some(path), key) => with_certificate(plan, path, key.as_deref()),
        (None, Some(_)) => Err("--key is the private key of a certificate: --cert FILE".into()),
        (None, None) => Ok(plan),
    }
}

/// The same with the certificate of all clients.
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
