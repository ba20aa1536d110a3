//! The client's half, for the load tester.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, HandshakeKind};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::certified::{Certified, CertifiedFiles, Unfit};
use super::{Minimum, Progress, Summary, pump, verify};

/// Which certificates of servers are accepted.
pub enum Verify<'a> {
    /// Those of these CAs (PEM), for the name that is asked for; also one that is itself among them.
    By(&'a [u8]),
    /// All: whoever answers is the server.
    Nothing,
}

/// What the connections of a load have in common.
pub struct ClientPlan {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl fmt::Debug for ClientPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientPlan({:?})", self.name)
    }
}

impl ClientPlan {
    /// For a server of this name or IP address. `resumes`: whether a connection goes on with the session of an earlier
    /// one; else each handshake is a full one.
    ///
    /// # Errors
    /// The CAs or the name cannot be used; a line.
    pub fn new(
        name: &str,
        verify: Verify<'_>,
        minimum: Minimum,
        resumes: bool,
    ) -> Result<ClientPlan, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions: &[_] = match minimum {
            Minimum::V13 => &[&rustls::version::TLS13],
            Minimum::V12 => &[&rustls::version::TLS12, &rustls::version::TLS13],
        };
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(|error| error.to_string())?;
        let builder = match verify {
            Verify::By(file) => {
                let certificates: Result<Vec<_>, _> =
                    CertificateDer::pem_slice_iter(file).collect();
                let certificates = certificates.map_err(|error| error.to_string())?;
                if certificates.is_empty() {
                    return Err("there is no CA certificate in it".into());
                }
                let servers = verify::Servers::new(&certificates, &provider)?;
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(servers))
            }
            Verify::Nothing => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anybody {
                    algorithms: provider.signature_verification_algorithms,
                })),
        };
        let mut config = builder.with_no_client_auth();
        if !resumes {
            config.resumption = Resumption::disabled();
        }
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| format!("`{name}` is no name that a certificate could be for"))?;
        Ok(ClientPlan {
            config: Arc::new(config),
            name,
        })
    }
}

impl ClientPlan {
    /// The same, for clients that show a certificate where they are asked for one.
    ///
    /// # Errors
    /// Which of the files is wrong, and how.
    pub fn with_certificate(self, files: &CertifiedFiles) -> Result<ClientPlan, Unfit> {
        let provider = self.config.crypto_provider();
        let certified = Certified::new(files.chain()?, &files.key, provider)?;
        let mut config = (*self.config).clone();
        // Whichever CAs the server says that it knows: it is to refuse the others itself.
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(certified.key));
        Ok(ClientPlan {
            config: Arc::new(config),
            ..self
        })
    }

    /// Whether clients have a certificate to show.
    pub fn has_certificate(&self) -> bool {
        self.config.client_auth_cert_resolver.has_certs()
    }
}

/// Takes every certificate, and checks that the server has its key.
#[derive(Debug)]
struct Anybody {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    verify::signatures_by!(self.algorithms);
}

/// One connection.
pub struct Client {
    connection: UnbufferedClientConnection,
    kept: Vec<u8>,
    /// Nothing more is to be asked of the connection.
    has_failed: bool,
}

impl Client {
    /// Begins the handshake, with `out` to be sent.
    ///
    /// # Errors
    /// As for `receive`.
    pub fn new(plan: &ClientPlan, out: &mut Vec<u8>) -> Result<Client, String> {
        let connection = UnbufferedClientConnection::new(plan.config.clone(), plan.name.clone())
            .map_err(|error| error.to_string())?;
        let mut client = Client {
            connection,
            kept: Vec::new(),
            has_failed: false,
        };
        client.receive(&mut [], out, &mut Vec::new())?;
        Ok(client)
    }

    /// Whether nothing but the handshake can be sent.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Takes bytes of the socket; plaintext is added to `plain`, answers to `out`.
    ///
    /// # Errors
    /// Why the connection cannot go on.
    pub fn receive(
        &mut self,
        bytes: &mut [u8],
        out: &mut Vec<u8>,
        plain: &mut Vec<u8>,
    ) -> Result<Progress, String> {
        if self.has_failed {
            return Ok(Progress::Closed);
        }
        let (connection, kept) = (&mut self.connection, &mut self.kept);
        pump::receive_and_keep(connection, kept, bytes, out, plain)
            .inspect_err(|_| self.has_failed = true)
            .map_err(|error| format!("TLS: {error}"))
    }

    /// Encrypts to the end of `out`.
    ///
    /// # Errors
    /// The handshake is not over, or the keys are used up.
    pub fn send(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        let whole = [plain.len() as u32];
        pump::send(&mut self.connection, &mut self.kept, plain, &whole, out)
    }

    /// Announces the end.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        if self.has_failed {
            return;
        }
        pump::close(&mut self.connection, &mut self.kept, out);
    }

    /// What was agreed on.
    pub fn summary(&self) -> Summary {
        let version = self.connection.protocol_version();
        let suite = self.connection.negotiated_cipher_suite();
        Summary {
            version: version.map_or(String::new(), |version| format!("{version:?}")),
            suite: suite.map_or(String::new(), |suite| format!("{:?}", suite.suite())),
            resumed: self.connection.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }
}
