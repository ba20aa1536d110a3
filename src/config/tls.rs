//! TLS options of a listener: read as they come, files when all of them are known.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::access;
use super::error::Misdeed;
use super::line::Line;
use super::option::{ListenerDraft, Note};
use crate::transport::tls::{CertifiedFiles, Material, MaterialError, Minimum, NamedBy, Server};

/// What the lines of a listener say about TLS.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TlsDraft {
    pub cafile: Option<PathBuf>,
    pub capath: Option<PathBuf>,
    pub certfile: Option<PathBuf>,
    pub keyfile: Option<PathBuf>,
    pub crlfile: Option<PathBuf>,
    /// `tls_certificate`: further ones, by SNI.
    pub more: Vec<(PathBuf, PathBuf)>,
    pub minimum: Minimum,
    pub ciphers: Option<String>,
    pub ciphers_v13: Option<String>,
    pub require_certificate: bool,
    pub by_identity: bool,
    pub by_subject: bool,
    pub alpn: Option<String>,
}

/// `tls_version VERSION`: the lowest that is accepted.
pub(super) fn version(
    draft: &mut ListenerDraft,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    let (minimum, note) = match line.word(name)? {
        "tlsv1.3" => (Minimum::V13, None),
        "tlsv1.2" => (Minimum::V12, None),
        "tlsv1.1" | "tlsv1" => {
            let text = "TLS below 1.2 is not spoken here (RFC 8996); tlsv1.2 is the lowest";
            (Minimum::V12, Some(text.into()))
        }
        other => {
            return Err(Misdeed::NotOneOf {
                name,
                value: other.into(),
                choices: "tlsv1.2, tlsv1.3".into(),
            });
        }
    };
    draft.tls.minimum = minimum;
    Ok(note)
}

/// `tls_certificate CERTFILE KEYFILE`: one more certificate, for clients that ask for one of its names.
pub(super) fn certificate(
    draft: &mut ListenerDraft,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    let mut words = line.words();
    match (words.next(), words.next()) {
        (Some(chain), Some(key)) => {
            draft.tls.more.push((chain.into(), key.into()));
            Ok(None)
        }
        _ => Err(Misdeed::Invalid {
            name,
            value: line.value.into(),
            rule: "the file of the certificate and the file of its key are wanted",
        }),
    }
}

impl TlsDraft {
    /// Reads the files and makes what the listener's connections share; `None` for a listener without TLS. What the
    /// operator should know comes with it.
    pub fn finish(&self) -> Result<(Option<Arc<Server>>, Vec<String>), Misdeed> {
        let (chain, key) = match (&self.certfile, &self.keyfile) {
            (Some(chain), Some(key)) => (chain, key),
            (None, None) if self.more.is_empty() => return self.without(),
            (Some(_), None) => return Err(missing("certfile", "keyfile is missing beside it")),
            (None, Some(_)) => return Err(missing("keyfile", "certfile is missing beside it")),
            (None, None) => {
                let rule = "certfile and keyfile are missing: the certificate for clients that ask for no name";
                return Err(missing("tls_certificate", rule));
            }
        };
        let pairs: Vec<(&Path, &Path)> = std::iter::once((chain.as_path(), key.as_path()))
            .chain(
                self.more
                    .iter()
                    .map(|(chain, key)| (chain.as_path(), key.as_path())),
            )
            .collect();
        let material = self.material(&pairs)?;
        let server = Server::new(&material).map_err(|error| self.blame(&pairs, &error))?;
        let mut notes = server.notes().to_vec();
        if (self.by_identity || self.by_subject) && !self.require_certificate {
            notes.push(
                "user names are to come from certificates, but require_certificate is false: nobody is asked for one, \
                 and every client is refused"
                    .into(),
            );
        }
        Ok((Some(Arc::new(server)), notes))
    }

    /// Rules without a certificate of the broker's would let in whom they keep out.
    fn without(&self) -> Result<(Option<Arc<Server>>, Vec<String>), Misdeed> {
        let guards = [
            ("require_certificate", self.require_certificate),
            ("use_identity_as_username", self.by_identity),
            ("use_subject_as_username", self.by_subject),
            ("cafile", self.cafile.is_some()),
            ("capath", self.capath.is_some()),
            ("crlfile", self.crlfile.is_some()),
            ("tls_alpn", self.alpn.is_some()),
        ];
        match guards.iter().find(|(_, is_set)| *is_set) {
            Some((name, _)) => Err(missing(
                name,
                "certfile and keyfile are missing: without them the listener speaks no TLS",
            )),
            None => Ok((None, Vec::new())),
        }
    }

    fn material(&self, pairs: &[(&Path, &Path)]) -> Result<Material, Misdeed> {
        let certificates: Result<Vec<_>, Misdeed> = pairs
            .iter()
            .map(|(chain, key)| {
                Ok(CertifiedFiles {
                    chain: read(chain)?,
                    key: read(key)?,
                })
            })
            .collect();
        let mut authorities = Vec::new();
        if self.require_certificate {
            for path in self.cafile.iter().cloned().chain(self.capath_files()?) {
                authorities.push(read(&path)?);
            }
        }
        let revocations: Result<Vec<_>, Misdeed> =
            self.crlfile.iter().map(|path| read(path)).collect();
        Ok(Material {
            certificates: certificates?,
            authorities,
            revocations: revocations?,
            minimum: self.minimum,
            ciphers: self.ciphers.clone(),
            ciphers_v13: self.ciphers_v13.clone(),
            require_certificate: self.require_certificate,
            named_by: match (self.by_identity, self.by_subject) {
                (true, _) => NamedBy::CommonName,
                (_, true) => NamedBy::Subject,
                _ => NamedBy::Password,
            },
            alpn: self
                .alpn
                .iter()
                .map(|name| name.clone().into_bytes())
                .collect(),
        })
    }

    /// The files of `capath`, whatever their names: OpenSSL wants hashes of subjects for names, which are links here.
    fn capath_files(&self) -> Result<Vec<PathBuf>, Misdeed> {
        let Some(folder) = &self.capath else {
            return Ok(Vec::new());
        };
        let unreadable = |error| Misdeed::Unreadable {
            path: folder.clone(),
            error,
        };
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.is_file() {
                files.push(path);
            }
        }
        files.sort_unstable();
        Ok(files)
    }

    /// An error with the file that it is about.
    fn blame(&self, pairs: &[(&Path, &Path)], error: &MaterialError) -> Misdeed {
        let path = match error {
            MaterialError::Certificate(index, _) => pairs.get(*index).map(|(chain, _)| *chain),
            MaterialError::Key(index, _) => pairs.get(*index).map(|(_, key)| *key),
            MaterialError::Authorities(_) => self.cafile.as_deref().or(self.capath.as_deref()),
            MaterialError::Revocations(_) => self.crlfile.as_deref(),
            MaterialError::Ciphers(_) => None,
        };
        match path {
            Some(path) => Misdeed::InTlsFile {
                path: path.into(),
                text: error.to_string(),
            },
            None if matches!(error, MaterialError::Authorities(_)) => missing(
                "require_certificate",
                "cafile or capath is missing: the CAs whose certificates are accepted",
            ),
            None => missing("ciphers", "no cipher suite is left that is known here"),
        }
    }
}

fn missing(name: &'static str, rule: &'static str) -> Misdeed {
    Misdeed::Misplaced { name, rule }
}

fn read(path: &Path) -> Result<Vec<u8>, Misdeed> {
    access::read(path).map_err(|error| Misdeed::Unreadable {
        path: path.to_path_buf(),
        error,
    })
}
