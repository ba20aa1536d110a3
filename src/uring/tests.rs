//! The ring against the running kernel.

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

#[test]
fn buffers_refuse_what_no_receive_reports() {
    let ring = Ring::new(sizes()).unwrap();
    let mut buffers = ReceiveBuffers::register(&ring, 0, 4, 64).unwrap();
    assert!(buffers.filled(4, 1).is_none());
    assert!(buffers.filled(0, 65).is_none());
    assert_eq!(buffers.filled(3, 64).map(<[u8]>::len), Some(64));
    for _ in 0..4 {
        buffers.took();
    }
    assert!(!buffers.any_lent());
    buffers.give_back(2);
    buffers.publish();
    assert!(buffers.any_lent());
    drop(ring);
}
