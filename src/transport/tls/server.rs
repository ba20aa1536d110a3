//! What the TLS connections of a listener share: certificates, rules, tickets.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::suites;

/// For the operator.
const NO_V12: &str = "none of the suites in `ciphers` is known here: clients of TLS 1.2 are refused; name some of \
                      ECDHE-RSA-AES256-GCM-SHA384 and its like, or leave the line out";

/// The lowest version that is accepted (`tls_version`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Minimum {
    /// TLS 1.2.
    #[default]
    V12,
    /// TLS 1.3.
    V13,
}

/// Where a client's user name comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NamedBy {
    /// From CONNECT.
    #[default]
    Password,
    /// From its certificate's common name (`use_identity_as_username`).
    CommonName,
    /// From its certificate's subject (`use_subject_as_username`).
    Subject,
}

/// The contents of a certificate's file and of its key's, both PEM.
#[derive(Clone, Default)]
pub struct CertifiedFiles {
    /// The certificate, and those between it and its CA.
    pub chain: Vec<u8>,
    /// The private key.
    pub key: Vec<u8>,
}

/// What a `Server` is made from: contents of files, and choices.
#[derive(Clone, Default)]
pub struct Material {
    /// The first is for clients that ask for no name, or for one that none of them has.
    pub certificates: Vec<CertifiedFiles>,
    /// PEM files of the CAs of clients' certificates.
    pub authorities: Vec<Vec<u8>>,
    /// PEM files of revocation lists.
    pub revocations: Vec<Vec<u8>>,
    pub minimum: Minimum,
    /// `ciphers`: of TLS 1.2.
    pub ciphers: Option<String>,
    /// `ciphers_tls1.3`.
    pub ciphers_v13: Option<String>,
    /// Whether a client without a valid certificate is refused. Without it none is asked for, as in Mosquitto.
    pub require_certificate: bool,
    pub named_by: NamedBy,
    /// Protocol names (`tls_alpn`); empty: none is asked for.
    pub alpn: Vec<Vec<u8>>,
}

/// Which part of the material is wrong, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MaterialError {
    /// The certificate with this index.
    Certificate(usize, String),
    /// Its key.
    Key(usize, String),
    /// CAs.
    Authorities(String),
    /// Revocation lists.
    Revocations(String),
    /// No cipher suite is left.
    Ciphers(String),
}

impl fmt::Display for MaterialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MaterialError::Certificate(_, text)
            | MaterialError::Key(_, text)
            | MaterialError::Authorities(text)
            | MaterialError::Revocations(text)
            | MaterialError::Ciphers(text) => f.write_str(text),
        }
    }
}

/// See the module. Equal when made from equal material.
pub struct Server {
    config: Arc<ServerConfig>,
    named_by: NamedBy,
    fingerprint: [u8; 32],
    /// What the operator should know: names of ciphers that are not known, say.
    notes: Vec<String>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.fingerprint;
        write!(f, "Server({a:02x}{b:02x}{c:02x}{d:02x})")
    }
}

impl PartialEq for Server {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Server {
    /// Checks the material and makes what rustls needs of it.
    ///
    /// # Errors
    /// Which part of the material is wrong.
    pub fn new(material: &Material) -> Result<Server, MaterialError> {
        let (suites, unknown) =
            suites::chosen(material.ciphers.as_deref(), material.ciphers_v13.as_deref());
        let versions: &[&SupportedProtocolVersion] = match material.minimum {
            Minimum::V12 => &[&TLS13, &TLS12],
            Minimum::V13 => &[&TLS13],
        };
        let has_v12 = suites.iter().any(|suite| suite.tls13().is_none());
        let only_v13 = material.minimum == Minimum::V12 && !has_v12;
        let provider = Arc::new(CryptoProvider {
            cipher_suites: suites,
            ..aws_lc_rs::default_provider()
        });
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(|error| MaterialError::Ciphers(format!("no usable cipher suite: {error}")))?;
        let builder = match material.require_certificate {
            false => builder.with_no_client_auth(),
            true => builder.with_client_cert_verifier(verifier(material, &provider)?),
        };
        let certificates = Certificates::new(material, &provider)?;
        let mut config = builder.with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols.clone_from(&material.alpn);
        // One ticket is what a client needs to come back; each costs it and us a record.
        config.send_tls13_tickets = 1;
        if let Ok(ticketer) = aws_lc_rs::Ticketer::new() {
            config.ticketer = ticketer;
        }
        let notes = unknown
            .iter()
            .map(|name| format!("the cipher suite {name} is not known here and left out"))
            .chain(only_v13.then(|| NO_V12.to_owned()));
        Ok(Server {
            config: Arc::new(config),
            named_by: material.named_by,
            fingerprint: fingerprint(material),
            notes: notes.collect(),
        })
    }

    pub(super) fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    pub(super) fn named_by(&self) -> NamedBy {
        self.named_by
    }

    /// What the operator should know.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// Who may come in by certificate. As OpenSSL with X509_V_FLAG_CRL_CHECK: with revocation lists a client whose CA has
/// none is refused, and so is everybody when a list has expired; CAs themselves are not looked up.
fn verifier(
    material: &Material,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, MaterialError> {
    let mut roots = RootCertStore::empty();
    for file in &material.authorities {
        for certificate in CertificateDer::pem_slice_iter(file) {
            let added = certificate
                .map_err(|error| error.to_string())
                .and_then(|one| roots.add(one).map_err(|error| error.to_string()));
            added.map_err(|error| {
                MaterialError::Authorities(format!("a CA certificate cannot be read: {error}"))
            })?;
        }
    }
    if roots.is_empty() {
        let text = "there is no CA certificate in it, and require_certificate is true";
        return Err(MaterialError::Authorities(text.into()));
    }
    let mut lists = Vec::new();
    for file in &material.revocations {
        for list in CertificateRevocationListDer::pem_slice_iter(file) {
            lists.push(list.map_err(|error| {
                MaterialError::Revocations(format!("the list cannot be read: {error}"))
            })?);
        }
    }
    if lists.is_empty() && !material.revocations.is_empty() {
        let text = "there is no revocation list in it";
        return Err(MaterialError::Revocations(text.into()));
    }
    let has_lists = !lists.is_empty();
    let mut builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    if has_lists {
        builder = builder
            .with_crls(lists)
            .only_check_end_entity_revocation()
            .enforce_revocation_expiration();
    }
    builder
        .build()
        .map_err(|error| MaterialError::Revocations(error.to_string()))
}

/// Certificates by the name that a client asks for (SNI, RFC 6066).
#[derive(Debug)]
struct Certificates {
    /// With the names that they are for, in lower case.
    entries: Vec<(Vec<String>, Arc<CertifiedKey>)>,
}

impl Certificates {
    fn new(material: &Material, provider: &CryptoProvider) -> Result<Self, MaterialError> {
        let entries = material.certificates.iter().enumerate();
        let entries: Result<Vec<_>, _> = entries
            .map(|(index, files)| certified(index, files, provider))
            .collect();
        Ok(Certificates { entries: entries? })
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let wanted = hello.server_name().map(str::to_ascii_lowercase);
        let named = wanted.and_then(|wanted| {
            self.entries
                .iter()
                .find(|(names, _)| names.iter().any(|name| is_for(name, &wanted)))
        });
        named
            .or(self.entries.first())
            .map(|(_, certified)| certified.clone())
    }
}

/// Whether a certificate's name is for this one: `*` stands for one label (RFC 6125, 6.4.3).
fn is_for(name: &str, wanted: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(parent) => wanted
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
        None => name == wanted,
    }
}

/// A certificate with its key and its names.
fn certified(
    index: usize,
    files: &CertifiedFiles,
    provider: &CryptoProvider,
) -> Result<(Vec<String>, Arc<CertifiedKey>), MaterialError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&files.chain).collect();
    let chain = chain.map_err(|error| {
        MaterialError::Certificate(index, format!("the certificate cannot be read: {error}"))
    })?;
    let Some(first) = chain.first() else {
        let text = "there is no certificate in it (PEM is expected)";
        return Err(MaterialError::Certificate(index, text.into()));
    };
    let names = names(first);
    let key = PrivateKeyDer::from_pem_slice(&files.key).map_err(|error| {
        let text = String::from_utf8_lossy(&files.key);
        let is_encrypted = text.contains("ENCRYPTED");
        let text = match is_encrypted {
            true => "the key is encrypted; decrypt it (openssl pkey) and protect the file".into(),
            false => format!("there is no private key in it: {error}"),
        };
        MaterialError::Key(index, text)
    })?;
    let certified = CertifiedKey::from_der(chain, key, provider)
        .map_err(|error| MaterialError::Key(index, key_error(&error)))?;
    Ok((names, Arc::new(certified)))
}

fn key_error(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InconsistentKeys(_) => "the key is not that of the certificate".into(),
        other => format!("the key cannot be used: {other}"),
    }
}

/// The names that a certificate is for.
fn names(certificate: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = alternatives.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

/// Tells material apart without keeping the keys.
fn fingerprint(material: &Material) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    for files in &material.certificates {
        add(&files.chain);
        add(&files.key);
    }
    add(b"authorities");
    material.authorities.iter().for_each(|file| add(file));
    add(b"revocations");
    material.revocations.iter().for_each(|file| add(file));
    add(b"choices");
    add(format!(
        "{:?} {:?} {:?} {} {:?}",
        material.minimum,
        material.ciphers,
        material.ciphers_v13,
        material.require_certificate,
        material.named_by
    )
    .as_bytes());
    material.alpn.iter().for_each(|name| add(name));
    hash.finalize().into()
}
