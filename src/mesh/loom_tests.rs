//! The rings and the sleep handshake under every interleaving that loom finds:
//! `RUSTFLAGS="--cfg loom" cargo test --lib mesh::`.

use loom::sync::atomic::{AtomicBool, Ordering as O};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::*;
use crate::limits::MESH_DRAIN_MAX;

/// What a thread waits on, in place of its io_uring.
#[derive(Clone)]
struct Bell(Arc<(Mutex<bool>, Condvar)>);

impl Bell {
    fn new() -> Bell {
        Bell(Arc::new((Mutex::new(false), Condvar::new())))
    }

    fn ring(&self) {
        let mut rung = self.0.0.lock().unwrap();
        *rung = true;
        self.0.1.notify_one();
    }

    /// Blocks for ever (which loom reports as a deadlock) when a wake-up is lost.
    fn wait(&self) {
        let mut rung = self.0.0.lock().unwrap();
        while !*rung {
            rung = self.0.1.wait(rung).unwrap();
        }
        *rung = false;
    }
}

fn two<T: Send>(slots: usize) -> (Port<T>, Port<T>) {
    let mut ports = grid(2, slots);
    let second = ports.pop().unwrap();
    (ports.pop().unwrap(), second)
}

#[test]
fn elements_arrive_in_order_and_are_freed() {
    loom::model(|| {
        let (mut a, mut b) = two::<std::sync::Arc<u32>>(2);
        let sender = thread::spawn(move || {
            let mut refused = 0;
            for value in 0..3 {
                refused += u32::from(a.send(ShardId(1), std::sync::Arc::new(value)).is_err());
                let _ = a.flush();
            }
            refused
        });
        let mut got = vec![];
        b.drain(MESH_DRAIN_MAX, |_, value| got.push(*value));
        b.drain(MESH_DRAIN_MAX, |_, value| got.push(*value));
        let refused = sender.join().unwrap();
        b.drain(MESH_DRAIN_MAX, |_, value| got.push(*value));
        assert_eq!(got.len() as u32 + refused, 3);
        assert!(got.is_sorted());
    });
}

#[test]
fn no_wake_up_is_lost() {
    loom::model(|| {
        let (mut a, mut b) = two::<u32>(2);
        let bell = Bell::new();
        let ringer = bell.clone();
        let sender = thread::spawn(move || {
            for value in 0..2 {
                a.send(ShardId(1), value).unwrap();
                for _ in a.flush() {
                    ringer.ring();
                }
            }
        });
        let mut got = vec![];
        while got.len() < 2 {
            b.drain(MESH_DRAIN_MAX, |_, value| got.push(value));
            let _ = b.flush();
            if got.len() < 2 && b.prepare_sleep() {
                bell.wait();
                b.awake();
            }
        }
        assert_eq!(got, [0, 1]);
        sender.join().unwrap();
    });
}

#[test]
fn two_senders_wake_a_sleeper_once() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let mut ports = grid::<u32>(3, 1);
        let mut sleeper = ports.pop().unwrap();
        let bell = Bell::new();
        // Asleep before either sends: exactly one of them must ring.
        assert!(sleeper.prepare_sleep());
        let senders: Vec<_> = ports
            .into_iter()
            .map(|mut port| {
                let ringer = bell.clone();
                thread::spawn(move || {
                    port.send(ShardId(2), 1).unwrap();
                    let wake = port.flush();
                    for _ in wake {
                        ringer.ring();
                    }
                    wake.count()
                })
            })
            .collect();
        bell.wait();
        let wakes: usize = senders
            .into_iter()
            .map(|sender| sender.join().unwrap())
            .sum();
        assert_eq!(wakes, 1);
        assert_eq!(sleeper.drain(MESH_DRAIN_MAX, |_, _| ()), 2);
    });
}

#[test]
fn a_producer_that_waits_for_slots_is_woken() {
    loom::model(|| {
        let (mut a, mut b) = two::<u32>(1);
        let bell = Bell::new();
        let ringer = bell.clone();
        let done = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&done);
        a.send(ShardId(1), 0).unwrap();
        let _ = a.flush();
        let producer = thread::spawn(move || {
            let mut kept = a.send(ShardId(1), 1);
            while let Err(value) = kept {
                let _ = a.flush();
                if a.prepare_sleep() {
                    bell.wait();
                    a.awake();
                }
                kept = a.send(ShardId(1), value);
            }
            let _ = a.flush();
            seen.store(true, O::Relaxed);
        });
        assert_eq!(b.drain(MESH_DRAIN_MAX, |_, _| ()), 1);
        for _ in b.flush() {
            ringer.ring();
        }
        producer.join().unwrap();
        assert!(done.load(O::Relaxed));
        assert_eq!(b.drain(MESH_DRAIN_MAX, |_, _| ()), 1);
    });
}

#[test]
fn bytes_count_until_they_are_taken() {
    loom::model(|| {
        let (mut a, mut b) = two::<usize>(2);
        let consumer = thread::spawn(move || {
            for _ in 0..2 {
                b.drain_bytes(MESH_DRAIN_MAX, |_, bytes| bytes);
            }
            b
        });
        let mut sent = 0;
        for bytes in [1, 20] {
            sent += bytes;
            a.send_bytes(ShardId(1), bytes, bytes).unwrap();
            let _ = a.flush();
            // Whatever has been taken: never more than there was, which a wrapped difference would be.
            assert!(a.bytes() <= sent);
        }
        let mut b = consumer.join().unwrap();
        b.drain_bytes(MESH_DRAIN_MAX, |_, bytes| bytes);
        assert_eq!(a.bytes(), 0);
    });
}
