//! The PROXY protocol, versions 1 and 2.
#![allow(missing_docs, unused_variables, dead_code)]
use std::net::SocketAddr;
pub struct Header;
#[derive(Debug)]
pub struct Failure;
impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "proxy")
    }
}
impl Header {
    pub fn new() -> Header {
        Header
    }
    pub fn receive(
        &mut self,
        bytes: &[u8],
    ) -> Result<Option<(usize, Option<SocketAddr>)>, Failure> {
        Err(Failure)
    }
}
