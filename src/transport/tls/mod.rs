//! TLS, by rustls.
#![allow(missing_docs, unused_variables, dead_code)]
use std::sync::Arc;
/// What a listener's TLS connections share.
#[derive(Debug, PartialEq)]
pub struct Server;
pub struct Tls;
#[derive(Debug)]
pub struct Failure;
#[derive(Clone, Debug)]
pub struct Summary {
    pub resumed: bool,
}
pub enum Progress {
    Open,
    Closed,
}
impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tls")
    }
}
impl Tls {
    pub fn new(server: &Arc<Server>) -> Result<Tls, Failure> {
        Err(Failure)
    }
    pub fn is_handshaking(&self) -> bool {
        true
    }
    pub fn receive(
        &mut self,
        bytes: &mut [u8],
        out: &mut Vec<u8>,
        plain: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Progress, Failure> {
        Err(Failure)
    }
    pub fn send(&mut self, plain: &[&[u8]], out: &mut Vec<u8>) -> Result<(), Failure> {
        Err(Failure)
    }
    pub fn close(&mut self, out: &mut Vec<u8>) {}
    pub fn identity(&self) -> Option<&str> {
        None
    }
    pub fn summary(&self) -> Summary {
        Summary { resumed: false }
    }
    pub fn held_bytes(&self) -> usize {
        0
    }
}
