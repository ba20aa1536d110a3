//! TLS options of a listener: read as they come, files when all of them are known.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use super::certificates;
use super::error::{FileFault, Misdeed};
use super::model::TlsLines;
use super::paths::{self, absolute};
use crate::transport::proxy::Rules;
use crate::transport::tls::{CertifiedFiles, Material, MaterialError, NamedBy, Server, Source};

/// What the TLS lines of a listener are judged by besides themselves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings {
    /// Its connections come through a proxy.
    pub is_proxied: bool,
    /// Seconds since 1970.
    pub now_s: i64,
}

/// An error, and the line that it is about: the option's, the one with this index where there may be several.
pub(super) struct Blamed {
    pub option: &'static str,
    pub nth: usize,
    pub misdeed: Misdeed,
}

/// Something to be said about a line.
pub(super) struct Remark {
    pub option: &'static str,
    pub nth: usize,
    pub text: String,
    /// It is about a certificate; whether clients are turned away for it.
    pub certificate: Option<bool>,
}

/// What the options of a listener come to.
#[derive(Default)]
pub(super) struct Finished {
    /// `None` for a listener without TLS.
    pub server: Option<Arc<Server>>,
    /// `None` for one that no proxy stands before.
    pub proxy: Option<Rules>,
    pub remarks: Vec<Remark>,
}

impl Finished {
    /// Says something about the first line of an option.
    pub(super) fn remark(&mut self, option: &'static str, text: impl Into<String>) {
        self.remarks.push(Remark {
            option,
            nth: 0,
            text: text.into(),
            certificate: None,
        });
    }
}

/// A certificate and its key; the option that names them, and its how many-th line.
struct Pair<'a> {
    chain: &'a Path,
    key: &'a Path,
    place: (&'static str, usize),
    key_place: (&'static str, usize),
}

impl TlsLines {
    /// Reads the files and makes what the listener's connections share.
    ///
    /// # Errors
    /// What is wrong with a file, or with the lines together.
    pub(super) fn finish(&self, around: Surroundings) -> Result<Finished, Blamed> {
        let Surroundings { is_proxied, now_s } = around;
        let mut finished = Finished::default();
        if self.proxy_requires_tls && !is_proxied {
            let text = "without enable_proxy_protocol it has no effect";
            finished.remark("proxy_protocol_v2_require_tls", text);
        }
        let pairs = self.pairs()?;
        if pairs.is_empty() {
            self.without(is_proxied)?;
            finished.proxy = is_proxied.then_some(Rules {
                needs_tls: self.proxy_requires_tls,
                needs_certificate: self.require_certificate,
                is_named: self.by_identity,
            });
            return Ok(finished);
        }
        // Who speaks TLS with the broker needs not speak it with the proxy as well.
        finished.proxy = is_proxied.then(Rules::default);
        let material = self.material(&pairs, &mut finished)?;
        let server = Server::new(&material).map_err(|error| self.blame(&pairs, &error))?;
        for note in server.notes() {
            finished.remark("ciphers", note.as_str());
        }
        let by_certificate = [
            ("use_identity_as_username", self.by_identity),
            ("use_subject_as_username", self.by_subject),
        ];
        for (option, _) in by_certificate.iter().filter(|(_, is_set)| *is_set) {
            if !self.require_certificate {
                let text = "user names are to come from certificates, but require_certificate is false: nobody is \
                            asked for one, and every client is refused";
                finished.remark(option, text);
            }
        }
        self.judge(&server, &pairs, now_s, &mut finished);
        finished.server = Some(Arc::new(server));
        Ok(finished)
    }

    /// What comes of it with what was made of the same options before.
    pub(super) fn finish_with(&self, server: Arc<Server>, around: Surroundings) -> Finished {
        let Surroundings { is_proxied, now_s } = around;
        let mut finished = Finished {
            proxy: is_proxied.then(Rules::default),
            ..Finished::default()
        };
        let pairs = self.pairs().unwrap_or_default();
        self.judge(&server, &pairs, now_s, &mut finished);
        finished.server = Some(server);
        finished
    }

    /// The certificates with their keys; none for a listener without TLS.
    fn pairs(&self) -> Result<Vec<Pair<'_>>, Blamed> {
        let (chain, key) = match (&self.certfile, &self.keyfile) {
            (Some(chain), Some(key)) => (chain, key),
            (None, None) if self.more.is_empty() => return Ok(Vec::new()),
            (Some(_), None) => return Err(missing("certfile", "keyfile is missing beside it")),
            (None, Some(_)) => return Err(missing("keyfile", "certfile is missing beside it")),
            (None, None) => {
                let rule = "certfile and keyfile are missing: the certificate for clients that ask for no name";
                return Err(missing("tls_certificate", rule));
            }
        };
        let first = Pair {
            chain,
            key,
            place: ("certfile", 0),
            key_place: ("keyfile", 0),
        };
        let more = self
            .more
            .iter()
            .enumerate()
            .map(|(nth, (chain, key))| Pair {
                chain,
                key,
                place: ("tls_certificate", nth),
                key_place: ("tls_certificate", nth),
            });
        Ok(std::iter::once(first).chain(more).collect())
    }

    /// Rules without a certificate of the broker's would let in whom they keep out, unless a proxy goes by them.
    fn without(&self, is_proxied: bool) -> Result<(), Blamed> {
        if is_proxied && self.by_subject {
            let rule = "a proxy tells only the common name of a client's certificate: use_identity_as_username";
            return Err(missing("use_subject_as_username", rule));
        }
        let guards = [
            (
                "require_certificate",
                self.require_certificate && !is_proxied,
            ),
            ("use_identity_as_username", self.by_identity && !is_proxied),
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
            None => Ok(()),
        }
    }

    /// What is to be said of dates and chains.
    fn judge(&self, server: &Server, pairs: &[Pair<'_>], now_s: i64, finished: &mut Finished) {
        let authorities = || match (&self.cafile, &self.capath) {
            (Some(path), _) => ("cafile", path.as_path()),
            (_, Some(path)) => ("capath", path.as_path()),
            _ => ("cafile", Path::new("")),
        };
        let place = |source| match source {
            Source::Certificate(index) => pairs
                .get(index)
                .map_or(("certfile", 0, Path::new("")), |pair: &Pair<'_>| {
                    (pair.place.0, pair.place.1, pair.chain)
                }),
            Source::Authorities => (authorities().0, 0, authorities().1),
        };
        let mut say = |source, text: &str, is_urgent| {
            let (option, nth, path) = place(source);
            finished.remarks.push(Remark {
                option,
                nth,
                text: format!("{}: {text}", absolute(path).display()),
                certificate: Some(is_urgent),
            });
        };
        for validity in server.validities() {
            if let Some((text, is_urgent)) = certificates::dates(validity, now_s) {
                say(validity.source, &text, is_urgent);
            }
        }
        for gap in server.gaps() {
            if let Some(text) = certificates::gap(gap) {
                say(Source::Certificate(gap.index), &text, false);
            }
        }
    }

    fn material(&self, pairs: &[Pair<'_>], finished: &mut Finished) -> Result<Material, Blamed> {
        let certificates: Result<Vec<_>, Blamed> = pairs
            .iter()
            .map(|pair| {
                Ok(CertifiedFiles {
                    chain: read(pair.chain, pair.place)?,
                    key: read(pair.key, pair.key_place)?,
                })
            })
            .collect();
        let mut authorities = Vec::new();
        if let Some(path) = &self.cafile {
            authorities.push(read(path, ("cafile", 0))?);
        }
        for path in self.capath_files()? {
            // OpenSSL looks there for what it needs, and does not mind what else there is.
            match read(&path, ("capath", 0)) {
                Ok(file) if paths::is_blank(&file) => {
                    let text = format!("{} is empty, and no CA", absolute(&path).display());
                    finished.remark("capath", text);
                }
                Ok(file) => authorities.push(file),
                Err(error) => finished.remark("capath", error.misdeed.to_string()),
            }
        }
        let revocations: Result<Vec<_>, Blamed> = self
            .crlfile
            .iter()
            .map(|path| read(path, ("crlfile", 0)))
            .collect();
        Ok(Material {
            certificates: certificates?,
            authorities,
            revocations: revocations?,
            minimum: self.minimum,
            ciphers: self.ciphers.clone(),
            ciphers_v13: self.ciphers_v13.clone(),
            require_certificate: self.require_certificate,
            ignores_dates: self.ignores_dates,
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
    fn capath_files(&self) -> Result<Vec<PathBuf>, Blamed> {
        let Some(folder) = &self.capath else {
            return Ok(Vec::new());
        };
        let unreadable = |error| unreadable(folder, ("capath", 0), error);
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
    fn blame(&self, pairs: &[Pair<'_>], error: &MaterialError) -> Blamed {
        let cas = match (&self.cafile, &self.capath) {
            (None, Some(path)) => Some(("capath", 0, path.as_path())),
            (path, _) => path.as_deref().map(|path| ("cafile", 0, path)),
        };
        let found = match error {
            MaterialError::Certificate(index, _) => pairs
                .get(*index)
                .map(|pair| (pair.place.0, pair.place.1, pair.chain)),
            MaterialError::Key(index, _) => pairs
                .get(*index)
                .map(|pair| (pair.key_place.0, pair.key_place.1, pair.key)),
            MaterialError::Authorities(_) => cas,
            MaterialError::Revocations(_) => {
                self.crlfile.as_deref().map(|path| ("crlfile", 0, path))
            }
            MaterialError::Ciphers(_) => None,
        };
        match found {
            Some((option, nth, path)) => Blamed {
                option,
                nth,
                misdeed: Misdeed::file(path, FileFault::Tls(error.to_string())),
            },
            None if matches!(error, MaterialError::Authorities(_)) => missing(
                "require_certificate",
                "cafile or capath is missing: the CAs whose certificates are accepted",
            ),
            None if self.ciphers.is_none() => missing(
                "ciphers_tls1.3",
                "no cipher suite is left that is known here",
            ),
            None => missing("ciphers", "no cipher suite is left that is known here"),
        }
    }
}

fn missing(name: &'static str, rule: &'static str) -> Blamed {
    Blamed {
        option: name,
        nth: 0,
        misdeed: Misdeed::Misplaced { name, rule },
    }
}

fn read(path: &Path, place: (&'static str, usize)) -> Result<Vec<u8>, Blamed> {
    paths::read(path).map_err(|error| unreadable(path, place, error))
}

fn unreadable(path: &Path, (option, nth): (&'static str, usize), error: io::Error) -> Blamed {
    Blamed {
        option,
        nth,
        misdeed: Misdeed::unreadable(path, error),
    }
}
