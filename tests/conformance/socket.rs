//! The broker as a process of its own, over loopback.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::play::World;
use crate::support::{Program, Server};

/// How long to wait for what must come.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait before believing that nothing comes.
const SILENCE: Duration = Duration::from_millis(40);

/// A broker process and connections to it.
pub struct SocketWorld {
    server: Server,
    links: Vec<TcpStream>,
    may_be_silent: bool,
}

impl SocketWorld {
    pub fn new(program: &Program, config: &[String]) -> SocketWorld {
        let may_be_silent = matches!(program, Program::Mosquitto(_));
        SocketWorld {
            server: Server::start(program, config),
            links: Vec::new(),
            may_be_silent,
        }
    }

    /// What the broker wrote.
    pub fn log(&self) -> String {
        self.server.log()
    }
}

impl World for SocketWorld {
    fn open(&mut self) -> usize {
        let link = TcpStream::connect(self.server.address()).unwrap();
        link.set_nodelay(true).unwrap();
        self.links.push(link);
        self.links.len() - 1
    }

    fn send(&mut self, link: usize, bytes: &[u8]) {
        // The broker may have closed: what it said before stands in the next line.
        let _ = self.links[link].write_all(bytes);
    }

    fn close(&mut self, link: usize) {
        let _ = self.links[link].shutdown(Shutdown::Both);
    }

    fn receive(&mut self, link: usize, inbox: &mut Vec<u8>, block: bool) -> bool {
        let stream = &mut self.links[link];
        let started = Instant::now();
        let mut buffer = [0; 64 * 1024];
        stream
            .set_read_timeout(Some(Duration::from_millis(if block { 50 } else { 1 })))
            .unwrap();
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return true,
                Ok(n) => {
                    inbox.extend_from_slice(&buffer[..n]);
                    return false;
                }
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if !block || started.elapsed() > PATIENCE {
                        return false;
                    }
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
    }

    fn stall(&mut self, _link: usize, _stalled: bool) {
        unreachable!("for the process only");
    }

    fn wait(&mut self, ms: u64) {
        std::thread::sleep(Duration::from_millis(ms));
    }

    fn settle(&mut self) {
        std::thread::sleep(SILENCE);
    }

    fn may_be_silent(&self) -> bool {
        self.may_be_silent
    }
}
