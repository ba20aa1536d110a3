//! The submissions that are in use, each built in one place. Building one is safe; pushing it is not (`Ring::push`).

use std::os::fd::RawFd;

use io_uring::opcode;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{DestinationSlot, Fd, Fixed, FsyncFlags};

use super::UserData;

/// Accepts one connection into a free slot of the file table (IORING_FILE_INDEX_ALLOC): the result is the slot.
/// `address` and `length` are written before the completion.
pub(crate) fn accept(
    listener: RawFd,
    address: *mut libc::sockaddr_storage,
    length: *mut libc::socklen_t,
    user_data: UserData,
) -> Entry {
    opcode::Accept::new(Fd(listener), address.cast(), length)
        .file_index(Some(DestinationSlot::auto_target()))
        .build()
        .user_data(user_data.raw())
}

/// Connects the socket in a slot. The address is copied when the entry is submitted.
pub(crate) fn connect(
    slot: u32,
    address: *const libc::sockaddr,
    length: libc::socklen_t,
    user_data: UserData,
) -> Entry {
    opcode::Connect::new(Fixed(slot), address, length)
        .build()
        .user_data(user_data.raw())
}

/// Receives once into a provided buffer of `group`.
pub(crate) fn receive_once(slot: u32, group: u16, user_data: UserData) -> Entry {
    opcode::Recv::new(Fixed(slot), std::ptr::null_mut(), 0)
        .buf_group(group)
        .build()
        .flags(Flags::BUFFER_SELECT)
        .user_data(user_data.raw())
}

/// Receives into provided buffers of `group` until a completion comes without IORING_CQE_F_MORE.
pub(crate) fn receive_multishot(slot: u32, group: u16, user_data: UserData) -> Entry {
    opcode::RecvMulti::new(Fixed(slot), group)
        .build()
        .user_data(user_data.raw())
}

/// Sends from one place. Short sends are reported as such (no MSG_WAITALL): what the socket took is free at once.
#[inline]
pub(crate) fn send(slot: u32, base: *const u8, len: u32, user_data: UserData) -> Entry {
    opcode::Send::new(Fixed(slot), base, len)
        .build()
        .user_data(user_data.raw())
}

/// Sends from several places.
#[inline]
pub(crate) fn send_vectored(slot: u32, header: *const libc::msghdr, user_data: UserData) -> Entry {
    opcode::SendMsg::new(Fixed(slot), header)
        .build()
        .user_data(user_data.raw())
}

/// Cancels the operation that carries `target`. Found by hash; by descriptor it would be a walk over all operations.
pub(crate) fn cancel(target: UserData, user_data: UserData) -> Entry {
    opcode::AsyncCancel::new(target.raw())
        .build()
        .user_data(user_data.raw())
}

/// Shuts down the sending side. The kernel gives this to a worker thread; it is for closing connections only.
pub(crate) fn shutdown_write(slot: u32, user_data: UserData) -> Entry {
    opcode::Shutdown::new(Fixed(slot), libc::SHUT_WR)
        .build()
        .user_data(user_data.raw())
}

/// Empties a slot: the socket is closed when nothing holds it any more.
pub(crate) fn close(slot: u32, user_data: UserData) -> Entry {
    opcode::Close::new(Fixed(slot))
        .build()
        .user_data(user_data.raw())
}

/// Puts the socket in `slot` into a free slot of another ring too. That ring gets a completion with `theirs`, whose
/// result is the new slot; this one gets one with `ours`, with the same result or the error.
pub(crate) fn give(ring: RawFd, slot: u32, theirs: UserData, ours: UserData) -> Entry {
    opcode::MsgRingSendFd::new(
        Fd(ring),
        Fixed(slot),
        DestinationSlot::auto_target(),
        theirs.raw(),
    )
    .build()
    .user_data(ours.raw())
}

/// Posts a completion with `theirs` to another ring. Completes here only when it fails.
pub(crate) fn wake(ring: RawFd, theirs: UserData, ours: UserData) -> Entry {
    opcode::MsgRingData::new(Fd(ring), 0, theirs.raw(), None)
        .build()
        .flags(Flags::SKIP_SUCCESS)
        .user_data(ours.raw())
}

/// Reads an eventfd's counter into `value`; completes when it is not 0.
pub(crate) fn read_eventfd(fd: RawFd, value: *mut u64, user_data: UserData) -> Entry {
    opcode::Read::new(Fd(fd), value.cast(), size_of::<u64>() as u32)
        .build()
        .user_data(user_data.raw())
}

/// Writes from several places, one behind the other, to a range of a file.
pub(crate) fn write_vectored(
    file: RawFd,
    from: &[libc::iovec],
    offset: u64,
    user_data: UserData,
) -> Entry {
    opcode::Writev::new(Fd(file), from.as_ptr(), from.len() as u32)
        .offset(offset)
        .build()
        .user_data(user_data.raw())
}

/// Writes to a range of a file.
pub(crate) fn write(file: RawFd, from: &[u8], offset: u64, user_data: UserData) -> Entry {
    opcode::Write::new(Fd(file), from.as_ptr(), from.len() as u32)
        .offset(offset)
        .build()
        .user_data(user_data.raw())
}

/// fsync.
pub(crate) fn sync(file: RawFd, user_data: UserData) -> Entry {
    opcode::Fsync::new(Fd(file))
        .build()
        .user_data(user_data.raw())
}

/// fdatasync.
pub(crate) fn sync_data(file: RawFd, user_data: UserData) -> Entry {
    opcode::Fsync::new(Fd(file))
        .flags(FsyncFlags::DATASYNC)
        .build()
        .user_data(user_data.raw())
}

/// The next entry begins when this one is done, and is cancelled (ECANCELED) if this one fails or does less than it was to do.
pub(crate) fn linked(entry: Entry) -> Entry {
    entry.flags(Flags::IO_LINK)
}

/// The operations above, by code and name, to be looked up in the kernel's probe.
pub(super) const NEEDED: [(u8, &str); 13] = [
    (opcode::Accept::CODE, "IORING_OP_ACCEPT"),
    (opcode::Recv::CODE, "IORING_OP_RECV"),
    (opcode::Send::CODE, "IORING_OP_SEND"),
    (opcode::SendMsg::CODE, "IORING_OP_SENDMSG"),
    (opcode::AsyncCancel::CODE, "IORING_OP_ASYNC_CANCEL"),
    (opcode::Shutdown::CODE, "IORING_OP_SHUTDOWN"),
    (opcode::Close::CODE, "IORING_OP_CLOSE"),
    (opcode::MsgRingSendFd::CODE, "IORING_OP_MSG_RING"),
    (opcode::Read::CODE, "IORING_OP_READ"),
    (opcode::RecvMulti::CODE, "multishot IORING_OP_RECV"),
    (opcode::Writev::CODE, "IORING_OP_WRITEV"),
    (opcode::Write::CODE, "IORING_OP_WRITE"),
    (opcode::Fsync::CODE, "IORING_OP_FSYNC"),
];
