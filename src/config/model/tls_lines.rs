//! What the lines of a listener say about TLS, before a file is read.

use std::path::PathBuf;

use crate::transport::tls::Minimum;

/// What the lines of a listener say about TLS.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::config) struct TlsLines {
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
    pub ignores_dates: bool,
    /// `proxy_protocol_v2_require_tls`.
    pub proxy_requires_tls: bool,
    pub by_identity: bool,
    pub by_subject: bool,
    pub alpn: Option<String>,
}

impl TlsLines {
    /// The files and the folder that they name.
    pub(crate) fn paths(&self) -> impl Iterator<Item = PathBuf> {
        let single = [
            &self.cafile,
            &self.capath,
            &self.certfile,
            &self.keyfile,
            &self.crlfile,
        ];
        let more = self.more.iter().flat_map(|(chain, key)| [chain, key]);
        let single = single.into_iter().flatten();
        single.chain(more).cloned()
    }
}
