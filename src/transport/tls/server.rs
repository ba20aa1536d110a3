//! What the TLS connections of a listener share: certificates, rules, tickets.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use sha2::{Digest, Sha256};

use super::certified::{Certified, CertifiedFiles, Unfit};
use super::chain::{self, Gap, Source, Validity};
use super::identity::NamedBy;
use super::{suites, verify};

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

/// What a `Server` is made from: contents of files, and choices.
#[derive(Clone, Default)]
pub struct Material {
    /// The first is for clients that ask for no name, or for one that none of them has.
    pub certificates: Vec<CertifiedFiles>,
    /// PEM files of CAs: those of clients' certificates, and those that complete our own chains.
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
    /// Whether dates of clients' certificates are not looked at (`disable_client_cert_date_checks`).
    pub ignores_dates: bool,
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
    requires_certificate: bool,
    fingerprint: [u8; 32],
    /// What the operator should know: names of ciphers that are not known, say.
    notes: Vec<String>,
    gaps: Vec<Gap>,
    validities: Vec<Validity>,
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
        let authorities = authorities(material)?;
        let builder = match material.require_certificate {
            false => builder.with_no_client_auth(),
            true => {
                let verifier = verifier(material, &authorities, &provider)?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let (certificates, gaps) = Certificates::new(material, &authorities, &provider)?;
        let mut validities = certificates.validities();
        if material.require_certificate {
            validities.extend(chain::validities(Source::Authorities, &authorities));
        }
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
            requires_certificate: material.require_certificate,
            fingerprint: fingerprint(material),
            notes: notes.collect(),
            gaps,
            validities,
        })
    }

    pub(super) fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    pub(super) fn named_by(&self) -> NamedBy {
        self.named_by
    }

    /// Whether clients have to show a certificate.
    pub fn requires_certificate(&self) -> bool {
        self.requires_certificate
    }

    /// What the operator should know.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Chains that cannot be completed from what is known here.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// The dates of all certificates that are sent, and of CAs whose certificates are accepted.
    pub fn validities(&self) -> &[Validity] {
        &self.validities
    }
}

impl Unfit {
    /// The same of the certificate with this index.
    fn at(self, index: usize) -> MaterialError {
        match self {
            Unfit::Certificate(text) => MaterialError::Certificate(index, text),
            Unfit::Key(text) => MaterialError::Key(index, text),
        }
    }
}

/// Who may come in by certificate.
fn verifier(
    material: &Material,
    authorities: &[CertificateDer<'static>],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, MaterialError> {
    if authorities.is_empty() {
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
    let clients = verify::Clients::new(authorities, lists, !material.ignores_dates, provider);
    match clients {
        Ok(clients) => Ok(Arc::new(clients)),
        Err(verify::Unusable::Authorities(error)) => Err(unreadable_authority(&error)),
        Err(verify::Unusable::Revocations(error)) => Err(MaterialError::Revocations(error)),
    }
}

fn unreadable_authority(error: &dyn fmt::Display) -> MaterialError {
    MaterialError::Authorities(format!("a CA certificate cannot be read: {error}"))
}

/// The certificates in `cafile` and `capath`.
fn authorities(material: &Material) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
    let files = material.authorities.iter();
    files
        .flat_map(|file| CertificateDer::pem_slice_iter(file))
        .map(|certificate| certificate.map_err(|error| unreadable_authority(&error)))
        .collect()
}

/// Certificates by the name that a client asks for (SNI, RFC 6066).
#[derive(Debug)]
struct Certificates {
    entries: Vec<Certified>,
}

impl Certificates {
    fn new(
        material: &Material,
        authorities: &[CertificateDer<'static>],
        provider: &CryptoProvider,
    ) -> Result<(Self, Vec<Gap>), MaterialError> {
        let (mut entries, mut gaps) = (Vec::new(), Vec::new());
        for (index, files) in material.certificates.iter().enumerate() {
            let mut chain = files.chain().map_err(|unfit| unfit.at(index))?;
            gaps.extend(chain::complete(index, &mut chain, authorities));
            let certified = Certified::new(chain, &files.key, provider);
            entries.push(certified.map_err(|unfit| unfit.at(index))?);
        }
        Ok((Certificates { entries }, gaps))
    }

    /// The dates of all.
    fn validities(&self) -> Vec<Validity> {
        let entries = self.entries.iter().enumerate();
        entries
            .flat_map(|(index, certified)| {
                chain::validities(Source::Certificate(index), &certified.key.cert)
            })
            .collect()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let wanted = hello.server_name().map(str::to_ascii_lowercase);
        let named = wanted.and_then(|wanted| {
            let mut each = self.entries.iter();
            each.find(|certified| certified.is_for(&wanted))
        });
        named
            .or(self.entries.first())
            .map(|certified| certified.key.clone())
    }
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
        "{:?} {:?} {:?} {} {} {:?}",
        material.minimum,
        material.ciphers,
        material.ciphers_v13,
        material.require_certificate,
        material.ignores_dates,
        material.named_by
    )
    .as_bytes());
    material.alpn.iter().for_each(|name| add(name));
    hash.finalize().into()
}
