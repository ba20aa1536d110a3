//! The ring against the running kernel.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::*;

fn sizes() -> Sizes {
    Sizes {
        submissions: 8,
        completions: 32,
        files: 16,
        workers: 1,
    }
}

#[test]
fn user_data_packs_and_unpacks() {
    for op in [Op::Accept, Op::Receive, Op::Send, Op::Given] {
        let packed = UserData::new(op, 0xff_abcdef, 0xdead_beef);
        assert_eq!(packed.op(), Some(op));
        assert_eq!(packed.generation(), 0xabcdef);
        assert_eq!(packed.index(), 0xdead_beef);
        assert_eq!(UserData::from_raw(packed.raw()), packed);
    }
    assert_eq!(UserData::from_raw(0).op(), None);
    assert_eq!(UserData::from_raw(u64::MAX).op(), None);
}

#[test]
fn a_full_queue_is_submitted_and_every_completion_comes_once() {
    let mut ring = Ring::new(sizes()).unwrap();
    // Four times what the queue holds, and more than fit among the completions.
    for index in 0..200 {
        let entry = ops::close(9, UserData::new(Op::CloseSlot, 0, index));
        // SAFETY: names no memory.
        unsafe { ring.push(&entry).unwrap() };
    }
    ring.submit().unwrap();
    assert!(!ring.has_queued());
    let mut completions = Vec::new();
    while completions.len() < 200 {
        ring.wait(Some(Duration::from_secs(1))).unwrap();
        let max = completions.len() + 50;
        ring.collect(&mut completions, max).unwrap();
    }
    for (index, completion) in completions.iter().enumerate() {
        assert_eq!(completion.user_data.index() as usize, index);
        assert_eq!(completion.result, -libc::EBADF);
        assert!(!completion.more() && completion.buffer().is_none());
    }
}

#[test]
fn a_wait_ends_at_its_timeout() {
    let mut ring = Ring::new(sizes()).unwrap();
    let start = Instant::now();
    ring.wait(Some(Duration::from_millis(30))).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(29));
    ring.wait(Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_wake_from_another_ring_ends_a_wait() {
    let mut ring = Ring::new(sizes()).unwrap();
    let fd = ring.fd();
    let waker = std::thread::spawn(move || {
        let mut ring = Ring::new(sizes()).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let entry = ops::wake(
            fd,
            UserData::new(Op::Wake, 0, 7),
            UserData::new(Op::WakeFailed, 0, 0),
        );
        // SAFETY: names no memory.
        unsafe { ring.push(&entry).unwrap() };
        ring.poll().unwrap();
        let mut completions = Vec::new();
        ring.collect(&mut completions, 10).unwrap();
        assert!(completions.is_empty());
    });
    ring.wait(Some(Duration::from_secs(10))).unwrap();
    let mut completions = Vec::new();
    ring.collect(&mut completions, 10).unwrap();
    assert_eq!(completions[0].user_data, UserData::new(Op::Wake, 0, 7));
    waker.join().unwrap();
}

#[test]
fn a_table_larger_than_the_limit_on_open_files_is_refused_with_the_cure() {
    let error = Ring::new(Sizes {
        files: 1 << 20,
        ..sizes()
    })
    .err()
    .unwrap()
    .to_string();
    assert!(error.contains("LimitNOFILE"), "{error}");
}

#[test]
fn errors_of_the_setup_name_cause_and_cure() {
    let text = |errno| RingError::from_setup(std::io::Error::from_raw_os_error(errno)).to_string();
    assert!(text(libc::EPERM).contains("seccomp") || text(libc::EPERM).contains("sysctl"));
    assert!(text(libc::ENOSYS).contains("seccomp"));
    assert!(text(libc::EINVAL).contains("Linux 6.1"));
    assert!(text(libc::ENOMEM).contains("LimitMEMLOCK"));
    assert!(text(libc::EMFILE).contains("LimitNOFILE"));
    assert!(RingError::Disabled(2).to_string().contains("sysctl"));
}

/// What the kernel reports when it has no memory for completions that overflow.
#[test]
fn lost_completions_are_an_error_of_their_own() {
    let error = |errno| RingError::from_enter(std::io::Error::from_raw_os_error(errno));
    assert!(matches!(error(libc::EBADR), RingError::Lost));
    assert!(matches!(error(libc::EFAULT), RingError::Call(..)));
    assert!(error(libc::EBADR).to_string().contains("memory_limit"));
}

#[test]
fn completions_beyond_the_queue_are_kept_by_the_kernel() {
    const WAKES: u64 = 500;
    let mut source = Ring::new(sizes()).unwrap();
    let mut target = Ring::new(sizes()).unwrap();
    for _ in 0..WAKES {
        let (theirs, ours) = (
            UserData::new(Op::Wake, 0, 0),
            UserData::new(Op::WakeFailed, 0, 0),
        );
        // SAFETY: names no memory.
        unsafe { source.push(&ops::wake(target.fd(), theirs, ours)).unwrap() };
    }
    source.poll().unwrap();
    // All are posted at once by this call, into a queue of 32.
    target.wait(Some(Duration::from_secs(5))).unwrap();
    let mut completions = Vec::new();
    let started = Instant::now();
    while completions.len() < WAKES as usize && started.elapsed() < Duration::from_secs(5) {
        target.collect(&mut completions, 10_000).unwrap();
    }
    assert_eq!(completions.len(), WAKES as usize);
}

/// Receives over a socket pair into buffers of 64 bytes; returns the pieces that the completions reported.
fn pieces(incremental: bool, writes: &[&[u8]]) -> Vec<Vec<u8>> {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut ring = Ring::new(sizes()).unwrap();
    let plan = BufferPlan {
        count: 4,
        bytes: 64,
        incremental,
    };
    let mut buffers = ReceiveBuffers::register(&ring, 3, plan).unwrap();
    ring.put_file(5, std::os::fd::AsRawFd::as_raw_fd(&theirs))
        .unwrap();
    let user_data = UserData::new(Op::Receive, 0, 0);
    let mut pieces = Vec::new();
    let mut armed = false;
    for bytes in writes {
        std::io::Write::write_all(&mut ours, bytes).unwrap();
        let mut left = bytes.len();
        while left > 0 {
            if !armed {
                // SAFETY: names no memory.
                unsafe { ring.push(&ops::receive_multishot(5, 3, user_data)).unwrap() };
                armed = true;
            }
            ring.wait(Some(Duration::from_secs(5))).unwrap();
            let mut completions = Vec::new();
            ring.collect(&mut completions, 100).unwrap();
            for completion in completions {
                armed &= completion.more();
                if let Some(filled) = buffers.take(&completion) {
                    pieces.push(buffers.bytes(filled).to_vec());
                    left -= completion.result as usize;
                    if let Some(id) = filled.finished {
                        buffers.give_back(id);
                    }
                } else {
                    assert_eq!(completion.result, -libc::ENOBUFS);
                }
            }
            buffers.publish();
        }
    }
    assert!(buffers.lent() > 0);
    drop(ring);
    pieces
}

#[test]
fn buffers_bring_every_byte_once_and_in_order() {
    let data: Vec<u8> = (0..5000u32).map(|n| (n % 251) as u8).collect();
    for incremental in [false, true] {
        for size in [1, 7, 63, 64, 65, 100, 1000] {
            let writes: Vec<&[u8]> = data.chunks(size).collect();
            assert!(
                pieces(incremental, &writes).concat() == data,
                "{incremental} {size}"
            );
        }
    }
}

#[test]
fn small_receives_share_an_incremental_buffer() {
    // 300 receives of a byte each: more than 4 buffers could serve if each took a whole one at once.
    let ring = Ring::new(sizes()).unwrap();
    assert!(
        ring.has_ordered_buffers(),
        "this kernel is older than the tests expect"
    );
    let writes: Vec<&[u8]> = std::iter::repeat_n(b"x".as_slice(), 300).collect();
    assert_eq!(pieces(true, &writes).len(), 300);
}

/// Two streams into one group of incremental buffers, some of whose receives are handed to a worker thread at once (as the
/// kernel does itself when it has no memory to poll): a worker takes all that is left of a buffer, waits with it, and is
/// overtaken by receives into others. Each stream has to come whole and in order all the same.
#[test]
fn receives_of_worker_threads_do_not_mix_streams_up() {
    let mut random = fastrand::Rng::with_seed(20_250_101);
    let mut ring = Ring::new(sizes()).unwrap();
    let plan = BufferPlan {
        count: 8,
        bytes: 64,
        incremental: true,
    };
    let mut buffers = ReceiveBuffers::register(&ring, 3, plan).unwrap();
    let mut ends = Vec::new();
    for slot in 0..4 {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ring.put_file(slot, std::os::fd::AsRawFd::as_raw_fd(&theirs))
            .unwrap();
        ends.push((ours, theirs));
    }
    // Byte n of a stream is n in seven bits, with the number of the stream above.
    let byte = |stream: usize, at: usize| (stream * 64 + at % 61) as u8;
    let (mut sent, mut got) = ([0; 4], [0; 4]);
    let (mut armed, mut by_workers) = ([false; 4], 0);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(1) || got != sent {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{got:?} of {sent:?}"
        );
        for (stream, is_armed) in armed.iter_mut().enumerate() {
            if !std::mem::replace(is_armed, true) {
                let user_data = UserData::new(Op::Receive, 0, stream as u32);
                let mut receive = ops::receive_once(stream as u32, 3, user_data);
                if random.bool() {
                    receive = receive.flags(io_uring::squeue::Flags::ASYNC);
                    by_workers += 1;
                }
                // SAFETY: names no memory.
                unsafe { ring.push(&receive).unwrap() };
            }
        }
        ring.poll().unwrap();
        let stream = random.usize(..4);
        if started.elapsed() < Duration::from_secs(1) && sent[stream] - got[stream] < 4000 {
            let len = random.usize(1..200);
            let bytes: Vec<u8> = (0..len).map(|n| byte(stream, sent[stream] + n)).collect();
            std::io::Write::write_all(&mut ends[stream].0, &bytes).unwrap();
            sent[stream] += len;
        }
        ring.wait(Some(Duration::from_millis(2))).unwrap();
        let mut completions = Vec::new();
        ring.collect(&mut completions, 100).unwrap();
        for completion in completions {
            let stream = completion.user_data.index() as usize;
            armed[stream] = false;
            let Some(filled) = buffers.take(&completion) else {
                assert_eq!(completion.result, -libc::ENOBUFS);
                continue;
            };
            for piece in buffers.bytes(filled) {
                assert_eq!(*piece, byte(stream, got[stream]), "{stream} at {got:?}");
                got[stream] += 1;
            }
            if let Some(id) = filled.finished {
                buffers.give_back(id);
            }
        }
        buffers.publish();
    }
    assert!(by_workers > 100, "{by_workers}");
    drop(ring);
}

/// A receive that waits with a buffer of its own, because a worker thread began it, gives it up when it is cancelled.
#[test]
fn a_cancelled_receive_of_a_worker_thread_gives_its_buffer_back() {
    let mut ring = Ring::new(sizes()).unwrap();
    let plan = BufferPlan {
        count: 4,
        bytes: 64,
        incremental: true,
    };
    let mut buffers = ReceiveBuffers::register(&ring, 3, plan).unwrap();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ring.put_file(0, std::os::fd::AsRawFd::as_raw_fd(&theirs))
        .unwrap();
    let receive = UserData::new(Op::Receive, 0, 0);
    let cancel = UserData::new(Op::CancelReceive, 0, 0);
    for round in 0..40 {
        let begun = ops::receive_once(0, 3, receive).flags(io_uring::squeue::Flags::ASYNC);
        // SAFETY: names no memory.
        unsafe { ring.push(&begun).unwrap() };
        ring.poll().unwrap();
        std::thread::sleep(Duration::from_millis(round % 4));
        // SAFETY: names no memory.
        unsafe { ring.push(&ops::cancel(receive, cancel)).unwrap() };
        let (mut ended, mut cancelled) = (false, false);
        let started = Instant::now();
        while !(ended && cancelled) {
            assert!(started.elapsed() < Duration::from_secs(10), "{round}");
            ring.wait(Some(Duration::from_millis(10))).unwrap();
            let mut completions = Vec::new();
            ring.collect(&mut completions, 100).unwrap();
            for completion in completions {
                if completion.user_data.op() == Some(Op::CancelReceive) {
                    cancelled = true;
                    // It may have been between two attempts: then it is cancelled again.
                    if completion.result < 0 && !ended {
                        // SAFETY: names no memory.
                        unsafe { ring.push(&ops::cancel(receive, cancel)).unwrap() };
                        cancelled = false;
                    }
                    continue;
                }
                ended = true;
                assert!(completion.result < 0, "{completion:?}");
                let filled = buffers.take(&completion);
                if let Some(id) = filled.and_then(|filled| filled.finished) {
                    buffers.give_back(id);
                }
            }
            buffers.publish();
        }
    }
    // As many as there are can be filled: none is lost.
    std::io::Write::write_all(&mut ours, &[7; 4 * 64]).unwrap();
    // SAFETY: names no memory.
    unsafe { ring.push(&ops::receive_multishot(0, 3, receive)).unwrap() };
    let (mut got, started) = (0, Instant::now());
    while got < 4 * 64 {
        assert!(started.elapsed() < Duration::from_secs(10), "{got}");
        ring.wait(Some(Duration::from_millis(10))).unwrap();
        let mut completions = Vec::new();
        ring.collect(&mut completions, 100).unwrap();
        got += completions
            .iter()
            .map(|completion| completion.result.max(0))
            .sum::<i32>();
    }
    drop(ring);
}

/// What comes while the kernel works off what it had put off leaves the flag for that set: nothing may wait for it to go. It takes
/// chance: in a few of these rounds, where there are several CPUs.
#[test]
fn when_all_has_come_nothing_is_put_off() {
    const ROUNDS: usize = 5_000;
    const WRITES: usize = 5;
    let mut ring = Ring::new(sizes()).unwrap();
    let plan = BufferPlan {
        count: 8,
        bytes: 64,
        incremental: false,
    };
    let mut buffers = ReceiveBuffers::register(&ring, 3, plan).unwrap();
    let receive = |ring: &mut Ring, slot| {
        let user_data = UserData::new(Op::Receive, 0, slot);
        // SAFETY: names no memory; the buffers are dropped after the ring.
        unsafe { ring.push(&ops::receive_multishot(slot, 3, user_data)) }.unwrap();
    };
    let mut ends = Vec::new();
    for slot in 0..8 {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ring.put_file(slot, std::os::fd::AsRawFd::as_raw_fd(&theirs))
            .unwrap();
        receive(&mut ring, slot);
        ends.push((ours, theirs));
    }
    let barrier = std::sync::Barrier::new(3);
    type Ends = (UnixStream, UnixStream);
    let write = |ends: &[Ends]| {
        for _ in 0..ROUNDS {
            barrier.wait();
            for (mut ours, _) in (0..WRITES).flat_map(|_| ends.iter().map(|(a, b)| (a, b))) {
                std::io::Write::write_all(&mut ours, b"x").unwrap();
            }
            barrier.wait();
        }
    };
    let mut put_off = 0;
    std::thread::scope(|scope| {
        for ends in ends.chunks(4) {
            scope.spawn(|| write(ends));
        }
        for _ in 0..ROUNDS {
            let (mut left, mut completions) = (WRITES * ends.len(), Vec::new());
            barrier.wait();
            while left > 0 {
                ring.wait(Some(Duration::from_secs(10))).unwrap();
                ring.collect(&mut completions, 1000).unwrap();
                for completion in completions.drain(..) {
                    if let Some(filled) = buffers.take(&completion) {
                        buffers.give_back(filled.finished.unwrap());
                        left -= completion.result as usize;
                    }
                    if !completion.more() {
                        receive(&mut ring, completion.user_data.index());
                    }
                }
                buffers.publish();
            }
            barrier.wait();
            ring.poll().unwrap();
            ring.collect(&mut completions, 1000).unwrap();
            let has_more = !completions.is_empty() || ring.has_put_off().unwrap();
            put_off += u32::from(has_more);
        }
    });
    assert_eq!(put_off, 0);
    drop(ring);
}
