"""A file system that passes everything on to a directory, is slow or fails as it is told, and writes down what a disk would see. Needs root,
libfuse 2 (Debian: libfuse2) and fusepy 3.0.1 (`pip install fusepy`).

    faulty.py BELOW MOUNT CONTROL [--record FILE]

CONTROL is a file of JSON that is read again when it changes: {"sync_ms": 0, "write_ms": 0, "fail": {"fsync": ["EIO", 1]}}. A failure has a
count, after which the operation works again; -1 is for ever. It fails before anything is passed on, and what was written since the last
sync of that file is thrown away, as a kernel does that has given up its dirty pages.

The record is for `power.py`: one pickled tuple for each operation, with the moment at which it ended (CLOCK_MONOTONIC). It wants one thread.
"""

import errno
import json
import os
import pickle
import sys
import threading
import time

import fuse


class Faulty(fuse.Operations):
    """`below` with faults. Files are named by their inode below in the record."""

    def __init__(self, below, control, record):
        self.below, self.control = below, control
        self.guard = threading.Lock()
        self.record = open(record, "wb", buffering=0) if record else None
        self.orders, self.seen = {}, None
        # By inode: what was there before each write since the last sync, newest last.
        self.undo = {}

    def __call__(self, name, *arguments):
        if not hasattr(self, name):
            raise fuse.FuseOSError(errno.ENOSYS)
        return getattr(self, name)(*arguments)

    def path(self, path):
        return self.below + path

    def note(self, *what):
        if self.record:
            self.record.write(pickle.dumps((time.monotonic(), *what)))

    def ordered(self):
        """What CONTROL says now."""
        try:
            changed = os.stat(self.control).st_mtime_ns
            if changed != self.seen:
                with open(self.control) as file:
                    self.orders, self.seen = json.load(file), changed
        except (OSError, ValueError):
            pass
        return self.orders

    def fault(self, what, inode=None):
        """Waits or fails as it is told."""
        with self.guard:
            orders = self.ordered()
            left = orders.get("fail", {}).get(what)
            if left and left[1] != 0:
                left[1] -= 1
                if inode is not None and what == "fsync":
                    self.forget_dirty(inode)
                raise fuse.FuseOSError(getattr(errno, left[0]))
            pause = orders.get("sync_ms" if what == "fsync" else "write_ms" if what == "write" else "", 0)
        end = time.monotonic() + pause / 1000
        # A pause is over when the order is.
        while time.monotonic() < end and self.ordered() is orders:
            time.sleep(min(0.02, max(0, end - time.monotonic())))

    def forget_dirty(self, inode):
        """The pages that were written since the last sync are as they were on the disk."""
        for descriptor, offset, before in reversed(self.undo.pop(inode, [])):
            os.pwrite(descriptor, before, offset)

    # What is asked of names.

    def access(self, path, mode):
        if not os.access(self.path(path), mode):
            raise fuse.FuseOSError(errno.EACCES)

    def getattr(self, path, handle=None):
        found = os.fstat(handle) if handle else os.lstat(self.path(path))
        names = "st_atime st_ctime st_gid st_mode st_mtime st_nlink st_size st_uid st_blocks st_ino".split()
        return {name: getattr(found, name) for name in names}

    def readdir(self, path, handle):
        return [".", "..", *os.listdir(self.path(path))]

    def statfs(self, path):
        found = os.statvfs(self.path(path))
        names = "f_bavail f_bfree f_blocks f_bsize f_favail f_ffree f_files f_flag f_frsize f_namemax".split()
        return {name: getattr(found, name) for name in names}

    def chmod(self, path, mode):
        return os.chmod(self.path(path), mode)

    def chown(self, path, user, group):
        return os.chown(self.path(path), user, group)

    def utimens(self, path, times=None):
        return os.utime(self.path(path), times)

    def mkdir(self, path, mode):
        os.mkdir(self.path(path), mode)
        self.note("mkdir", path, mode)

    def rmdir(self, path):
        os.rmdir(self.path(path))

    def rename(self, old, new):
        self.fault("rename")
        os.rename(self.path(old), self.path(new))
        self.note("rename", old, new)

    def unlink(self, path):
        os.unlink(self.path(path))
        self.note("unlink", path)

    # What is asked of files.

    def create(self, path, mode, info=None):
        self.fault("create")
        handle = os.open(self.path(path), os.O_RDWR | os.O_CREAT, mode)
        self.note("create", path, os.fstat(handle).st_ino, mode)
        return handle

    def open(self, path, flags):
        return os.open(self.path(path), flags & ~(os.O_DIRECT | os.O_CREAT | os.O_EXCL))

    def read(self, path, size, offset, handle):
        self.fault("read")
        return os.pread(handle, size, offset)

    def write(self, path, data, offset, handle):
        self.fault("write")
        inode = os.fstat(handle).st_ino
        if not self.record:
            before = os.pread(handle, len(data), offset)
            with self.guard:
                if any(data) and path.endswith(".log"):
                    self.undo.setdefault(inode, []).append((handle, offset, before))
        count = os.pwrite(handle, data, offset)
        self.note("write", inode, offset, bytes(data) if any(data) else len(data))
        return count

    def truncate(self, path, length, handle=None):
        os.truncate(handle if handle else self.path(path), length)
        self.note("truncate", os.lstat(self.path(path)).st_ino, length)

    def fsync(self, path, datasync, handle):
        inode = os.fstat(handle).st_ino
        self.fault("fsync", inode)
        os.fsync(handle)
        with self.guard:
            self.undo.pop(inode, None)
        self.note("fsync", inode)

    def fsyncdir(self, path, datasync, handle):
        self.note("fsyncdir", path)

    def flush(self, path, handle):
        pass

    def release(self, path, handle):
        with self.guard:
            self.undo.pop(os.fstat(handle).st_ino, None)
        os.close(handle)


def main():
    below, mount, control = sys.argv[1:4]
    record = sys.argv[5] if sys.argv[4:5] == ["--record"] else None
    operations = Faulty(os.path.realpath(below), control, record)
    # 128 KiB a write, as a kernel gives them to a disk; no caches of names that could hide a change.
    options = {"big_writes": True, "allow_other": True, "default_permissions": True, "use_ino": True}
    fuse.FUSE(operations, mount, foreground=True, nothreads=bool(record), **options)


if __name__ == "__main__":
    main()
