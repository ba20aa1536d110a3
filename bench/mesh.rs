//! What the mesh costs: nanoseconds per message against `rtrb`, with elements of the size of a shard's messages.
//!
//! `cargo bench --bench mesh`. "one thread" is the cost of the instructions alone (send, publish, drain on the same
//! core); "two threads" adds the cache lines that travel. `rtrb push` publishes each element by itself, `rtrb chunk`
//! collects them first and publishes once, which is what a batched mesh on top of it would have to do.

use std::hint::{black_box, spin_loop};
use std::time::Instant;

use firehose::ids::ShardId;
use firehose::limits::{MESH_DRAIN_MAX, MESH_SLOTS};
use firehose::mesh::grid;

/// As large as a message between shards.
type Element = [u64; 5];

const MESSAGES: usize = 20_000_000;
const BATCHES: [usize; 4] = [1, 8, 64, 256];
const TARGET: ShardId = ShardId(1);

fn element(n: usize) -> Element {
    [n as u64; 5]
}

/// Nanoseconds per message of the best of five runs.
fn best(run: impl Fn(usize), batch: usize) -> f64 {
    let once = || {
        let start = Instant::now();
        run(batch);
        start.elapsed().as_nanos() as f64 / MESSAGES as f64
    };
    (0..5).map(|_| once()).fold(f64::INFINITY, f64::min)
}

fn mesh_one_thread(batch: usize) {
    let mut ports = grid::<Element>(2, MESH_SLOTS);
    for round in 0..MESSAGES / batch {
        for n in 0..batch {
            let _ = black_box(ports[0].send(TARGET, element(round + n)));
        }
        let _ = black_box(ports[0].flush());
        ports[1].drain(MESH_DRAIN_MAX, |_, message| {
            black_box(message);
        });
        let _ = black_box(ports[1].flush());
    }
}

fn rtrb_push_one_thread(batch: usize) {
    let (mut producer, mut consumer) = rtrb::RingBuffer::<Element>::new(MESH_SLOTS);
    for round in 0..MESSAGES / batch {
        for n in 0..batch {
            let _ = black_box(producer.push(element(round + n)));
        }
        rtrb_drain(&mut consumer);
    }
}

fn rtrb_chunk_one_thread(batch: usize) {
    let (mut producer, mut consumer) = rtrb::RingBuffer::<Element>::new(MESH_SLOTS);
    let mut staged = Vec::with_capacity(batch);
    for round in 0..MESSAGES / batch {
        for n in 0..batch {
            staged.push(element(round + n));
        }
        rtrb_publish(&mut producer, &mut staged);
        rtrb_drain(&mut consumer);
    }
}

fn rtrb_publish(producer: &mut rtrb::Producer<Element>, staged: &mut Vec<Element>) {
    while !staged.is_empty() {
        let count = producer.slots().min(staged.len());
        match producer.write_chunk_uninit(count) {
            Ok(chunk) if count > 0 => {
                chunk.fill_from_iter(staged.drain(..count));
            }
            _ => spin_loop(),
        }
    }
}

fn rtrb_drain(consumer: &mut rtrb::Consumer<Element>) -> usize {
    let count = consumer.slots().min(256);
    if let Ok(chunk) = consumer.read_chunk(count) {
        for message in chunk {
            black_box(message);
        }
    }
    count
}

fn mesh_two_threads(batch: usize) {
    let mut ports = grid::<Element>(2, MESH_SLOTS);
    let (mut to, mut from) = (ports.remove(1), ports.remove(0));
    let reader = std::thread::spawn(move || {
        let mut got = 0;
        while got < MESSAGES / batch * batch {
            let count = to.drain(MESH_DRAIN_MAX, |_, message| {
                black_box(message);
            });
            let _ = black_box(to.flush());
            got += count;
            if count == 0 {
                spin_loop();
            }
        }
    });
    for round in 0..MESSAGES / batch {
        for n in 0..batch {
            while from.send(TARGET, element(round + n)).is_err() {
                let _ = from.flush();
                spin_loop();
            }
        }
        let _ = black_box(from.flush());
    }
    reader.join().expect("the reader does not panic");
}

fn rtrb_two_threads(batch: usize, chunked: bool) {
    let (mut producer, mut consumer) = rtrb::RingBuffer::<Element>::new(MESH_SLOTS);
    let reader = std::thread::spawn(move || {
        let mut got = 0;
        while got < MESSAGES / batch * batch {
            let count = rtrb_drain(&mut consumer);
            got += count;
            if count == 0 {
                spin_loop();
            }
        }
    });
    let mut staged = Vec::with_capacity(batch);
    for round in 0..MESSAGES / batch {
        for n in 0..batch {
            if chunked {
                staged.push(element(round + n));
            } else {
                while producer.push(element(round + n)).is_err() {
                    spin_loop();
                }
            }
        }
        rtrb_publish(&mut producer, &mut staged);
    }
    reader.join().expect("the reader does not panic");
}

fn main() {
    println!(
        "ns per message of {} bytes, ring of {MESH_SLOTS}",
        size_of::<Element>()
    );
    println!("{:>6}  {:^29}  {:^29}", "", "one thread", "two threads");
    let columns = ["mesh", "rtrb push", "rtrb chunk"];
    print!("{:>6}", "batch");
    for column in columns.iter().chain(&columns) {
        print!("{column:>11}");
    }
    println!();
    for batch in BATCHES {
        print!("{batch:>6}");
        print!("{:>11.2}", best(mesh_one_thread, batch));
        print!("{:>11.2}", best(rtrb_push_one_thread, batch));
        print!("{:>11.2}", best(rtrb_chunk_one_thread, batch));
        print!("{:>11.2}", best(mesh_two_threads, batch));
        print!(
            "{:>11.2}",
            best(|batch| rtrb_two_threads(batch, false), batch)
        );
        println!(
            "{:>11.2}",
            best(|batch| rtrb_two_threads(batch, true), batch)
        );
    }
}
