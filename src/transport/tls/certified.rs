//! A certificate with its key, of a server or of a client: from the contents of two files to what rustls signs with.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::verify;

/// The contents of a certificate's file and of its key's, both PEM.
#[derive(Clone, Default)]
pub struct CertifiedFiles {
    /// The certificate, and those between it and its CA.
    pub chain: Vec<u8>,
    /// The private key.
    pub key: Vec<u8>,
}

/// Which of the two files is wrong, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// That of the certificate.
    Certificate(String),
    /// That of the key.
    Key(String),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::Certificate(text) | Unfit::Key(text) => f.write_str(text),
        }
    }
}

impl CertifiedFiles {
    /// The certificates of a file: its owner's, and those above it.
    pub(super) fn chain(&self) -> Result<Vec<CertificateDer<'static>>, Unfit> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.chain).collect();
        let chain = chain.map_err(|error| {
            Unfit::Certificate(format!("the certificate cannot be read: {error}"))
        })?;
        if chain.is_empty() {
            let text = "there is no certificate in it (PEM is expected)";
            return Err(Unfit::Certificate(text.into()));
        }
        Ok(chain)
    }
}

/// A chain whose first certificate is that of the key.
#[derive(Debug)]
pub(super) struct Certified {
    /// The names that the certificate is for, in lower case.
    names: Vec<String>,
    pub key: Arc<CertifiedKey>,
}

impl Certified {
    /// Of a certificate of any version: rustls would not compare a key with one of version 1.
    pub(super) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: &[u8],
        provider: &CryptoProvider,
    ) -> Result<Certified, Unfit> {
        let first = chain.first().map_or(&[][..], |first| first.as_ref());
        let (names, public) = verify::Certificate::parse(first)
            .map(|first| (first.dns_names(), first.public_key()))
            .map_err(|_| Unfit::Certificate("the first certificate in it cannot be read".into()))?;
        let key = provider
            .key_provider
            .load_private_key(private_key(key)?)
            .map_err(|error| Unfit::Key(format!("the key cannot be used: {error}")))?;
        if key.public_key().is_some_and(|own| own != public) {
            return Err(Unfit::Key("the key is not that of the certificate".into()));
        }
        Ok(Certified {
            names,
            key: Arc::new(CertifiedKey::new(chain, key)),
        })
    }

    /// Whether the certificate is for a host, in lower case.
    pub(super) fn is_for(&self, host: &str) -> bool {
        self.names.iter().any(|name| verify::is_host(name, host))
    }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Unfit> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        let is_encrypted = String::from_utf8_lossy(pem).contains("ENCRYPTED");
        Unfit::Key(match is_encrypted {
            true => "the key is encrypted; decrypt it (openssl pkey) and protect the file".into(),
            false => format!("there is no private key in it: {error}"),
        })
    })
}
