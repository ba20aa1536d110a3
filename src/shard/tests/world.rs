//! Shards on threads of their own, and clients on loopback sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Barrier, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use super::brain::{Puppet, Seen};
use crate::budget::{self, Lease, Pool};
use crate::config::SourceBounds;
use crate::ids::ShardId;
use crate::limits;
use crate::mesh;
use crate::shard::{
    Brain, Entrance, Handshake, Handshakes, Listener, LogLine, Metric, Shard, ShardCommand,
    ShardConfig, ShardHandle, ShardReport, Shared, commands, reply,
};
use crate::transport;

pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How a world is to be made.
#[derive(Clone)]
pub(super) struct Plan {
    pub shards: u8,
    pub descriptors: u32,
    pub connections_max: Option<u32>,
    pub listener_max: Option<u32>,
    pub slice_bytes: usize,
    pub mesh_slots: usize,
    /// Bounds of a source address.
    pub sources: SourceBounds,
    /// Bytes of the send buffer that connections inherit; 0 leaves it to the kernel.
    pub send_buffer: i32,
    /// What memory there is; without, any amount.
    pub memory: Option<budget::Plan>,
    pub transport: transport::Plan,
    /// Where handshakes go; without, they are worked on by the shards.
    pub handshakes: Option<Entrance<Handshake>>,
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            shards: 1,
            descriptors: 1000,
            connections_max: None,
            listener_max: None,
            slice_bytes: 1 << 20,
            mesh_slots: limits::MESH_SLOTS,
            sources: SourceBounds::default(),
            send_buffer: 0,
            memory: None,
            transport: transport::Plan::default(),
            handshakes: None,
        }
    }
}

fn pool(plan: &Plan) -> Arc<Pool> {
    let memory = plan.memory.unwrap_or_else(budget::Plan::unbounded);
    Arc::new(Pool::new(&memory, plan.shards))
}

pub(super) struct World {
    pub address: SocketAddr,
    pub shared: Arc<Shared>,
    pub handles: Vec<ShardHandle>,
    pub seen: Vec<Arc<Mutex<Seen>>>,
    pub log: Receiver<LogLine>,
    threads: Vec<JoinHandle<()>>,
}

impl World {
    pub(super) fn new(plan: Plan) -> World {
        let pool = pool(&plan);
        let brains: Vec<Puppet> = (0..plan.shards)
            .map(|id| Puppet::new(ShardId(id), plan.slice_bytes))
            .collect();
        let seen = brains.iter().map(|brain| brain.seen.clone()).collect();
        let mut brains = brains.into_iter();
        let mut world = World::with_pool(plan, pool.clone(), |_| {
            let brain = brains.next().unwrap().with_lease(Lease::new(pool.clone()));
            move || brain
        });
        world.seen = seen;
        world
    }

    /// With brains that are made in the threads of their shards.
    pub(super) fn with<B: Brain, M: FnOnce() -> B + Send + 'static>(
        plan: Plan,
        make: impl FnMut(ShardId) -> M,
    ) -> World {
        let pool = pool(&plan);
        World::with_pool(plan, pool, make)
    }

    fn with_pool<B: Brain, M: FnOnce() -> B + Send + 'static>(
        plan: Plan,
        pool: Arc<Pool>,
        mut make: impl FnMut(ShardId) -> M,
    ) -> World {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        // SAFETY: listen on a socket of ours with a longer queue.
        unsafe { libc::listen(socket.as_raw_fd(), 4096) };
        if plan.send_buffer > 0 {
            let socket = socket2::SockRef::from(&socket);
            socket
                .set_send_buffer_size(plan.send_buffer as usize)
                .unwrap();
        }
        let address = socket.local_addr().unwrap();
        let listener = Listener::new([socket], plan.listener_max);
        listener.set_transport(plan.transport.clone());
        let shared = Shared::new(
            plan.shards,
            vec![Arc::new(listener)],
            plan.connections_max,
            pool,
        );
        shared.sources().set(plan.sources);
        let ready = Arc::new(Barrier::new(usize::from(plan.shards)));
        let (log_to, log) = bounded(100_000);
        let mut handles = Vec::new();
        let mut threads = Vec::new();
        for port in mesh::grid(usize::from(plan.shards), plan.mesh_slots) {
            let (handle, inbox) = commands().unwrap();
            let config = ShardConfig {
                store: None,
                id: port.id(),
                shared: shared.clone(),
                port,
                inbox,
                log: log_to.clone(),
                descriptors: plan.descriptors,
                checks: None,
                handshakes: plan.handshakes.clone().map(|queue| Handshakes {
                    queue,
                    reply: handle.clone(),
                }),
                ring: None,
            };
            handles.push(handle);
            let ready = ready.clone();
            let brain = make(config.id);
            threads.push(std::thread::spawn(move || {
                let shard = Shard::new(config, brain()).unwrap_or_else(|error| panic!("{error}"));
                ready.wait();
                shard.run().unwrap_or_else(|error| panic!("{error}"));
            }));
        }
        World {
            address,
            shared,
            handles,
            seen: Vec::new(),
            log,
            threads,
        }
    }

    pub(super) fn connect(&self) -> Client {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Client {
            reader: BufReader::new(socket),
        }
    }

    /// A client that has been let in.
    pub(super) fn established(&self) -> Client {
        let mut client = self.connect();
        client.say("hello");
        client.say("echo in");
        assert_eq!(client.line(), "in");
        client
    }

    pub(super) fn report(&self, shard: usize) -> ShardReport {
        let (to, awaited) = reply();
        self.handles[shard].send(ShardCommand::Report(to)).unwrap();
        awaited.wait_until(Instant::now() + PATIENCE).unwrap()
    }

    pub(super) fn metric(&self, metric: Metric) -> u64 {
        (0..self.handles.len())
            .map(|shard| self.report(shard).metrics.get(metric))
            .sum()
    }

    pub(super) fn seen<T>(&self, look: impl Fn(&Seen) -> T) -> Vec<T> {
        self.seen
            .iter()
            .map(|seen| look(&seen.lock().unwrap()))
            .collect()
    }

    /// Drains all shards and checks that nothing is left behind.
    pub(super) fn end(mut self) {
        for handle in &self.handles {
            handle.send(ShardCommand::Drain).unwrap();
        }
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        assert_eq!(self.shared.connections(), 0);
        assert_eq!(self.shared.listeners()[0].connections(), 0);
        assert_eq!(self.shared.sources().open(), 0);
        for seen in &self.seen {
            let seen = seen.lock().unwrap();
            assert_eq!(seen.opened, seen.closed);
        }
        for shard in 0..self.shared.shards() {
            let metrics = self.shared.board(ShardId(shard)).metrics();
            assert_eq!(metrics.get(Metric::Connections), 0);
            assert_eq!(metrics.get(Metric::Stray), 0);
        }
    }
}

pub(super) struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    pub(super) fn socket(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    pub(super) fn say(&mut self, line: &str) {
        self.reader
            .get_mut()
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    pub(super) fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The next line; `None` when the other side has closed, in whatever way.
    pub(super) fn line_if_alive(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(len) => (len > 0).then(|| line.trim_end().to_owned()),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
                None
            }
        }
    }

    pub(super) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.reader.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Whether the other side has closed, in order.
    pub(super) fn ended(&mut self) -> bool {
        matches!(self.reader.read(&mut [0; 1]), Ok(0))
    }

    /// Whether the other side has closed, in whatever way.
    pub(super) fn is_dead(&mut self) -> bool {
        match self.reader.read(&mut [0; 1]) {
            Ok(len) => len == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    /// Whether the other side closes within a time.
    pub(super) fn is_dead_within(&mut self, time: Duration) -> bool {
        self.socket().set_read_timeout(Some(time)).unwrap();
        match self.reader.read(&mut [0; 1]) {
            Ok(len) => len == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    /// Whether nothing comes for a time.
    pub(super) fn is_silent_for(&mut self, time: Duration) -> bool {
        self.line_within(time).is_none()
    }

    /// The next line, if it comes in time; not to be used where only a part of one may come.
    pub(super) fn line_within(&mut self, time: Duration) -> Option<String> {
        self.socket().set_read_timeout(Some(time)).unwrap();
        let mut line = String::new();
        let result = self.reader.read_line(&mut line);
        self.socket().set_read_timeout(Some(PATIENCE)).unwrap();
        result.is_ok().then(|| line.trim_end().to_owned())
    }

    /// Makes the close of this socket a reset.
    pub(super) fn reset_on_close(&self) {
        socket2::SockRef::from(self.socket())
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
}

/// Waits until something is so.
pub(super) fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
